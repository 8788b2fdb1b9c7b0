/* What programs have set for SIGSEGV and SIGBUS: remembered, because the kernel forgets it where a fault in the runtime
 * meets a blocked or ignored signal (docs/decisions/0008).
 *
 * Exact, because every rt_sigaction of these two signals is caught, and where others share the handlers followed to its
 * end before theirs is looked at.  Handlers are shared and copied as the kernel does it (tasks.c).
 */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "core.h"

/* What the call points to (rt_sigaction(2); asm/signal.h), not the C library's structure of the same name. */
struct kernel_action {
    uint64_t handler, flags, restorer, mask;
};
#define KERNEL_MASK_BYTES 8

struct disposition *disposition_of(struct handlers *handlers, int signal)
{
    if (!handlers)
        return NULL;
    switch (signal) {
    case SIGSEGV:
        return &handlers->of[0];
    case SIGBUS:
        return &handlers->of[1];
    default:
        return NULL;
    }
}

void dispositions_look(struct handlers *handlers, pid_t task)
{
    static const int signals[FAULT_SIGNALS] = {SIGSEGV, SIGBUS};
    uint64_t ignored = number_in_status(task, "SigIgn", 16), caught = number_in_status(task, "SigCgt", 16);
    for (int i = 0; handlers && i < FAULT_SIGNALS; i++)
        handlers->of[i] = (struct disposition){
            .handler = ignored & SIGNAL_BIT(signals[i]) ? IGNORED : DEFAULT,
            .unknown = (caught & SIGNAL_BIT(signals[i])) != 0,
        };
}

void dispositions_executed(struct handlers *handlers)
{
    for (int i = 0; handlers && i < FAULT_SIGNALS; i++)
        handlers->of[i] = (struct disposition){.handler = handlers->of[i].handler == IGNORED ? IGNORED : DEFAULT};
}

void disposition_delivered(struct tracer *tracer, pid_t id, int signal)
{
    struct task *task = task_of(tracer, id);
    struct disposition *disposition = disposition_of(task ? task->handlers : NULL, signal);
    if (disposition && disposition->once && disposition->handler != IGNORED)
        *disposition = (struct disposition){.handler = DEFAULT};
}

/* Lets a call run that cannot wait, and stops the task at its end.  false: it is gone, or something else came. */
static bool run_call(struct tracer *tracer, pid_t task)
{
    int status;
    if (ptrace(PTRACE_SYSCALL, task, NULL, NULL) < 0 || !wait_for(task, &status))
        return false;
    if (WIFSTOPPED(status) && status >> 16 == 0 && WSTOPSIG(status) == SYSCALL_STOP)
        return true;
    loop_handle(tracer, task, status);
    return false;
}

/* The runtime sets again what the kernel has reset (entry_x86_64.S: hepwrap_mend), unless the program was faster. */
static void on_mending(const struct disposition *now, pid_t task, struct user_regs_struct *regs)
{
    if (now && now->handler == regs->rbx)
        return;
    regs->orig_rax = (uint64_t)-1;
    regs->rax = 0;
    ptrace(PTRACE_SETREGS, task, NULL, regs);
}

void on_sigaction(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    struct disposition *disposition = disposition_of(task ? task->handlers : NULL, (int)regs->rdi);
    struct kernel_action action;
    if (in_runtime(tracer, regs->rip))
        on_mending(disposition, id, regs);
    else if (disposition && regs->r10 == KERNEL_MASK_BYTES &&
             remote_read(id, regs->rsi, &action, sizeof action) == sizeof action) {
        bool alone = task->handlers->sharers == 1; /* then nothing comes between, and what could be read is set */
        if (!alone && (!run_call(tracer, id) || ptrace(PTRACE_GETREGS, id, NULL, regs) < 0))
            return;
        int64_t result = alone ? 0 : (int64_t)regs->rax;
        if (result == 0 || result == -EFAULT) /* EFAULT: it is set, only the old one could not be stored */
            *disposition = (struct disposition){.handler = action.handler, .once = action.flags & SA_RESETHAND};
    }
    ptrace(PTRACE_CONT, id, NULL, NULL);
}
