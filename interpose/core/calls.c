/* What becomes of a caught call at its stop: by its treatment in syscalls.def.
 *
 * Most go on in the runtime, and this is all that the tracer knows of them.  A call that it looks at for the engine's own
 * sake has a treatment, and with it a place in the table below.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sys/ptrace.h>
#include "../runtime/rows.h"
#include "core.h"

/* A task at its seccomp stop (seccomp(2), SECCOMP_RET_TRACE); afterwards it has gone on, or whoever keeps it lets it. */
typedef void at_stop(struct tracer *tracer, pid_t task, struct user_regs_struct *regs);

static void go_on_with(pid_t task, const struct user_regs_struct *regs)
{
    ptrace(PTRACE_SETREGS, task, NULL, regs);
    ptrace(PTRACE_CONT, task, NULL, NULL);
}

static void skip_call(pid_t task, struct user_regs_struct *regs, int64_t result)
{
    regs->orig_rax = (uint64_t)-1;
    regs->rax = (uint64_t)result;
    go_on_with(task, regs);
}

/* Into the runtime: number and arguments stay, rcx is the way back, the call itself is skipped. */
static void redirect(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    int instead;
    uint64_t back = patch(tracer, task, regs, &instead);
    if (instead != NO_STATUS) {
        loop_handle(tracer, task, instead);
        return;
    }
    if (!back)
        redirected(tracer, task, regs);
    regs->rcx = back ? back : regs->rip;
    regs->rax = regs->orig_rax;
    regs->orig_rax = (uint64_t)-1;
    regs->rip = tracer->base + tracer->head->entry;
    tracer->counters.redirects++;
    go_on_with(task, regs);
}

/* The runtime's own are not caught: there it is a filter of the program's own that wants a tracer, and there is none. */
static void on_others(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    if (in_runtime(tracer, regs->rip))
        skip_call(task, regs, -ENOSYS);
    else
        redirect(tracer, task, regs);
}

static void on_upcall(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    if (!in_runtime(tracer, regs->rip)) {
        skip_call(task, regs, -ENOSYS);
        return;
    }
    upcall(tracer, task, regs);
    go_on_with(task, regs);
}

/* The runtime has looked at the paths before: what it makes itself is the kernel's, and noted before that. */
static void on_mounts(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    if (!in_runtime(tracer, regs->rip)) {
        redirect(tracer, task, regs);
        return;
    }
    wanders(tracer, task, regs->orig_rax);
    ptrace(PTRACE_CONT, task, NULL, NULL);
}

/* A working directory is parted from the memory and the process id that it went with (decision 24). */
static void part_directory(const struct tracer *tracer)
{
    __atomic_or_fetch(&tracer->index->flags, HEADER_PARTED, __ATOMIC_RELEASE); /* nobody takes it back */
}

static void on_wander(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    part_directory(tracer);
    wanders(tracer, task, regs->orig_rax);
    ptrace(PTRACE_CONT, task, NULL, NULL);
}

static void on_unshare(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    part_directory(tracer);
    if (regs->rdi & (CLONE_NEWNS | CLONE_NEWPID))
        wanders(tracer, task, regs->orig_rax);
    ptrace(PTRACE_CONT, task, NULL, NULL);
}

static void on_clone(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    uint64_t shared = regs->rdi & (CLONE_FS | CLONE_THREAD);
    if (regs->rdi & (CLONE_NEWNS | CLONE_NEWPID))
        wanders(tracer, task, regs->orig_rax);
    if (shared == CLONE_FS || shared == CLONE_THREAD)
        part_directory(tracer);
    regs->rdi &= ~(uint64_t)CLONE_UNTRACED;
    go_on_with(task, regs);
}

/* What a listener lets go on no tracer sees: the kernel alone would answer. */
static void on_seccomp(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    tell(tracer, TELL_LISTENER, task, task);
    skip_call(task, regs, -EBUSY);
}

static void on_ptrace(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    if (!lending_call(tracer, task, regs))
        go_on_with(task, regs);
}

/* By treatment; none: the call goes into the runtime. */
static at_stop *const by_treatment[HANDLER_COUNT] = {
    [DO_mounts] = on_mounts,
    [DO_wander] = on_wander,
    [DO_unshare] = on_unshare,
    [DO_clone] = on_clone,
    [DO_rt_sigaction] = on_sigaction,
    [DO_seccomp] = on_seccomp,
    [DO_ptrace] = on_ptrace,
};

void call_caught(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    const struct row *row = row_of(regs->orig_rax);
    at_stop *own = row ? by_treatment[row->handler] : NULL;
    (regs->orig_rax == UPCALL_NUMBER ? on_upcall : own ? own : on_others)(tracer, task, regs);
}
