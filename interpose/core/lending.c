/* Debuggers inside of the job: a task that another one attaches to is lent to it, and taken back when that lets go.
 *
 * A task has one tracer (ptrace(2)), and we are it: so we let go first.  Between two tracers a task has none, and its
 * caught calls would fail: there it is held, which is a loop in the runtime with all signals blocked, and nobody sees it
 * there.  What only the borrower may do, as putting the registers back, it does itself: calls are made in its name while
 * it is stopped at its own.
 *
 *     attach, seize    stopped by us, held, let go | attached by the borrower, put back in its name
 *     detach           held in its name, detached  | seized by us, put back
 *     borrower's end   the kernel has let go of the task: seized by us as it is
 *     PTRACE_TRACEME   of a child of somebody who borrows: a debugger's trial.  We let go within the call itself
 *
 * See docs/decisions/0025.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core.h"

#define BUFFER_BELOW 1024 /* bytes below the borrower's stack pointer, where its buffer is for a while */
#define ENDED_UNSEEN 0    /* as a wait status: how it ended, another has been told */
#define BREATH 100        /* microseconds in which a new program gets on, or one that is killed comes nearer to its end */
#define SEIZE_TRIES 50    /* with a BREATH between */
#define GLANCE 20         /* microseconds after which one looks again whether a task has stopped */

static const uint64_t everything = ~0UL;

/* A borrower, stopped at a call of its own, which makes calls of ours. */
struct hands {
    struct tracer *tracer;
    pid_t id;
    struct user_regs_struct regs;
    uint64_t mask, buffer;
    unsigned char kept[sizeof(struct user_regs_struct)];
    bool stop;                  /* it was told to stop meanwhile */
    bool over;                  /* it has ended */
    bool seen;                  /* and been waited for: */
    int status;
};

/* On to the next end or beginning of a system call.  Who cannot be sent on has been killed. */
static bool next_edge(struct hands *hands)
{
    while (!hands->over) {
        ptrace(PTRACE_SYSCALL, hands->id, NULL, NULL);
        hands->seen = wait_for(hands->id, &hands->status);
        hands->over = !hands->seen || !WIFSTOPPED(hands->status);
        if (hands->over)
            break;
        if (WSTOPSIG(hands->status) == SYSCALL_STOP)
            return true;
        hands->stop |= !(hands->status >> 16) && WSTOPSIG(hands->status) == SIGSTOP; /* all others are blocked */
    }
    return false;
}

static void hands_begin(struct hands *hands, const struct user_regs_struct *at_call)
{
    hands->regs = *at_call;
    hands->regs.orig_rax = (uint64_t)-1;
    hands->buffer = (at_call->rsp - BUFFER_BELOW) & ~15UL;
    ptrace(PTRACE_GETSIGMASK, hands->id, sizeof hands->mask, &hands->mask);
    ptrace(PTRACE_SETSIGMASK, hands->id, sizeof everything, &everything);
    remote_read(hands->id, hands->buffer, hands->kept, sizeof hands->kept);
    ptrace(PTRACE_SETREGS, hands->id, NULL, &hands->regs);
    next_edge(hands);
}

static long hands_call(struct hands *hands, long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct user_regs_struct regs = hands->regs;
    regs.rip = hands->tracer->base + hands->tracer->head->call;
    regs.rax = (uint64_t)number;
    regs.rdi = a;
    regs.rsi = b;
    regs.rdx = c;
    regs.r10 = d;
    regs.r8 = 0;
    ptrace(PTRACE_SETREGS, hands->id, NULL, &regs);
    bool made = next_edge(hands) && next_edge(hands) && ptrace(PTRACE_GETREGS, hands->id, NULL, &regs) == 0;
    return made ? (long)regs.rax : -ESRCH;
}

static long hands_ptrace(struct hands *hands, long request, pid_t task, uint64_t address, uint64_t data)
{
    return hands_call(hands, SYS_ptrace, (uint64_t)request, (uint64_t)task, address, data);
}

/* The borrower's own call has this result, and it goes on. */
static void hands_end(struct hands *hands, long result)
{
    if (hands->over) {
        if (hands->seen) /* else the loop will hear of it */
            loop_handle(hands->tracer, hands->id, hands->status);
        return;
    }
    remote_poke(hands->id, hands->buffer, hands->kept, sizeof hands->kept);
    hands->regs.rax = (uint64_t)result;
    ptrace(PTRACE_SETREGS, hands->id, NULL, &hands->regs);
    ptrace(PTRACE_SETSIGMASK, hands->id, sizeof hands->mask, &hands->mask);
    if (hands->stop)
        syscall(SYS_tgkill, number_in_status(hands->id, "Tgid", 10), hands->id, SIGSTOP);
    ptrace(PTRACE_CONT, hands->id, NULL, NULL);
}

