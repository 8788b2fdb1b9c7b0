/* What each kind of call does: on a virtual inode, with data that the server sent, and where the kernel answers. */
#ifndef HEPWRAP_ACTING_H
#define HEPWRAP_ACTING_H
#include "attributes.h"
#include "handover.h"
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

/* There is no mount to be watched, and that of the stand-in is the host's: what else is wrong the kernel says first. */
static __attribute__((noinline)) long watch_mount(void)
{
    static const char nothing[] = "";
    u64 *path = &f->a[f->row->path], given = *path;
    *path = (u64)nothing;
    long r = native();
    *path = given; /* the caller's registers are restored from there */
    return r == -ENOENT ? -EINVAL : r;
}

/* What the stand-in cannot tell: watchers must be allowed to read, and a file that is watched must not leave memory; sockets
 * and devices have no attributes. */
static inline long act_on_standin(const struct inode *inode)
{
    u32 number = f->row->number, type = inode->st_mode & S_IFMT;
    int watches = number == NR_inotify_add_watch || number == NR_fanotify_mark;
    if (watches && !f->asked && (type == S_IFREG || !(inode->flags & (INODE_READ_YES | INODE_UNCHECKED))))
        return STALE;
    if (number == NR_fanotify_mark && f->a[1] & (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM))
        return watch_mount();
    if (number == NR_file_getattr && (type == S_IFSOCK || type == S_IFCHR || type == S_IFBLK))
        return -EOPNOTSUPP;
    return native_on_standin(inode);
}

static inline long do_getxattr(const char *name)
{
    long r = foreign_attribute(name);
    return r ? r : STALE;
}

static inline void *buffer_of(const struct row *row)
{
    return (void *)f->a[row->buffer];
}

/* The call on a virtual inode.  STALE: the server has to say. */
static inline long act(const struct inode *inode)
{
    const struct row *row = f->row;
    switch (row->handler) {
    case DO_open_tree:
        return f->a[2] & OPEN_TREE_CLONE ? STALE : do_open(inode); /* there is no mount to be cloned */
    case DO_open: case DO_openat2: case DO_creat:
        return do_open(inode);
    case DO_stat: case DO_lstat: case DO_newfstatat:
        fill_stat(buffer_of(row), inode);
        return 0;
    case DO_statx:
        fill_statx(buffer_of(row), inode, (u32)f->a[3]);
        return 0;
    case DO_access: case DO_faccessat: case DO_faccessat2:
        return do_access(inode, (int)f->a[row->path + 1], f->asked);
    case DO_readlink: case DO_readlinkat:
        return read_link(inode, buffer_of(row), (i32)f->a[row->buffer + 1]);
    case DO_chdir:
        return do_chdir(inode);
    case DO_statfs:
        fill_statfs(buffer_of(row), inode);
        return 0;
    case DO_getxattr: case DO_lgetxattr:
        return do_getxattr(TEXT_ARGUMENT(1));
    case DO_getxattrat:
        return do_getxattr(TEXT_ARGUMENT(3));
    case DO_standin:
        return act_on_standin(inode);
    default:
        return STALE;
    }
}

/* Where the caller wants the data of an answer. */
static inline long deliver(void)
{
    const struct row *row = f->row;
    const volatile u64 *args;
    switch (row->handler) {
    case DO_getxattrat:
        args = (const volatile u64 *)f->a[4];
        return put_value(f->noted, (char *)args[0], (u32)args[1]);
    case DO_getxattr: case DO_lgetxattr: case DO_fgetxattr:
    case DO_listxattrat: case DO_listxattr: case DO_llistxattr: case DO_flistxattr:
        return put_value(f->noted, buffer_of(row), f->a[row->buffer + 1]);
    default:
        return -EIO;
    }
}

/* The kernel's answer, with virtual names and attributes where it has come upon a stand-in (by /proc/PID/cwd ...). */
static __attribute__((noinline)) long kernel_says(void)
{
    const struct row *row = f->row;
    switch (row->handler) {
    case DO_stat: case DO_lstat: case DO_fstat: case DO_newfstatat:
        return stat_fd(buffer_of(row));
    case DO_statx:
        return statx_fd(buffer_of(row));
    case DO_readlink: case DO_readlinkat:
        return show_link(native());
    case DO_open: case DO_openat2:
        return show_table(native());
    case DO_chdir:
        return native_change();
    default:
        return native();
    }
}
#endif
