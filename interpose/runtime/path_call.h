/* A call on one path, or on a descriptor in its place: from the arguments to the result. */
#ifndef HEPWRAP_PATH_CALL_H
#define HEPWRAP_PATH_CALL_H
#include "acting.h"
#include "handover.h"

/* The kernel shall answer, about this path.  The caller of follow_target sees to it, from its own place on the stack. */
static inline long let_kernel(u64 path)
{
    f->a[f->row->path] = path;
    return ASK_KERNEL;
}

/* From a target to the result; asks the server as often as it takes. */
static __attribute__((noinline)) long follow_target(u64 target)
{
    for (u32 tries = 0; tries < 8; tries++) {
        long r = STALE;
        switch (TARGET_KIND(target)) {
        case TARGET_ERRNO:
            if (f->asked || !makes())
                return -(long)TARGET_VALUE(target);
            break;
        case TARGET_HOST:
            if (f->row->handler < DO_write1 || f->row->handler == DO_standin || f->asked)
                return let_kernel((u64)at(index_of(), TARGET_VALUE(target)));
            break;
        case TARGET_NATIVE:
            return let_kernel(f->a[f->row->path]);
        case TARGET_DATA:
            r = deliver();
            if (r != STALE_DATA)
                return r;
            break;
        case TARGET_INODE:
            r = act(inode_at(target));
            if (is_in_mailbox(target) && !slot_is_still(f->noted))
                r = STALE; /* read too late: it may have been another's */
            f->noted = TARGET_VALUE(target);
            if (r != STALE)
                return r;
            break;
        default:
            break;
        }
        u64 why = (f->asked++ ? REASON_STALE : REASON_ASK) | (u64)f->follow << 8 | (u64)(u32)f->flags << 32;
        target = ask(f->base, 0, why, &f->noted);
    }
    return -EIO;
}

/* A path that is empty, or no path at all: the call is about the descriptor. */
static inline long on_descriptor(void)
{
    switch (f->row->handler) {
    case DO_newfstatat:
        return stat_fd((struct kernel_stat *)f->a[2]);
    case DO_statx:
        return statx_fd((struct kernel_statx *)f->a[4]);
    default:
        break;
    }
    const struct inode *inode = f->row->dirfd < 6 ? identify_fd(dirfd_of(f->row)) : 0;
    if (!inode)
        return native();
    long wrong = wrong_but_descriptor(f->row->dirfd); /* does this call take an empty path at all? */
    if (wrong != STALE)
        return wrong;
    if (wants_open_file(f->row) && is_path_only(dirfd_of(f->row)))
        return -EBADF;
    f->base = offset_of(inode);
    if (f->row->handler == DO_readlinkat)
        return (inode->st_mode & S_IFMT) == S_IFLNK ? act(inode) : -ENOENT;
    return follow_target(TARGET(TARGET_ASK, 0));
}

/* What the kernel says of the path of the host that a virtual one leads to; STALE where it was the index that has named
 * that path, and a link on it may have come to lead to us since. */
static __attribute__((noinline)) long unless_led_back(long r)
{
    return !f->asked && doubtful(r) && could_be_ours(AT_FDCWD, TEXT_ARGUMENT(f->row->path), 1) ? STALE : r;
}

static __attribute__((noinline)) long path_call(const struct row *row)
{
    const char *path = TEXT_ARGUMENT(row->path);
    read_flags();
    if (!path || !*(const volatile char *)path)
        return on_descriptor();
    u64 target = first_look(dirfd_of(row), path, f->follow, &f->base);
    if (target == LET_KERNEL) {
        long r = kernel_says(row);
        if (!doubtful(r))
            return r;
        target = second_look(dirfd_of(row), path, f->follow, &f->base);
        if (target == LET_KERNEL)
            return r;
    }
    long wrong = wrong_arguments();
    if (wrong != STALE)
        return wrong;
    for (u32 tries = 0; tries < 4; tries++) {
        long r = follow_target(target);
        if (r == ASK_KERNEL) {
            r = unless_led_back(kernel_says(row));
            f->a[row->path] = (u64)path; /* the caller's registers are restored from here */
        }
        if (r != OPEN_IT && r != STALE)
            return r == -EROFS && wrong_times(row) ? -EINVAL : r;
        if (r == OPEN_IT)
            r = open_certainly(at(index_of(), f->noted), standin_flags(), tries);
        if (r != STALE)
            return opened(r);
        target = TARGET(TARGET_ASK, 0); /* it has gone, or this task cannot reach it by name, or a link of the host's */
    }
    return -EIO;
}
#endif
