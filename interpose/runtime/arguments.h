/* What the arguments of a call say, and what is wrong with them before any path is looked at: the kernel's order of errors. */
#ifndef HEPWRAP_ARGUMENTS_H
#define HEPWRAP_ARGUMENTS_H
#include "rows.h"
#include "where.h"

#define FD_ARGUMENT(i) ((int)f->a[i])
#define TEXT_ARGUMENT(i) ((const char *)f->a[i])

/* What a call does with a symbolic link at the end of its path, and which kind of flags it has. */
enum last_link { FOLLOWED, KEPT, BY_AT_FLAGS, BY_OPEN_FLAGS, BY_HOW, BY_TREE_FLAGS, BY_NUMBER };
static const u8 last_link_of[] = {
    [DO_open] = BY_OPEN_FLAGS, [DO_creat] = BY_OPEN_FLAGS, [DO_openat2] = BY_HOW, [DO_open_tree] = BY_TREE_FLAGS,
    [DO_lstat] = KEPT, [DO_readlink] = KEPT, [DO_readlinkat] = KEPT, [DO_lgetxattr] = KEPT, [DO_llistxattr] = KEPT,
    [DO_newfstatat] = BY_AT_FLAGS, [DO_statx] = BY_AT_FLAGS, [DO_faccessat2] = BY_AT_FLAGS,
    [DO_getxattrat] = BY_AT_FLAGS, [DO_listxattrat] = BY_AT_FLAGS,
    [DO_write1] = BY_NUMBER, [DO_standin] = BY_NUMBER, [DO_refused] = BY_NUMBER, [DO_mounts] = BY_NUMBER,
};

/* Those of open(2): the flags, and whether they have a last link followed. */
static inline void take_open_flags(i32 flags)
{
    if (flags & O_PATH) /* all others are ignored */
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    f->flags = flags;
    f->follow = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
}

/* Calls that would write, or that the kernel makes with a stand-in: each says in a way of its own that it looks at the
 * link itself. */
static inline int follows_by_number(u32 number)
{
    switch (number) {
    case NR_name_to_handle_at:
        return (f->a[4] & AT_SYMLINK_FOLLOW) != 0;
    case NR_inotify_add_watch:
        return !(f->a[2] & IN_DONT_FOLLOW);
    case NR_fanotify_mark:
        return !(f->a[1] & FAN_MARK_DONT_FOLLOW);
    case NR_fspick:
        return !(f->a[2] & FSPICK_SYMLINK_NOFOLLOW);
    case NR_umount2:
        return !(f->a[1] & UMOUNT_NOFOLLOW);
    case NR_lchown: case NR_lsetxattr: case NR_lremovexattr:
        return 0;
    default:
        return f->row->flags > 5 || !(f->a[f->row->flags] & AT_SYMLINK_NOFOLLOW);
    }
}

/* Flags, rules and whether a last symbolic link is followed, from the arguments of this kind of call. */
static inline void read_flags(void)
{
    const struct row *row = f->row;
    u32 way = row->handler < sizeof last_link_of ? last_link_of[row->handler] : FOLLOWED;
    if (way == KEPT)
        f->follow = 0;
    if (way <= KEPT)
        return;
    if (way == BY_AT_FLAGS) {
        f->flags = (i32)f->a[row->flags];
        f->follow = !(f->flags & AT_SYMLINK_NOFOLLOW);
    } else if (way == BY_OPEN_FLAGS) {
        take_open_flags(row->handler == DO_creat ? O_CREAT | O_WRONLY | O_TRUNC : (i32)f->a[row->flags]);
    } else if (way == BY_HOW) {
        const volatile struct open_how *how = (const volatile struct open_how *)f->a[2];
        take_open_flags((i32)how->flags);
        f->rules = (short)how->resolve;
    } else if (way == BY_TREE_FLAGS) { /* a tree that is not cloned is a path that is opened (open_tree(2)) */
        take_open_flags(O_PATH | ((i32)f->a[2] & O_CLOEXEC) | (f->a[2] & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
        f->flags &= ~O_NOFOLLOW;
    } else {
        f->follow = follows_by_number(row->number) != 0;
    }
}

/* Has openat2 a structure that can be read?  Sizes are judged before the pointer is. */
static inline int has_how(void)
{
    return f->a[3] >= sizeof(struct open_how) && f->a[3] <= SMALLEST_PAGE;
}

/* A path that nobody has. */
static const char nowhere[] = "/proc/0/-";

/* What the kernel finds wrong with a call before it looks at any path: it is asked, about a path that nobody has.  What is
 * to be mounted there may stay as it is, and is read before. */
static __attribute__((noinline)) long wrong_for_kernel(const struct row *row)
{
    static const char nothing[] = ""; /* openat2's rules hold for a path, not for none */
    int both = row->handler == DO_write2;
    u64 given = f->a[row->path], second = both ? f->a[row->second_path] : 0;
    f->a[row->path] = (u64)(row->handler == DO_openat2 ? nothing : nowhere);
    if (both)
        f->a[row->second_path] = (u64)nowhere;
    long r = native();
    f->a[row->path] = given; /* the caller's registers are restored from here */
    if (both)
        f->a[row->second_path] = second;
    if ((row->number == NR_symlink || row->number == NR_symlinkat) && !*(const volatile char *)f->a[0])
        return -ENOENT; /* that of an empty target, which here is no path to be looked at */
    return r == -ENOENT || r == -ENOTDIR || r == -EACCES ? STALE : r;
}

/* Watchers are judged by their own descriptor before their path is read, and what needs a privilege by that. */
static inline long wrong_before_path(const struct row *row)
{
    int watches = row->number == NR_inotify_add_watch || row->number == NR_fanotify_mark;
    return watches || row->handler > DO_standin ? wrong_for_kernel(row) : STALE;
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
    case DO_open_tree: case DO_openat2: case DO_getxattrat: case DO_listxattrat: case DO_entry: case DO_write1: case DO_standin:
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
           n == NR_file_getattr || n == NR_file_setattr || ((n == NR_utimensat || n == NR_futimesat) && !f->a[row->path]);
}

/* Calls that make something: what is missing is not the whole answer, the server knows the order of errors. */
static inline int makes(void)
{
    return f->row->handler == DO_entry || f->row->handler == DO_write1 || (f->row->handler <= DO_creat && (f->flags & O_CREAT));
}
#endif
