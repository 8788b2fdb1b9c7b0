/* What each kind of call does: on a virtual inode, with data that the server sent, and where the kernel answers. */
#ifndef HEPWRAP_ACTING_H
#define HEPWRAP_ACTING_H
#include "attributes.h"
#include "names.h"
#include "opening.h"

static inline long do_access(const struct inode *inode, int mode, int checked)
{
    u32 type = inode->st_mode & S_IFMT;
    if (checked)
        return 0;
    if ((mode & W_OK))
        return type == S_IFREG || type == S_IFDIR || type == S_IFLNK ? -EROFS : STALE;
    if ((mode & X_OK) && (inode->flags & INODE_EXEC_NO))
        return -EACCES;
    if (inode->flags & INODE_UNCHECKED)
        return 0;
    if (((mode & R_OK) && !(inode->flags & INODE_READ_YES)) || ((mode & X_OK) && !(inode->flags & INODE_EXEC_YES)))
        return STALE;
    return 0;
}

static inline long do_getxattr(const char *name)
{
    long r = foreign_attribute(name);
    return r ? r : STALE;
}

/* The call on a virtual inode.  STALE: the server has to say. */
static inline long act(const struct inode *inode)
{
    u32 path = f->row->path;
    switch (f->row->handler) {
    case DO_open: case DO_openat2: case DO_creat:
        return do_open(inode);
    case DO_stat: case DO_lstat:
        fill_stat((struct kernel_stat *)f->a[1], inode);
        return 0;
    case DO_newfstatat:
        fill_stat((struct kernel_stat *)f->a[2], inode);
        return 0;
    case DO_statx:
        fill_statx((struct kernel_statx *)f->a[4], inode, (u32)f->a[3]);
        return 0;
    case DO_access: case DO_faccessat: case DO_faccessat2:
        return do_access(inode, (int)f->a[path + 1], f->asked);
    case DO_readlink: case DO_readlinkat:
        return read_link(inode, (char *)f->a[path + 1], (i32)f->a[path + 2]);
    case DO_chdir:
        return do_chdir(inode);
    case DO_statfs:
        fill_statfs((struct kernel_statfs *)f->a[1], inode);
        return 0;
    case DO_getxattr: case DO_lgetxattr:
        return do_getxattr(TEXT_ARGUMENT(1));
    case DO_getxattrat:
        return do_getxattr(TEXT_ARGUMENT(3));
    case DO_standin:
        return native_on_standin(inode, path);
    default:
        return STALE;
    }
}

/* Where the caller wants the data of an answer. */
static inline long deliver(void)
{
    const u64 *args;
    switch (f->row->handler) {
    case DO_getxattr: case DO_lgetxattr: case DO_fgetxattr:
        return put_value(f->noted, (char *)f->a[2], f->a[3]);
    case DO_getxattrat:
        args = (const u64 *)f->a[4];
        return put_value(f->noted, (char *)args[0], (u32)args[1]);
    case DO_listxattrat:
        return put_value(f->noted, (char *)f->a[3], f->a[4]);
    case DO_listxattr: case DO_llistxattr: case DO_flistxattr:
        return put_value(f->noted, (char *)f->a[1], f->a[2]);
    default:
        return -EIO;
    }
}

/* The kernel's answer, with virtual names and attributes where it has come upon a stand-in (by /proc/PID/cwd ...). */
static __attribute__((noinline)) long kernel_says(const struct row *row)
{
    u32 path = row->path;
    switch (row->handler) {
    case DO_stat: case DO_lstat:
        return stat_fd((struct kernel_stat *)f->a[1]);
    case DO_newfstatat:
        return stat_fd((struct kernel_stat *)f->a[2]);
    case DO_statx:
        return statx_fd((struct kernel_statx *)f->a[4]);
    case DO_readlink: case DO_readlinkat:
        return show_link(dirfd_of(row), TEXT_ARGUMENT(path), (char *)f->a[path + 1], (i32)f->a[path + 2], native());
    default:
        return native();
    }
}
#endif
