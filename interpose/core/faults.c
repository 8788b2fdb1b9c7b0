/* Faults inside the runtime: the program's bad pointers become EFAULT, as the kernel's own exception table makes them.
 *
 * If the signal was blocked or ignored, the kernel has set it to its default and unblocked it before the tracer saw
 * anything (force_sig in signal.c).  Both are put right before the program's code goes on: see docs/decisions/0008.
 */
#include <signal.h>
#include <sys/ptrace.h>
#include "core.h"

struct fault {
    pid_t id;
    struct task *task;               /* NULL, as the next: nothing is known */
    struct disposition *disposition;
    struct user_regs_struct regs;
    siginfo_t info;
    int signal;
    uint64_t mask;                   /* now, after what the kernel did to it */
    enum { NO, YES, PERHAPS } was_blocked;
};

static bool in_code(const struct tracer *tracer, uint64_t address)
{
    return address >= tracer->base + tracer->head->code && address < tracer->base + tracer->head->size;
}

/* Who blocks the other signals of broken programs too has blocked all there are. */
static bool looks_blocked(uint64_t mask, int signal)
{
    const uint64_t all = SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGILL);
    return (mask | SIGNAL_BIT(signal) | ~all) == ~0UL;
}

void redirected(struct tracer *tracer, pid_t id, const struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    if (!task)
        return;
    task->last = (struct redirected){.stack = regs->rsp, .back = regs->rip};
    if (ptrace(PTRACE_GETSIGMASK, id, sizeof task->last.mask, &task->last.mask) < 0)
        task->last.stack = 0;
}

/* The mask of a call that came by a trap was seen then, if this is still that call: a handler may have made others. */
static void find_whether_blocked(struct fault *fault)
{
    const struct redirected *last = fault->task ? &fault->task->last : NULL;
    uint64_t back;
    fault->was_blocked = PERHAPS;
    if (last && last->stack == fault->regs.r15 + FRAME_BYTES &&
        remote_read(fault->id, fault->regs.r15 + FRAME_BACK, &back, sizeof back) == sizeof back && last->back == back)
        fault->was_blocked = last->mask & SIGNAL_BIT(fault->signal) ? YES : NO;
}

/* A fault leaves no trace of its own where the same signal was pending already: then that one comes, unblocked. */
static bool hides_a_fault(const struct fault *fault)
{
    if (fault->was_blocked != PERHAPS)
        return fault->was_blocked == YES;
    if (!fault->disposition || fault->disposition->handler == DEFAULT)
        return false;
    return !((number_in_status(fault->id, "SigCgt", 16) | number_in_status(fault->id, "SigIgn", 16)) & SIGNAL_BIT(fault->signal));
}

/* A frame for a handler could not be put on the stack: that is the program's own end, wherever it was. */
static bool is_of_no_frame(const struct fault *fault)
{
    return fault->info.si_code == SI_KERNEL && fault->task && fault->task->passed.stack == fault->regs.rsp &&
           fault->task->passed.at == fault->regs.rip;
}

static bool is_bad_pointer(const struct fault *fault)
{
    if (fault->signal == SIGBUS && fault->info.si_code == BUS_MCEERR_AO)
        return false; /* broken memory, found by the way */
    return !is_of_no_frame(fault);
}

/* Sets signal and mask as they were, then EFAULT. */
static void mend(struct tracer *tracer, struct fault *fault)
{
    const uint64_t everything = ~0UL, blocked = fault->mask | SIGNAL_BIT(fault->signal);
    const struct disposition *disposition = fault->disposition;
    uint64_t handler = disposition && !disposition->unknown ? disposition->handler : DEFAULT;
    bool guess = looks_blocked(fault->mask, fault->signal);
    struct user_regs_struct *regs = &fault->regs;
    if (handler > IGNORED && fault->was_blocked == PERHAPS)
        guess = true; /* a handler is reset only where the signal was blocked */
    uint64_t if_reset = fault->was_blocked == YES || (fault->was_blocked == PERHAPS && guess) ? blocked : fault->mask;
    regs->orig_rax = (uint64_t)-1;
    regs->rip = tracer->base + tracer->head->fault;
    if (handler != DEFAULT && !(handler > IGNORED && fault->was_blocked == NO)) {
        regs->rip = tracer->base + tracer->head->mend;
        regs->rdi = (uint64_t)fault->signal;
        regs->rbx = handler;
        regs->r12 = fault->was_blocked == YES ? blocked : fault->mask;
        regs->r13 = if_reset;
        ptrace(PTRACE_SETSIGMASK, fault->id, sizeof everything, &everything);
    } else if (if_reset != fault->mask) {
        ptrace(PTRACE_SETSIGMASK, fault->id, sizeof if_reset, &if_reset);
    }
}

bool fault_in_runtime(struct tracer *tracer, pid_t id, int signal)
{
    struct fault fault = {.id = id, .task = task_of(tracer, id), .signal = signal};
    int pass_on = 0;
    if ((signal != SIGSEGV && signal != SIGBUS) ||
        ptrace(PTRACE_GETREGS, id, NULL, &fault.regs) < 0 || !in_code(tracer, fault.regs.rip) ||
        ptrace(PTRACE_GETSIGINFO, id, NULL, &fault.info) < 0 ||
        ptrace(PTRACE_GETSIGMASK, id, sizeof fault.mask, &fault.mask) < 0)
        return false;
    fault.disposition = disposition_of(fault.task ? fault.task->handlers : NULL, signal);
    find_whether_blocked(&fault);
    if (SENT_BY_SOMEBODY(fault.info.si_code)) {
        if (!hides_a_fault(&fault))
            return false;
        fault.was_blocked = YES;
        pass_on = signal; /* the kernel makes it pending again: it is blocked */
    } else if (!is_bad_pointer(&fault)) {
        return false;
    }
    tracer->counters.faults++;
    mend(tracer, &fault);
    ptrace(PTRACE_SETREGS, id, NULL, &fault.regs);
    ptrace(PTRACE_CONT, id, NULL, (void *)(long)pass_on);
    return true;
}

void signal_passed(struct tracer *tracer, pid_t id, const struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    if (!task)
        return;
    task->passed = (struct passed){0};
    if (in_code(tracer, regs->rip))
        task->passed = (struct passed){.at = regs->rip, .stack = regs->rsp};
}
