/* Opening what stands in for a virtual object: a memory file, or an empty deleted directory, held by the server. */
#ifndef HEPWRAP_STANDIN_H
#define HEPWRAP_STANDIN_H
#include "where.h"

/* "/proc/<server>/fd/<n>/." fits. */
#define STANDIN_NAME 40

/* All written from the end to the front: `end` is behind the last byte, the result is the first. */
static inline char *put_before(char *end, const char *text, u32 length)
{
    while (length)
        *--end = text[--length];
    return end;
}

static inline char *put_number(char *end, u32 number)
{
    do
        *--end = (char)('0' + number % 10);
    while (number /= 10);
    return end;
}

/* The name of a descriptor of the server's; with `inside` that of the directory's own entry, which is no link. */
static inline const char *standin_name(char name[STANDIN_NAME], u32 descriptor, int inside)
{
    char *at = put_before(name + STANDIN_NAME, inside ? "/." : "", inside ? 3 : 1);
    at = put_number(at, descriptor);
    at = put_before(at, "/fd/", 4);
    at = put_number(at, index_of()->server);
    return put_before(at, "/proc/", 6);
}

/* The name of a memory file in the directory of those (cache/private_mount.py). */
static inline char *file_name(char name[STANDIN_NAME], u64 at_offset)
{
    char *at = put_before(name + STANDIN_NAME, "", 1);
    at = put_number(at, (u32)at_offset);
    at = put_before(at, "-", 1);
    return put_before(at, (const char *)&index_of()->files_token, 8);
}

/* Is this a refusal of the program's own making (limits, signals), not a consequence of the detour? */
static inline int honest_failure(long r, int flags)
{
    return r == -EMFILE || r == -ENFILE || r == -EINTR || r == -ENXIO || (r == -EINVAL && (flags & O_DIRECT));
}

/* Opens a memory file by its name, in whatever namespaces, or says why not; STALE: it has no name, or has left, or the
 * program has not kept the directory.  Nothing else is called so, and it is called so only as long as it is complete. */
static __attribute__((noinline)) long open_by_name(const struct inode *inode, int flags)
{
    char name[STANDIN_NAME];
    if (!index_of()->files_token || !is_kind(inode, S_IFREG) || LOAD(inode->descriptor) < 0)
        return STALE;
    long r = raw4(NR_openat, index_of()->files_at, file_name(name, offset_of(inode)), flags, 0);
    return r < 0 && !honest_failure(r, flags) ? STALE : r;
}

/* Opens the stand-in of `inode`.  A fresh open file description, or the errno, or STALE.  In another pid namespace the
 * name may lead to a stranger's file: the caller must see that the descriptor is the inode's.  O_NOFOLLOW only for
 * directories: the name itself is a link. */
static __attribute__((noinline)) long open_standin(const struct inode *inode, int flags)
{
    char name[STANDIN_NAME];
    u32 sequence = LOAD(inode->sequence);
    i32 descriptor = LOAD(inode->descriptor);
    if (descriptor < 0)
        return STALE;
    long r = raw4(NR_openat, AT_FDCWD, standin_name(name, (u32)descriptor, flags & O_NOFOLLOW), flags, 0);
    if (r < 0)
        return honest_failure(r, flags) ? r : STALE;
    if (LOAD(inode->sequence) == sequence)
        return r;
    raw1(NR_close, r); /* evicted under our feet: the number may be another's now */
    return STALE;
}

/* The name of a stand-in is a link, which has to be followed whatever the call says. */
static inline void follow_by_number(u32 number)
{
    if (number == NR_name_to_handle_at)
        f->a[4] |= AT_SYMLINK_FOLLOW;
    if (number == NR_inotify_add_watch)
        f->a[2] &= ~(u64)IN_DONT_FOLLOW;
    if (number == NR_file_getattr)
        f->a[4] &= ~(u64)AT_SYMLINK_NOFOLLOW;
    if (number == NR_fanotify_mark)
        f->a[1] &= ~(u64)FAN_MARK_DONT_FOLLOW;
}

/* The call `f` with its path argument replaced by the name of the stand-in. */
static __attribute__((noinline)) long native_on_standin(const struct inode *inode)
{
    char name[STANDIN_NAME];
    u32 path = f->row->path, sequence = LOAD(inode->sequence);
    u64 given[6];
    i32 descriptor = LOAD(inode->descriptor);
    if (descriptor < 0)
        return STALE;
    for (u32 i = 0; i < 6; i++)
        given[i] = f->a[i];
    f->a[path] = (u64)standin_name(name, (u32)descriptor, 0);
    follow_by_number(f->row->number);
    long r = native();
    for (u32 i = 0; i < 6; i++)
        f->a[i] = given[i]; /* the caller's registers are restored from here */
    if (LOAD(inode->sequence) != sequence || r == -ENOENT || r == -EACCES || r == -EPERM)
        return STALE;
    return r;
}
#endif
