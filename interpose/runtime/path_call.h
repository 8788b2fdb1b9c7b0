/* A call on one path, or on a descriptor in its place: from the arguments to the result. */
#ifndef HEPWRAP_PATH_CALL_H
#define HEPWRAP_PATH_CALL_H
#include "acting.h"
#include "handover.h"

/* The kernel shall answer, about this path.  The caller of follow_target sees to it, from its own place on the stack. */
static inline long let_kernel(u64 path)
{
    u64 *argument = &f->a[f->row->path];
    f->noted = *argument; /* the caller's registers are restored from there */
    *argument = path;
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
            if (f->row->handler < DO_entry || f->row->handler == DO_standin || f->asked)
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
        if (f->rules & RESOLVE_CACHED)
            return -EAGAIN;
        u64 why = (f->asked++ ? REASON_STALE : REASON_ASK) | (u64)f->follow << 8 | (u64)f->rules << 16 | (u64)(u32)f->flags << 32;
        target = ask(f->base, 0, why, &f->noted);
    }
    return -EIO;
}

static inline long unless_wrong_times(long r)
{
    return r == -EROFS && wrong_times(f->row) ? -EINVAL : r;
}

/* A path that is empty, or no path at all: the call is about the descriptor. */
static inline long on_descriptor(void)
{
    if (f->row->handler == DO_newfstatat || f->row->handler == DO_statx)
        return kernel_says();
    if (f->row->handler == DO_open_tree && !(f->a[2] & OPEN_TREE_CLONE)) /* the stand-in itself */
        return native();
    const struct inode *inode = f->row->dirfd < 6 ? identify_fd(start_of(0)) : 0;
    if (!inode)
        return native();
    long wrong = wrong_but_descriptor(f->row->dirfd); /* does this call take an empty path at all? */
    if (wrong != STALE)
        return wrong;
    if (wants_open_file(f->row) && is_path_only(start_of(0)))
        return start_of(0) == AT_FDCWD ? native() : -EBADF; /* the working directory is no descriptor: the kernel says so */
    f->base = offset_of(inode);
    if (f->row->handler == DO_readlinkat)
        return (inode->st_mode & S_IFMT) == S_IFLNK ? act(inode) : -ENOENT;
    return unless_wrong_times(follow_target(TARGET(TARGET_ASK, 0)));
}

/* What the kernel says of the path of the host that a virtual one leads to; STALE where it was the index that has named
 * that path, and a link on it may have come to lead to us since. */
static __attribute__((noinline)) long unless_led_back(long r)
{
    return !f->asked && doubtful(r) && could_be_ours(0, 1) ? STALE : r;
}

/* From the first target to the result, and opens what is to be opened. */
static __attribute__((noinline)) long carry_out(u64 target)
{
    for (u32 tries = 0; tries < 4; tries++) {
        long r = follow_target(target);
        if (r == ASK_KERNEL) {
            r = unless_led_back(kernel_says());
            f->a[f->row->path] = f->noted;
        }
        if (r != OPEN_IT && r != STALE)
            return unless_wrong_times(r);
        if (r == OPEN_IT) {
            const struct inode *inode = at(index_of(), f->noted);
            r = opened(open_certainly(inode, standin_flags(inode), tries));
        }
        if (r != STALE)
            return r;
        target = TARGET(TARGET_ASK, 0); /* it has gone, or this task cannot reach it by name, or a link of the host's */
    }
    return -EIO;
}

/* The virtual inode that a name of the host's is a way to, past all that could tell: a link of /proc leads straight to
 * the stand-in, of which the kernel would say what it is, and change it.  What would change something is never trusted
 * to its name; else only names that look like it are looked at.  0: the kernel may have it. */
static inline const struct inode *behind_link_of_proc(void)
{
    u32 kind = f->row->handler;
    if (kind == DO_entry || (kind >= DO_stat && kind <= DO_statx) || kind == DO_readlink || kind == DO_readlinkat)
        return 0; /* these are about the link, or their answer is looked at */
    if (f->rules || (kind <= DO_creat && !f->follow) || (kind != DO_write1 && !may_be_link_of_proc(path_of(0))))
        return 0;
    return identify(start_of(0), path_of(0), f->follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

static __attribute__((noinline)) long path_call(void)
{
    if (f->row->handler == DO_openat2 && !has_how())
        return native();
    long wrong = f->row->handler >= DO_standin ? wrong_before_path(f->row) : STALE;
    if (wrong != STALE)
        return wrong;
    read_flags();
    if (!path_of(0) || !*(const volatile char *)path_of(0))
        return on_descriptor();
    u64 target = first_look(0);
    if (target == LET_KERNEL && makes())
        target = look_before_making(0);
    if (target == LET_KERNEL) {
        const struct inode *inode = behind_link_of_proc();
        long r = inode ? STALE : kernel_says();
        if (inode) {
            f->base = offset_of(inode);
            f->follow = THE_BASE_ITSELF;
            target = TARGET(TARGET_INODE, f->base);
        } else if (!(doubtful(r) || forbidden_to_make(r)) || (target = second_look(0)) == LET_KERNEL) {
            return r;
        }
    }
    wrong = wrong_arguments();
    return wrong == STALE ? carry_out(target) : wrong;
}
#endif
