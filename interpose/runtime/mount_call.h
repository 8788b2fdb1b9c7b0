/* Calls on mounts and roots: one path, and for a bind mount what is to be shown there. */
#ifndef HEPWRAP_MOUNT_CALL_H
#define HEPWRAP_MOUNT_CALL_H
#include "path_call.h"

/* Is the source of mount(2) a path of the caller's, and no device or name of the file system's own?  And that of
 * move_mount(2), and no descriptor alone? */
static inline int has_source(void)
{
    if (f->row->second_path > 5 || !path_of(1))
        return 0;
    if (f->row->number == NR_mount)
        return (f->a[3] & (MS_BIND | MS_MOVE)) && !(f->a[3] & MS_REMOUNT);
    f->follow = (f->a[4] & MOVE_MOUNT_F_SYMLINKS) != 0;
    return *(const volatile char *)path_of(1) != 0;
}

/* What becomes of the call if its source could be virtual: by that name the kernel might find another thing, of a /cvmfs of
 * the host's, and behind a link of /proc an empty directory.  LET_KERNEL: it is not. */
static __attribute__((noinline)) u64 look_at_source(void)
{
    u64 target = first_look(1);
    int stands = identify(start_of(1), path_of(1), 0) != 0;
    if (!stands && target == LET_KERNEL)
        return LET_KERNEL;
    first_look(0); /* for what the other path starts at */
    target = ask(f->base, f->noted, REASON_ASK | (u64)f->follow << 8, 0);
    f->base = f->noted = 0;
    return stands && TARGET_KIND(target) != TARGET_ERRNO ? TARGET(TARGET_MISSING, 0) : target;
}

/* The kernel shall show nothing, in its own order of errors; the server has said why to whoever could have done it. */
static __attribute__((noinline)) long show_nothing(void)
{
    u64 second = f->row->second_path, source = f->a[second];
    f->a[second] = (u64)nowhere;
    long r = native();
    f->a[second] = source; /* the caller's registers are restored from here */
    return r;
}

static __attribute__((noinline)) long mount_call(void)
{
    long wrong = wrong_for_kernel(f->row); /* who may not is told so before any path is read */
    if (wrong != STALE)
        return wrong;
    u64 target = has_source() ? look_at_source() : LET_KERNEL;
    if (TARGET_KIND(target) == TARGET_ERRNO)
        return -(long)TARGET_VALUE(target);
    return TARGET_KIND(target) == TARGET_MISSING ? show_nothing() : path_call();
}
#endif
