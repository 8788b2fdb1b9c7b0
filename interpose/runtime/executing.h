/* exec: the server makes a plan, which is performed here. */
#ifndef HEPWRAP_EXECUTING_H
#define HEPWRAP_EXECUTING_H
#include "arguments.h"
#include "handover.h"

/* exec: the server makes a plan, which is performed here.  Little is kept on the stack: f->noted is where the plan lies. */
static __attribute__((noinline)) long execute(void)
{
    if (f->row->dirfd < 6 || *TEXT_ARGUMENT(f->row->path) != '/') {
        const struct inode *dir = identify_fd(dirfd_of(f->row));
        f->base = dir ? offset_of(dir) : 0;
    }
    for (u32 tries = 0; tries < 4; tries++) {
        u64 target = ask(f->base, 0, (tries ? REASON_STALE : REASON_ASK) | 1 << 8, 0);
        if (target == TARGET(TARGET_ERRNO, EINTR)) { /* exec is not interrupted: its callers do not expect it */
            tries--;
            continue;
        }
        if (TARGET_KIND(target) == TARGET_ERRNO)
            return -(long)TARGET_VALUE(target);
        if (TARGET_KIND(target) != TARGET_PLAN)
            return native();
        f->noted = TARGET_VALUE(target);
        const struct plan *plan = at(index_of(), f->noted);
        if (!plan->inode_at)
            return raw3(NR_execve, at(index_of(), plan->path_at), planned_argv(), f->a[f->row->path + 2]);
        long fd = open_certainly(at(index_of(), plan->inode_at), O_PATH | O_CLOEXEC, tries);
        if (fd != STALE)
            return fd < 0 ? fd : execute_descriptor(fd);
    }
    return -EIO;
}
#endif