/* Registers with which a task does nothing, and no system call of its own is restarted. */
static struct user_regs_struct held(const struct tracer *tracer, const struct user_regs_struct *from)
{
    struct user_regs_struct regs = *from;
    regs.rip = tracer->base + tracer->head->held;
    regs.orig_rax = (uint64_t)-1;
    return regs;
}

/* Stopped by us, it is held and let go. */
static bool hold(const struct tracer *tracer, struct task *task)
{
    struct loan *loan = task->loan;
    if (ptrace(PTRACE_GETREGS, task->id, NULL, &loan->regs) < 0 ||
        ptrace(PTRACE_GETSIGMASK, task->id, sizeof loan->mask, &loan->mask) < 0)
        return false;
    struct user_regs_struct regs = held(tracer, &loan->regs);
    ptrace(PTRACE_SETSIGMASK, task->id, sizeof everything, &everything);
    ptrace(PTRACE_SETREGS, task->id, NULL, &regs);
    loan->held = true;
    return ptrace(PTRACE_DETACH, task->id, NULL, NULL) == 0;
}

/* The same in the name of the borrower, who has it stopped.  The registers first, and on the way back last: should the
 * borrower be killed in between, the task is held, and nothing of it is lost. */
static bool hold_by(struct hands *hands, struct task *task)
{
    struct loan *loan = task->loan;
    struct user_regs_struct regs;
    if (hands_ptrace(hands, PTRACE_GETREGS, task->id, 0, hands->buffer) < 0 ||
        remote_read(hands->id, hands->buffer, &loan->regs, sizeof loan->regs) != sizeof loan->regs ||
        hands_ptrace(hands, PTRACE_GETSIGMASK, task->id, sizeof loan->mask, hands->buffer) < 0 ||
        remote_read(hands->id, hands->buffer, &loan->mask, sizeof loan->mask) != sizeof loan->mask)
        return false;
    regs = held(hands->tracer, &loan->regs);
    remote_poke(hands->id, hands->buffer, &regs, sizeof regs);
    loan->held = hands_ptrace(hands, PTRACE_SETREGS, task->id, 0, hands->buffer) == 0;
    remote_poke(hands->id, hands->buffer, &everything, sizeof everything);
    hands_ptrace(hands, PTRACE_SETSIGMASK, task->id, sizeof everything, hands->buffer);
    return loan->held;
}

static void put_back_by(struct hands *hands, struct task *task)
{
    struct loan *loan = task->loan;
    remote_poke(hands->id, hands->buffer, &loan->mask, sizeof loan->mask);
    hands_ptrace(hands, PTRACE_SETSIGMASK, task->id, sizeof loan->mask, hands->buffer);
    remote_poke(hands->id, hands->buffer, &loan->regs, sizeof loan->regs);
    loan->held = hands_ptrace(hands, PTRACE_SETREGS, task->id, 0, hands->buffer) < 0;
}

/* Until it is stopped for the borrower, or one of the two is dead.  Not a wait of the borrower's: the end of who leads a
 * process is told when its other threads have been waited for, and that is up to us. */
static void await_stop(const struct hands *hands, const struct task *task)
{
    for (char state = 0; state != 't' && is_alive(task->id) && is_alive(hands->id); state = state_of(task->id))
        usleep(GLANCE);
}

/* What a borrower is not told: it has attached, and the task is stopped as ptrace(2) has it, or runs. */
static void hand_over(struct hands *hands, struct task *task)
{
    bool stopped = task->loan->request == PTRACE_ATTACH || task->loan->was_stopped;
    if (!stopped)
        hands_ptrace(hands, PTRACE_INTERRUPT, task->id, 0, 0);
    await_stop(hands, task);
    if (!stopped)
        hands_call(hands, SYS_wait4, (uint64_t)task->id, 0, __WALL | WNOHANG, 0);
    put_back_by(hands, task);
    if (!stopped)
        hands_ptrace(hands, PTRACE_CONT, task->id, 0, 0);
}

