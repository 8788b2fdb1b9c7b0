/* open, openat, openat2, creat and chdir of a virtual object. */
#ifndef HEPWRAP_OPENING_H
#define HEPWRAP_OPENING_H
#include "arguments.h"
#include "standin.h"

/* Flags that are of no meaning once a file is open, or must not be there when its stand-in is opened. */
#define SPENT_BY_OPEN (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_NOFOLLOW | (O_TMPFILE & ~O_DIRECTORY))

/* open of a virtual object.  STALE: only the server can tell. */
static inline long do_open(const struct inode *inode)
{
    int flags = f->flags;
    u32 type = inode->st_mode & S_IFMT;
    if (!f->asked && ((flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE & ~O_DIRECTORY)))
        return STALE;
    if ((flags & O_DIRECTORY) && type != S_IFDIR)
        return -ENOTDIR;
    if (flags & O_PATH)
        return OPEN_IT;
    if (type == S_IFLNK)
        return -ELOOP;
    if ((flags & O_ACCMODE) && (type == S_IFDIR || type == S_IFREG))
        return type == S_IFDIR ? -EISDIR : -EROFS;
    if (type == S_IFCHR || type == S_IFBLK)
        return -EACCES; /* mounted nodev */
    int everybody_may = (inode->flags & INODE_UNCHECKED) || (!(flags & O_ACCMODE) && (inode->flags & INODE_READ_YES));
    if (!f->asked && (!everybody_may || (flags & O_NOATIME))) /* only its owner may leave the time of access */
        return STALE;
    if (type == S_IFSOCK)
        return -ENXIO;
    if (type == S_IFIFO && (flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    return OPEN_IT;
}

static inline long do_chdir(const struct inode *inode)
{
    if ((inode->st_mode & S_IFMT) != S_IFDIR)
        return -ENOTDIR;
    if (!f->asked && !(inode->flags & (INODE_EXEC_YES | INODE_UNCHECKED)))
        return STALE;
    return OPEN_IT;
}

/* open and chdir, once it is known what is to be opened. */
static inline int standin_flags(const struct inode *inode)
{
    int flags = f->flags;
    if (f->row->handler > DO_creat)
        return O_PATH | O_CLOEXEC | O_DIRECTORY;
    if ((inode->st_mode & S_IFMT) == S_IFDIR)
        return flags & ~(SPENT_BY_OPEN & ~O_NOFOLLOW);
    return flags & ~SPENT_BY_OPEN;
}

/* The working directory f->noted by the name of its stand-in, where the program has no descriptor left: chdir(2) needs none.
 * Should that be evicted in between, the process is elsewhere until this is made again. */
static __attribute__((noinline)) long enter_by_name(void)
{
    char name[STANDIN_NAME];
    const struct inode *inode = at(index_of(), f->noted);
    u32 sequence = LOAD(inode->sequence);
    i32 descriptor = LOAD(inode->descriptor);
    if (descriptor < 0 || LOAD(index_of()->flags) & HEADER_WANDERERS)
        return -EMFILE;
    int announced = announce_change();
    long r = raw1(NR_chdir, standin_name(name, (u32)descriptor, 1));
    change_is_made(announced);
    return r < 0 ? -EMFILE : LOAD(inode->sequence) == sequence ? 0 : STALE;
}

/* What the call gives once its stand-in has been opened, or could not be. */
static inline long opened(long fd)
{
    if (fd == -EMFILE && f->row->handler == DO_chdir)
        return enter_by_name();
    if (fd < 0 || f->row->handler <= DO_creat)
        return fd;
    int announced = announce_change();
    long r = raw1(NR_fchdir, fd);
    change_is_made(announced);
    raw1(NR_close, fd);
    return r;
}
#endif
