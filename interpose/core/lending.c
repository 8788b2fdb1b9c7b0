/* Debuggers inside of the job: who is lent to whom.  A task that another one attaches to is lent to it, and taken back when
 * that lets go.  How it changes hands is up to handover.c.
 *
 * A task has one tracer (ptrace(2)), and we are it: so we let go first.
 *
 *     attach, seize    WANTED, until it has stopped for us; then LENT
 *     detach           RETURNING, until it has stopped for us again
 *     borrower's end   the same, as it is: the kernel has let go of the task
 *     PTRACE_TRACEME   of a child of somebody who borrows: a debugger's trial.  We let go within the call itself
 *
 * A lent task's end is told to its borrower, not to us: another may have its number by then (is_itself()).
 * See docs/decisions/0025.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>
#include "lending.h"

#define ENDED_UNSEEN 0 /* as a wait status: how it ended, another has been told */
#define A_MOMENT 100   /* microseconds in which a new program gets on */

void tell(struct tracer *tracer, enum telling what, pid_t who, pid_t whom)
{
    if (!(tracer->told >> what & 1) && tracer->tell)
        tracer->tell(tracer, what, who, whom);
    tracer->told |= 1U << what;
}

/* A job never runs on half a world.  Who has ended unseen is no loss, and a stranger with its number is left alone. */
static void end_lost(struct tracer *tracer, const struct task *task)
{
    if (!is_itself(task))
        return;
    tell(tracer, TELL_LOST, task->loan->holder, task->id);
    tracer->counters.lost++;
    kill(task->id, SIGKILL);
}

static bool enter_loan(struct task *task, struct loan terms)
{
    terms.started = number_in_stat(task->id, STAT_START_TIME);
    task->loan = malloc(sizeof terms);
    if (task->loan)
        *task->loan = terms;
    return task->loan;
}

static void drop(struct task *task)
{
    free(task->loan);
    task->loan = NULL;
}

/* Nobody traces it now.  Where it is held it is put back at its next stop. */
static void take_back(struct tracer *tracer, struct task *task)
{
    pid_t id = task->id;
    if (!seize_again(tracer, task)) {
        end_lost(tracer, task);
        drop(task);
        loop_handle(tracer, id, ENDED_UNSEEN);
        return;
    }
    task->loan->state = RETURNING;
    ptrace(PTRACE_INTERRUPT, id, NULL, NULL);
}

static void returned(struct tracer *tracer, struct task *task)
{
    put_back(task);
    drop(task);
    adopt_descendants(tracer, task->id);
}

/* The task has stopped for us, the borrower is waiting in its call. */
static void lend(struct tracer *tracer, struct task *task)
{
    struct loan *loan = task->loan;
    struct proxy proxy = {.tracer = tracer, .id = loan->holder};
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, proxy.id, NULL, &regs) < 0 || !hold_and_detach(tracer, task)) {
        drop(task); /* one of the two is gone, as the loop will hear */
        ptrace(PTRACE_CONT, proxy.id, NULL, NULL);
        return;
    }
    proxy_begin(&proxy, &regs);
    long result = proxy_ptrace(&proxy, loan->request, task->id, regs.rdx, regs.r10);
    loan->state = LENT;
    if (result < 0 && !proxy.over) {
        take_back(tracer, task);
    } else if (!proxy.over) {
        tracer->counters.lent++;
        hand_over(&proxy, task);
    }
    proxy_end(&proxy, result);
}

/* Has the program begun?  One that is being made ready is left alone for a moment. */
static bool is_settled(struct task *task)
{
    if (!task->injection || !inject_has_fault(task))
        return true;
    ptrace(PTRACE_CONT, task->id, NULL, NULL);
    usleep(A_MOMENT);
    ptrace(PTRACE_INTERRUPT, task->id, NULL, NULL);
    return false;
}

bool lending_stopped(struct tracer *tracer, pid_t id, bool by_group)
{
    struct task *task = task_of(tracer, id);
    if (!task || !task->loan)
        return false;
    if (task->loan->state == LENT) { /* it has ended unseen, and this is another with its number */
        drop(task);
        loop_handle(tracer, id, ENDED_UNSEEN);
        return false;
    }
    if (task->loan->state == RETURNING) {
        returned(tracer, task);
        return false; /* as after any such stop */
    }
    if (is_settled(task)) {
        task->loan->was_stopped = by_group;
        lend(tracer, task);
    }
    return true;
}

void lending_reminds(struct tracer *tracer, pid_t id)
{
    const struct task *task = task_of(tracer, id);
    if (task && task->loan && task->loan->state != LENT)
        ptrace(PTRACE_INTERRUPT, id, NULL, NULL);
}

static bool borrows(const struct tracer *tracer, pid_t id)
{
    for (size_t i = 0; i < TASK_BUCKETS; i++)
        for (struct task *task = tracer->tasks[i]; task; task = task->next)
            if (task->loan && task->loan->holder == id)
                return true;
    return false;
}

/* With Yama we could not be sure to get a task back. */
static bool may_seize_again(void)
{
    int scope = 0;
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    if (file && fscanf(file, "%d", &scope) != 1)
        scope = 0;
    if (file)
        fclose(file);
    return !scope || number_in_status(gettid(), "CapEff", 16) >> CAP_SYS_PTRACE & 1;
}

/* The same call once more, as that task is on its way back to us. */
static void restart(struct user_regs_struct *regs)
{
    regs->rip -= SYSCALL_BYTES;
    regs->rax = regs->orig_rax;
    regs->orig_rax = (uint64_t)-1;
}

