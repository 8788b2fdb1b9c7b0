/* stat, statx, statfs from an inode of the index, straight into the caller's buffer. */
#ifndef HEPWRAP_ATTRIBUTES_H
#define HEPWRAP_ATTRIBUTES_H
#include "hidden.h"

#define BLOCK_SIZE 4096

static inline void fill_stat(struct kernel_stat *st, const struct inode *inode)
{
    st->st_dev = inode->st_dev;
    st->st_ino = inode->st_ino;
    st->st_nlink = inode->st_nlink;
    st->st_mode = inode->st_mode;
    st->st_uid = inode->st_uid;
    st->st_gid = inode->st_gid;
    st->pad0 = 0;
    st->st_rdev = inode->st_rdev;
    st->st_size = (i64)inode->st_size;
    st->st_blksize = BLOCK_SIZE;
    st->st_blocks = (i64)((inode->st_size + 511) / 512);
    for (int i = 0; i < 6; i += 2) {
        st->times[i] = inode->mtime;
        st->times[i + 1] = inode->mtime_ns;
    }
    for (int i = 0; i < 3; i++)
        st->unused[i] = 0;
}

static inline u32 major_of(u64 device) { return (u32)((device >> 8) & 0xfff) | (u32)((device >> 32) & ~0xfffUL); }
static inline u32 minor_of(u64 device) { return (u32)(device & 0xff) | (u32)((device >> 12) & ~0xffUL); }

#define STATX_BASIC 0x7ffU
#define STATX_MTIME 0x40U
#define STATX_MNT_ID 0x1000U
#define STATX_ATTR_MOUNT_ROOT 0x2000U

/* The prefix, or a name directly below it: is that where something is mounted? */
static inline int is_root_of_mount(const struct inode *inode)
{
    const char *path = at(index_of(), inode->path_at);
    u32 after = index_of()->prefix_length + 1;
    for (u32 i = after; i < inode->path_length; i++)
        if (path[i] == '/')
            return 0;
    return 1;
}

static inline void fill_statx(struct kernel_statx *st, const struct inode *inode, u32 asked)
{
    const struct mount *mount = at(index_of(), inode->mount_at);
    zero(st, sizeof *st);
    st->mask = STATX_BASIC | (asked & STATX_MNT_ID);
    st->blksize = BLOCK_SIZE;
    st->nlink = inode->st_nlink;
    st->uid = inode->st_uid;
    st->gid = inode->st_gid;
    st->mode = (unsigned short)inode->st_mode;
    st->ino = inode->st_ino;
    st->size = inode->st_size;
    st->blocks = (inode->st_size + 511) / 512;
    st->atime.seconds = st->ctime.seconds = st->mtime.seconds = inode->mtime;
    st->atime.nanoseconds = st->ctime.nanoseconds = st->mtime.nanoseconds = inode->mtime_ns;
    st->rdev_major = major_of(inode->st_rdev);
    st->rdev_minor = minor_of(inode->st_rdev);
    st->dev_major = major_of(inode->st_dev);
    st->dev_minor = minor_of(inode->st_dev);
    st->mnt_id = mount->id;
    st->attributes_mask = STATX_ATTR_MOUNT_ROOT;
    if ((inode->st_mode & S_IFMT) == S_IFDIR && is_root_of_mount(inode))
        st->attributes = STATX_ATTR_MOUNT_ROOT;
}

struct kernel_statfs {
    i64 type, bsize;
    u64 blocks, bfree, bavail, files, ffree;
    u32 fsid[2];
    i64 namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct kernel_statfs) == 120, "asm-generic/statfs.h");
#define FUSE_SUPER_MAGIC 0x65735546
#define ST_FLAGS (1 /* read-only */ | 2 /* nosuid */ | 4 /* nodev */ | 0x20 /* these are valid */)

static inline void fill_statfs(struct kernel_statfs *st, const struct inode *inode)
{
    const struct mount *mount = at(index_of(), inode->mount_at);
    zero(st, sizeof *st);
    st->type = FUSE_SUPER_MAGIC; /* what programs see on a mounted CernVM-FS */
    st->bsize = st->frsize = BLOCK_SIZE;
    st->blocks = (mount->bytes + BLOCK_SIZE - 1) / BLOCK_SIZE; /* all of them taken: there is nothing free */
    st->files = mount->files;
    st->fsid[0] = (u32)inode->st_dev;
    st->namelen = NAME_LIMIT;
    st->flags = ST_FLAGS;
}

/* The answer by descriptor: the kernel's own, replaced where the object is one of ours. */
static inline long stat_fd(struct kernel_stat *st)
{
    long r = native();
    if (r < 0)
        return r;
    const struct inode *inode = standing_in(st->st_dev, st->st_ino, (u32)st->st_nlink, st->times[2]);
    if (inode)
        fill_stat(st, inode);
    else if (is_files_directory(st->st_dev, st->st_mode))
        return hidden_error();
    else if (may_count_files(st->st_mode, (u64)st->st_size))
        st->st_size -= (i64)uncounted();
    return r;
}

static inline __attribute__((always_inline)) long statx_fd(struct kernel_statx *st)
{
    long r = native();
    if (r < 0)
        return r;
    u64 device = ((u64)(st->dev_major & 0xfff) << 8) | (st->dev_minor & 0xff) | ((u64)(st->dev_minor & ~0xffU) << 12) |
                 ((u64)(st->dev_major & ~0xfffU) << 32);
    if (is_files_directory(device, st->mode))
        return hidden_error();
    if (may_count_files(st->mode, st->size))
        st->size -= uncounted();
    if (!may_be_standin(index_of(), device, st->nlink))
        return r;
    const struct inode *inode = st->mask & STATX_MTIME
                                    ? standing_in(device, st->ino, st->nlink, st->mtime.seconds)
                                    : identify((int)f->a[0], (const char *)f->a[1], (int)f->a[2]); /* not asked for, not told */
    if (inode)
        fill_statx(st, inode, (u32)f->a[3]);
    return r;
}
#endif