/* Is it one of ours: has it the runtime?  Not so who has executed a program while we did not trace it. */
static bool has_runtime(const struct tracer *tracer, pid_t id)
{
    uint64_t magic = 0;
    return remote_read(id, tracer->base, &magic, sizeof magic) == sizeof magic && magic == IMAGE_MAGIC;
}

void tell(struct tracer *tracer, enum telling what, pid_t who, pid_t whom)
{
    if (!(tracer->told >> what & 1) && tracer->tell)
        tracer->tell(tracer, what, who, whom);
    tracer->told |= 1U << what;
}

/* A job never runs on half a world. */
static void end(struct tracer *tracer, pid_t holder, pid_t id)
{
    tell(tracer, TELL_LOST, holder, id);
    tracer->counters.lost++;
    kill(id, SIGKILL);
}

static void drop(struct task *task)
{
    free(task->loan);
    task->loan = NULL;
}

static void take_strays(struct tracer *tracer, pid_t process);

static void take_stray(struct tracer *tracer, pid_t id)
{
    if (task_of(tracer, id) || !has_runtime(tracer, id) || !loop_seize(tracer, id))
        return;
    struct task *task = task_begins(tracer, id);
    if (task)
        task_is_strange(tracer, task);
    take_strays(tracer, id);
}

/* Those in a list of /proc that we do not know. */
static void take_children(struct tracer *tracer, pid_t process, pid_t thread)
{
    char name[64];
    int id;
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", process, thread);
    FILE *file = fopen(name, "re");
    while (file && fscanf(file, "%d", &id) == 1)
        take_stray(tracer, id);
    if (file)
        fclose(file);
}

/* Threads and children that it has made while it was not ours. */
static void take_strays(struct tracer *tracer, pid_t id)
{
    char name[64];
    pid_t process = (pid_t)number_in_status(id, "Tgid", 10);
    snprintf(name, sizeof name, "/proc/%d/task", process);
    DIR *threads = opendir(name);
    for (struct dirent *entry; threads && (entry = readdir(threads));) {
        pid_t thread = atoi(entry->d_name);
        if (thread <= 0)
            continue;
        if (thread != id)
            take_stray(tracer, thread);
        take_children(tracer, process, thread);
    }
    if (threads)
        closedir(threads);
}

/* Who is about to end can be had no more, and is not lost: that is seen a moment later. */
static bool seize_again(struct tracer *tracer, pid_t id)
{
    for (int i = 0; i < SEIZE_TRIES && is_alive(id); i++) {
        if (has_runtime(tracer, id) && loop_seize(tracer, id))
            return true;
        usleep(BREATH);
    }
    return false;
}

/* Nobody traces it now.  Where it is held it is put back at its next stop. */
static void take_back(struct tracer *tracer, struct task *task)
{
    pid_t id = task->id, holder = task->loan->holder;
    if (!seize_again(tracer, id)) {
        if (is_alive(id))
            end(tracer, holder, id);
        drop(task);
        loop_handle(tracer, id, ENDED_UNSEEN);
        return;
    }
    task->loan->state = RETURNING;
    ptrace(PTRACE_INTERRUPT, id, NULL, NULL);
}

static void returned(struct tracer *tracer, struct task *task)
{
    if (task->loan->held) {
        ptrace(PTRACE_SETREGS, task->id, NULL, &task->loan->regs);
        ptrace(PTRACE_SETSIGMASK, task->id, sizeof task->loan->mask, &task->loan->mask);
    }
    drop(task);
    take_strays(tracer, task->id);
}

/* The task has stopped for us, the borrower is waiting in its call. */
static void lend(struct tracer *tracer, struct task *task)
{
    struct loan *loan = task->loan;
    struct hands hands = {.tracer = tracer, .id = loan->holder};
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, hands.id, NULL, &regs) < 0 || !hold(tracer, task)) {
        drop(task); /* one of the two is gone, as the loop will hear */
        ptrace(PTRACE_CONT, hands.id, NULL, NULL);
        return;
    }
    hands_begin(&hands, &regs);
    long result = hands_ptrace(&hands, loan->request, task->id, regs.rdx, regs.r10);
    loan->state = LENT;
    if (result < 0 && !hands.over) {
        take_back(tracer, task);
    } else if (!hands.over) {
        tracer->counters.lent++;
        hand_over(&hands, task);
    }
    hands_end(&hands, result);
}

