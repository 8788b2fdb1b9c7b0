/* Opening what stands in for a virtual object: a memory file, or an empty deleted directory, held by the server. */
#ifndef HEPWRAP_STANDIN_H
#define HEPWRAP_STANDIN_H
#include "where.h"

/* "/proc/<server>/fd/<n>" fits. */
#define STANDIN_NAME 40

static inline char *put_number(char *to, u32 number)
{
    u32 divisor = 1;
    while (number / divisor >= 10)
        divisor *= 10;
    for (; divisor; divisor /= 10)
        *to++ = (char)('0' + number / divisor % 10);
    return to;
}

static inline void standin_name(char *to, u32 descriptor)
{
    static const char proc[] = "/proc/", fd[] = "/fd/";
    for (const char *s = proc; *s; s++)
        *to++ = *s;
    to = put_number(to, index_of()->server);
    for (const char *s = fd; *s; s++)
        *to++ = *s;
    *put_number(to, descriptor) = 0;
}

/* Is this a refusal of the program's own making (limits, signals), not a consequence of the detour? */
static inline int honest_failure(long r)
{
    return r == -EMFILE || r == -ENFILE || r == -EINTR || r == -ENXIO;
}

/* Opens the stand-in of `inode`.  A fresh open file description, or the errno, or STALE.  In another pid namespace the
 * name may lead to a stranger's file: the caller must see that the descriptor is the inode's. */
static __attribute__((noinline)) long open_standin(const struct inode *inode, int flags)
{
    char name[STANDIN_NAME];
    u32 sequence = LOAD(inode->sequence);
    i32 descriptor = LOAD(inode->descriptor);
    if (descriptor < 0)
        return STALE;
    standin_name(name, (u32)descriptor);
    long r = raw4(NR_openat, AT_FDCWD, name, flags, 0);
    if (r < 0)
        return honest_failure(r) ? r : STALE;
    if (LOAD(inode->sequence) == sequence)
        return r;
    raw1(NR_close, r); /* evicted under our feet: the number may be another's now */
    return STALE;
}

/* The call `f` with its path argument replaced by the name of the stand-in. */
static __attribute__((noinline)) long native_on_standin(const struct inode *inode, u32 which)
{
    char name[STANDIN_NAME];
    u32 sequence = LOAD(inode->sequence);
    i32 descriptor = LOAD(inode->descriptor);
    if (descriptor < 0)
        return STALE;
    standin_name(name, (u32)descriptor);
    u64 given = f->a[which];
    f->a[which] = (u64)name;
    long r = native();
    f->a[which] = given; /* the caller's registers are restored from here */
    if (LOAD(inode->sequence) != sequence || r == -ENOENT || r == -EACCES || r == -EPERM)
        return STALE;
    return r;
}
#endif
