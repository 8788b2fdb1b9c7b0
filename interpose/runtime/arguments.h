/* What the arguments of a call say, and what is wrong with them before any path is looked at: the kernel's order of errors. */
#ifndef HEPWRAP_ARGUMENTS_H
#define HEPWRAP_ARGUMENTS_H
#include "rows.h"
#include "where.h"

#define FD_ARGUMENT(i) ((int)f->a[i])
#define TEXT_ARGUMENT(i) ((const char *)f->a[i])

/* What a path of this call is relative to. */
static inline int dirfd_of(const struct row *row)
{
    return row->dirfd < 6 ? FD_ARGUMENT(row->dirfd) : AT_FDCWD;
}

static inline int second_dirfd(void)
{
    return f->row->second_dirfd < 6 ? FD_ARGUMENT(f->row->second_dirfd) : AT_FDCWD;
}

static inline int open_flags(u32 handler, u32 path)
{
    if (handler == DO_creat)
        return O_CREAT | O_WRONLY | O_TRUNC;
    if (handler == DO_openat2)
        return (int)*(const volatile u64 *)f->a[2];
    return (int)f->a[path + 1];
}

/* Flags and whether a last symbolic link is followed, from the arguments of this kind of call. */
static inline void read_flags(void)
{
    u32 handler = f->row->handler;
    f->flags = 0;
    f->follow = 1;
    switch (handler) {
    case DO_open: case DO_openat2: case DO_creat:
        f->flags = open_flags(handler, f->row->path);
        if (f->flags & O_PATH) /* all others are ignored, says open(2) */
            f->flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        f->follow = !(f->flags & O_NOFOLLOW) && (f->flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
        return;
    case DO_newfstatat: case DO_faccessat2:
        f->flags = (int)f->a[3];
        break;
    case DO_statx: case DO_getxattrat: case DO_listxattrat:
        f->flags = (int)f->a[2];
        break;
    case DO_lstat: case DO_readlink: case DO_readlinkat: case DO_lgetxattr: case DO_llistxattr:
        f->follow = 0;
        return;
    case DO_standin:
        if (f->row->number == 303) /* name_to_handle_at does not follow unless told */
            f->follow = (f->a[4] & AT_SYMLINK_FOLLOW) != 0;
        return;
    default:
        return;
    }
    f->follow = !(f->flags & AT_SYMLINK_NOFOLLOW);
}

/* What the kernel finds wrong with a call before it looks at any path: it is asked, about a path that nobody has. */
static __attribute__((noinline)) long wrong_for_kernel(const struct row *row)
{
    static const char nowhere[] = "/proc/0/-";
    u64 given = f->a[row->path], second = row->second_path < 6 ? f->a[row->second_path] : 0;
    f->a[row->path] = (u64)nowhere;
    if (row->second_path < 6)
        f->a[row->second_path] = (u64)nowhere;
    long r = native();
    f->a[row->path] = given; /* the caller's registers are restored from here */
    if (row->second_path < 6)
        f->a[row->second_path] = second;
    if ((row->number == NR_symlink || row->number == NR_symlinkat) && !*(const volatile char *)f->a[0])
        return -ENOENT; /* that of an empty target, which here is no path to be looked at */
    return r == -ENOENT || r == -ENOTDIR || r == -EACCES ? STALE : r;
}

/* The same of a call on a descriptor. */
static __attribute__((noinline)) long wrong_but_descriptor(u32 place)
{
    u64 given = f->a[place];
    f->a[place] = (u64)-1;
    long r = native();
    f->a[place] = given; /* the caller's registers are restored from here */
    return r == -EBADF ? STALE : r;
}

/* Such a descriptor serves for its path only, and for next to no call (open(2)). */
static inline int is_path_only(int fd)
{
    return (raw3(NR_fcntl, fd, F_GETFL, 0) & O_PATH) != 0;
}

static inline long wrong_attribute_name(const char *name)
{
    u32 length = 0;
    while (length <= NAME_LIMIT && ((const volatile char *)name)[length])
        length++;
    return length == 0 || length > NAME_LIMIT ? -ERANGE : STALE;
}

/* Errors that come before any that a path could give; STALE: none.  By hand where a call is frequent. */
static inline long wrong_arguments(void)
{
    const u64 *args = f->a;
    int wrong = 0;
    switch (f->row->handler) {
    case DO_newfstatat:
        wrong = f->flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE);
        break;
    case DO_statx:
        wrong = (f->flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (args[3] & STATX_RESERVED) ||
                (f->flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE));
        break;
    case DO_faccessat2:
        wrong = f->flags & ~(AT_SYMLINK_NOFOLLOW | AT_EACCESS | AT_EMPTY_PATH);
        __attribute__((fallthrough));
    case DO_access: case DO_faccessat:
        wrong |= (int)args[f->row->path + 1] & ~7;
        break;
    case DO_readlink: case DO_readlinkat:
        wrong = (i32)args[f->row->path + 2] <= 0;
        break;
    case DO_getxattr: case DO_lgetxattr:
        return wrong_attribute_name((const char *)args[1]);
    case DO_open: case DO_creat:
        return f->flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? wrong_for_kernel(f->row) : STALE;
    case DO_openat2: case DO_getxattrat: case DO_listxattrat: case DO_write1: case DO_standin:
        return wrong_for_kernel(f->row);
    default:
        break;
    }
    return wrong ? -EINVAL : STALE;
}

/* utimensat looks at its times between the object and the mount. */
static inline int wrong_times(const struct row *row)
{
    const volatile i64 *times = (const volatile i64 *)f->a[2];
    if (row->number != NR_utimensat || !times)
        return 0;
    for (int i = 1; i < 4; i += 2)
        if ((u64)times[i] > 999999999 && times[i] != UTIME_NOW && times[i] != UTIME_OMIT)
            return 1;
    return 0;
}

/* Calls on a descriptor alone that do not do with one that is only a path. */
static inline int wants_open_file(const struct row *row)
{
    u32 n = row->number;
    return row->handler == DO_getxattrat || row->handler == DO_listxattrat || n == NR_setxattrat || n == NR_removexattrat ||
           ((n == NR_utimensat || n == NR_futimesat) && !f->a[row->path]);
}

/* Calls that make something: what is missing is not the whole answer, the server knows the order of errors. */
static inline int makes(void)
{
    return f->row->handler == DO_write1 || (f->row->handler <= DO_creat && (f->flags & O_CREAT));
}
#endif
