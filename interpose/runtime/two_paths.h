/* rename and link: two paths, of which either may be ours. */
#ifndef HEPWRAP_TWO_PATHS_H
#define HEPWRAP_TWO_PATHS_H
#include "path_call.h"

/* Where only one path is ours the kernel judges the other, against a name on a third mount. */
static __attribute__((noinline)) long on_two_paths(const struct row *row, u64 target)
{
    if (TARGET_KIND(target) == TARGET_ERRNO)
        return -(long)TARGET_VALUE(target);
    if (TARGET_KIND(target) != TARGET_PLAN)
        return native();
    const struct plan *plan = at(index_of(), TARGET_VALUE(target));
    u64 first = f->a[row->path], second = f->a[row->second_path];
    if (plan->path_at)
        f->a[row->path] = (u64)at(index_of(), plan->path_at);
    if (plan->argv_at)
        f->a[row->second_path] = (u64)at(index_of(), plan->argv_at);
    long r = native();
    f->a[row->path] = first; /* the caller's registers are restored from here */
    f->a[row->second_path] = second;
    return plan->inode_at && (r == -EXDEV || r == -EEXIST) ? -(long)plan->inode_at : r;
}

/* rename, link: ours if either path is. */
static __attribute__((noinline)) long two_path_call(void)
{
    enum { OURS = 1 }; /* no result of these calls */
    f->follow = 0;
    long r = first_look(0) != LET_KERNEL ? OURS : 0;
    if (first_look(1) != LET_KERNEL || mentions_prefix(path_of(1))) /* which the kernel could make */
        r = OURS;
    if (!r && !doubtful(r = native()))
        return r;
    if (!f->base && second_look(0) != LET_KERNEL)
        r = OURS;
    if (!f->noted && second_look(1) != LET_KERNEL)
        r = OURS;
    if (r != OURS)
        return r;
    long wrong = wrong_for_kernel(f->row);
    if (wrong != STALE)
        return wrong;
    return on_two_paths(f->row, ask(f->base, f->noted, REASON_ASK, 0));
}
#endif