/* PTRACE_ATTACH, PTRACE_SEIZE.  Whoever borrows is not lent. */
static bool on_attach(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, (pid_t)regs->rsi);
    if (!has_our_numbers(id)) {
        tell(tracer, TELL_NUMBERS, id, id);
        return false;
    }
    if (task && task->loan && task->loan->state == RETURNING)
        restart(regs);
    if (!task || task->id == id || task->loan || task->parked || task->ended || borrows(tracer, task->id))
        return false;
    if (!may_seize_again()) {
        tell(tracer, TELL_YAMA, id, task->id);
        return false;
    }
    if (!enter_loan(task, (struct loan){.state = WANTED, .holder = id, .request = (long)regs->rdi}))
        return false;
    if (ptrace(PTRACE_INTERRUPT, task->id, NULL, NULL) == 0)
        return true;
    drop(task);
    return false;
}

/* A child of a lent task that the kernel has attached for the borrower (PTRACE_O_TRACEFORK); NULL: it is none. */
static struct task *enter_attached_child(struct tracer *tracer, pid_t id, pid_t holder)
{
    if (!has_our_numbers(holder) || number_in_status(id, "TracerPid", 10) != (uint64_t)holder || !has_runtime(tracer, id))
        return NULL;
    struct task *task = task_begins(tracer, id);
    if (!task)
        return NULL;
    task_is_strange(tracer, task);
    enter_loan(task, (struct loan){.state = LENT, .holder = holder});
    return task;
}

/* PTRACE_DETACH. */
static bool on_detach(struct tracer *tracer, pid_t id, const struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, (pid_t)regs->rsi);
    struct proxy proxy = {.tracer = tracer, .id = id};
    if (!task)
        task = enter_attached_child(tracer, (pid_t)regs->rsi, id);
    if (!task || !task->loan || task->loan->holder != id)
        return false;
    proxy_begin(&proxy, regs);
    bool is_held = hold_by(&proxy, task);
    long result = proxy_ptrace(&proxy, PTRACE_DETACH, task->id, regs->rdx, regs->r10);
    if (result < 0 && is_held)
        put_back_by(&proxy, task);
    else if (result == 0 && !proxy.over)
        take_back(tracer, task);
    proxy_end(&proxy, result);
    return true;
}

/* PTRACE_TRACEME.  true: it is let go, and makes the call by itself. */
static bool on_traceme(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    if (task && !task->loan && borrows(tracer, task->maker) &&
        enter_loan(task, (struct loan){.state = LENT, .holder = task->maker})) {
        ptrace(PTRACE_DETACH, id, NULL, NULL);
        return true;
    }
    tell(tracer, TELL_TRACEME, id, id);
    regs->orig_rax = (uint64_t)-1;
    regs->rax = (uint64_t)-EPERM;
    return false;
}

/* A request that lets a task run which is lent. */
static void on_resume(struct tracer *tracer, pid_t id, pid_t whom)
{
    const struct task *task = task_of(tracer, whom);
    if (!task || !task->loan || task->loan->holder != id)
        return;
    if (!has_runtime(tracer, whom))
        end_lost(tracer, task);
    else if (task->loan->request) /* a copy of the borrower is about to execute what is to be traced */
        tell(tracer, task->maker == id && task->space && task->space->copied ? TELL_TRACEME : TELL_RUNS, id, whom);
}

bool lending_call(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    switch (regs->rdi) {
    case PTRACE_TRACEME:
        return on_traceme(tracer, id, regs);
    case PTRACE_SETOPTIONS: /* what stops for a tracer may go on only if it is us who have seen it */
        regs->r10 &= ~(uint64_t)PTRACE_O_TRACESECCOMP;
        return false;
    case PTRACE_SEIZE:
        regs->r10 &= ~(uint64_t)PTRACE_O_TRACESECCOMP;
        ptrace(PTRACE_SETREGS, id, NULL, regs);
        return on_attach(tracer, id, regs);
    case PTRACE_ATTACH:
        return on_attach(tracer, id, regs);
    case PTRACE_DETACH:
        return on_detach(tracer, id, regs);
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
    case PTRACE_SINGLESTEP:
    case PTRACE_SINGLEBLOCK:
        on_resume(tracer, id, (pid_t)regs->rsi);
        return false;
    default:
        return false;
    }
}

/* It was asked for, and is gone: the kernel tells that to who waits for it. */
static void not_lent(struct task *task)
{
    if (task->loan && task->loan->state == WANTED)
        ptrace(PTRACE_CONT, task->loan->holder, NULL, NULL);
    drop(task);
}

void lending_executed(struct tracer *tracer, pid_t former, pid_t id)
{
    struct task *old = task_of(tracer, former), *leader = task_of(tracer, id);
    if (former != id && old)
        not_lent(old);
    if (leader && leader->loan && leader->loan->state == LENT)
        drop(leader);
    for (size_t i = 0; former != id && i < TASK_BUCKETS; i++)
        for (struct task *task = tracer->tasks[i]; task; task = task->next)
            if (task->loan && task->loan->holder == former)
                task->loan->holder = id;
}

/* One at a time: taking one back may change the table. */
static struct task *lent_to(const struct tracer *tracer, pid_t id)
{
    for (size_t i = 0; i < TASK_BUCKETS; i++)
        for (struct task *task = tracer->tasks[i]; task; task = task->next)
            if (task->loan && task->loan->holder == id && task->loan->state != RETURNING)
                return task;
    return NULL;
}

void lending_ended(struct tracer *tracer, pid_t id)
{
    struct task *task = task_of(tracer, id);
    if (task)
        not_lent(task);
    while ((task = lent_to(tracer, id)) != NULL) {
        if (task->loan->state == WANTED)
            drop(task);
        else
            take_back(tracer, task);
    }
}