/* Has the program begun?  One that is being made ready is left alone for a moment. */
static bool is_settled(struct task *task)
{
    if (!task->injection || !inject_has_fault(task))
        return true;
    ptrace(PTRACE_CONT, task->id, NULL, NULL);
    usleep(BREATH);
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
static void again(struct user_regs_struct *regs)
{
    regs->rip -= SYSCALL_BYTES;
    regs->rax = regs->orig_rax;
    regs->orig_rax = (uint64_t)-1;
}

/* PTRACE_ATTACH, PTRACE_SEIZE.  Whoever borrows is not lent. */
static bool begin(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, (pid_t)regs->rsi);
    if (!has_our_numbers(id)) {
        tell(tracer, TELL_NUMBERS, id, id);
        return false;
    }
    if (task && task->loan && task->loan->state == RETURNING)
        again(regs);
    if (!task || task->id == id || task->loan || task->parked || task->ended || borrows(tracer, task->id))
        return false;
    if (!may_seize_again()) {
        tell(tracer, TELL_YAMA, id, task->id);
        return false;
    }
    task->loan = calloc(1, sizeof *task->loan);
    if (!task->loan)
        return false;
    *task->loan = (struct loan){.holder = id, .request = (long)regs->rdi};
    if (ptrace(PTRACE_INTERRUPT, task->id, NULL, NULL) == 0)
        return true;
    drop(task);
    return false;
}

/* PTRACE_DETACH. */
static bool give_back(struct tracer *tracer, pid_t id, const struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, (pid_t)regs->rsi);
    struct hands hands = {.tracer = tracer, .id = id};
    if (!task && has_our_numbers(id) && has_runtime(tracer, (pid_t)regs->rsi) && (task = task_begins(tracer, (pid_t)regs->rsi))) {
        task_is_strange(tracer, task); /* a child that the kernel has attached for the borrower */
        task->loan = calloc(1, sizeof *task->loan);
        if (task->loan)
            *task->loan = (struct loan){.holder = id, .state = LENT};
    }
    if (!task || !task->loan || task->loan->holder != id)
        return false;
    hands_begin(&hands, regs);
    bool is_held = hold_by(&hands, task);
    long result = hands_ptrace(&hands, PTRACE_DETACH, task->id, regs->rdx, regs->r10);
    if (result < 0 && is_held)
        put_back_by(&hands, task);
    else if (result == 0 && !hands.over)
        take_back(tracer, task);
    hands_end(&hands, result);
    return true;
}

/* PTRACE_TRACEME.  true: it is let go, and makes the call by itself. */
static bool lend_myself(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    if (task && !task->loan && borrows(tracer, task->maker) && (task->loan = calloc(1, sizeof *task->loan))) {
        *task->loan = (struct loan){.holder = task->maker, .state = LENT};
        ptrace(PTRACE_DETACH, id, NULL, NULL);
        return true;
    }
    tell(tracer, TELL_TRACEME, id, id);
    regs->orig_rax = (uint64_t)-1;
    regs->rax = (uint64_t)-EPERM;
    return false;
}

/* A request that lets a task run which is lent. */
static void runs(struct tracer *tracer, pid_t id, pid_t whom)
{
    const struct task *task = task_of(tracer, whom);
    if (!task || !task->loan || task->loan->holder != id)
        return;
    if (!has_runtime(tracer, whom))
        end(tracer, id, whom);
    else if (task->loan->request) /* a copy of the borrower is about to execute what is to be traced */
        tell(tracer, task->maker == id && task->space && task->space->copied ? TELL_TRACEME : TELL_RUNS, id, whom);
}

bool lending_call(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    switch (regs->rdi) {
    case PTRACE_TRACEME:
        return lend_myself(tracer, id, regs);
    case PTRACE_SETOPTIONS: /* what stops for a tracer may go on only if it is us who have seen it */
        regs->r10 &= ~(uint64_t)PTRACE_O_TRACESECCOMP;
        return false;
    case PTRACE_SEIZE:
        regs->r10 &= ~(uint64_t)PTRACE_O_TRACESECCOMP;
        ptrace(PTRACE_SETREGS, id, NULL, regs);
        return begin(tracer, id, regs);
    case PTRACE_ATTACH:
        return begin(tracer, id, regs);
    case PTRACE_DETACH:
        return give_back(tracer, id, regs);
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
    case PTRACE_SINGLESTEP:
    case PTRACE_SINGLEBLOCK:
        runs(tracer, id, (pid_t)regs->rsi);
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
