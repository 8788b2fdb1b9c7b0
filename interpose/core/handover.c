/* How a task changes its tracer, between us and a borrower.  Knows nothing of who may borrow (lending.c).
 *
 * Between two tracers a task has none, and its caught calls would fail: there it is held, which is a loop in the runtime
 * with all signals blocked, and nobody sees it there.  What only its tracer may do, as putting the registers back, the
 * borrower does itself: it is our proxy, and calls are made in its name while it is stopped at its own.
 *
 *     lending       held by us, detached | attached by the borrower, put back in its name
 *     giving back   held in the borrower's name, detached | seized by us, put back
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lending.h"

#define BUFFER_BELOW 1024 /* bytes below the borrower's stack pointer, where its buffer is for a while */
#define BREATH 100        /* microseconds in which a task that executes or is killed comes nearer to its end of that */
#define SEIZE_TRIES 50    /* with a BREATH between */
#define ENDING_TRIES 20000 /* of one that is seen to be ending: where many wait for a processor that takes long */
#define GLANCE 20         /* microseconds after which one looks again whether a task has stopped */

static const uint64_t everything = ~0UL;

/* On to the next end or beginning of a system call.  Who cannot be sent on has been killed. */
static bool next_edge(struct proxy *proxy)
{
    while (!proxy->over) {
        ptrace(PTRACE_SYSCALL, proxy->id, NULL, NULL);
        proxy->seen = wait_for(proxy->id, &proxy->status);
        proxy->over = !proxy->seen || !WIFSTOPPED(proxy->status);
        if (proxy->over)
            break;
        if (WSTOPSIG(proxy->status) == SYSCALL_STOP)
            return true;
        proxy->stop |= !(proxy->status >> 16) && WSTOPSIG(proxy->status) == SIGSTOP; /* all others are blocked */
    }
    return false;
}

void proxy_begin(struct proxy *proxy, const struct user_regs_struct *at_call)
{
    proxy->regs = *at_call;
    proxy->regs.orig_rax = (uint64_t)-1;
    proxy->buffer = (at_call->rsp - BUFFER_BELOW) & ~15UL;
    ptrace(PTRACE_GETSIGMASK, proxy->id, sizeof proxy->mask, &proxy->mask);
    ptrace(PTRACE_SETSIGMASK, proxy->id, sizeof everything, &everything);
    remote_read(proxy->id, proxy->buffer, proxy->kept, sizeof proxy->kept);
    ptrace(PTRACE_SETREGS, proxy->id, NULL, &proxy->regs);
    next_edge(proxy);
}

static long proxy_call(struct proxy *proxy, long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct user_regs_struct regs = proxy->regs;
    regs.rip = proxy->tracer->base + proxy->tracer->head->call;
    regs.rax = (uint64_t)number;
    regs.rdi = a;
    regs.rsi = b;
    regs.rdx = c;
    regs.r10 = d;
    regs.r8 = 0;
    ptrace(PTRACE_SETREGS, proxy->id, NULL, &regs);
    bool made = next_edge(proxy) && next_edge(proxy) && ptrace(PTRACE_GETREGS, proxy->id, NULL, &regs) == 0;
    return made ? (long)regs.rax : -ESRCH;
}

long proxy_ptrace(struct proxy *proxy, long request, pid_t task, uint64_t address, uint64_t data)
{
    return proxy_call(proxy, SYS_ptrace, (uint64_t)request, (uint64_t)task, address, data);
}

void proxy_end(struct proxy *proxy, long result)
{
    if (proxy->over) {
        if (proxy->seen) /* else the loop will hear of it */
            loop_handle(proxy->tracer, proxy->id, proxy->status);
        return;
    }
    remote_poke(proxy->id, proxy->buffer, proxy->kept, sizeof proxy->kept);
    proxy->regs.rax = (uint64_t)result;
    ptrace(PTRACE_SETREGS, proxy->id, NULL, &proxy->regs);
    ptrace(PTRACE_SETSIGMASK, proxy->id, sizeof proxy->mask, &proxy->mask);
    if (proxy->stop)
        syscall(SYS_tgkill, number_in_status(proxy->id, "Tgid", 10), proxy->id, SIGSTOP);
    ptrace(PTRACE_CONT, proxy->id, NULL, NULL);
}

/* Registers with which a task does nothing, and no system call of its own is restarted. */
static struct user_regs_struct held(const struct tracer *tracer, const struct user_regs_struct *from)
{
    struct user_regs_struct regs = *from;
    regs.rip = tracer->base + tracer->head->held;
    regs.orig_rax = (uint64_t)-1;
    return regs;
}

bool hold_and_detach(const struct tracer *tracer, struct task *task)
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

void put_back(struct task *task)
{
    if (!task->loan->held)
        return;
    ptrace(PTRACE_SETREGS, task->id, NULL, &task->loan->regs);
    ptrace(PTRACE_SETSIGMASK, task->id, sizeof task->loan->mask, &task->loan->mask);
}

/* The registers first, and on the way back last: should the borrower be killed in between, the task is held, and nothing
 * of it is lost. */
bool hold_by(struct proxy *proxy, struct task *task)
{
    struct loan *loan = task->loan;
    struct user_regs_struct regs;
    if (proxy_ptrace(proxy, PTRACE_GETREGS, task->id, 0, proxy->buffer) < 0 ||
        remote_read(proxy->id, proxy->buffer, &loan->regs, sizeof loan->regs) != sizeof loan->regs ||
        proxy_ptrace(proxy, PTRACE_GETSIGMASK, task->id, sizeof loan->mask, proxy->buffer) < 0 ||
        remote_read(proxy->id, proxy->buffer, &loan->mask, sizeof loan->mask) != sizeof loan->mask)
        return false;
    regs = held(proxy->tracer, &loan->regs);
    remote_poke(proxy->id, proxy->buffer, &regs, sizeof regs);
    loan->held = proxy_ptrace(proxy, PTRACE_SETREGS, task->id, 0, proxy->buffer) == 0;
    remote_poke(proxy->id, proxy->buffer, &everything, sizeof everything);
    proxy_ptrace(proxy, PTRACE_SETSIGMASK, task->id, sizeof everything, proxy->buffer);
    return loan->held;
}

void put_back_by(struct proxy *proxy, struct task *task)
{
    struct loan *loan = task->loan;
    remote_poke(proxy->id, proxy->buffer, &loan->mask, sizeof loan->mask);
    proxy_ptrace(proxy, PTRACE_SETSIGMASK, task->id, sizeof loan->mask, proxy->buffer);
    remote_poke(proxy->id, proxy->buffer, &loan->regs, sizeof loan->regs);
    loan->held = proxy_ptrace(proxy, PTRACE_SETREGS, task->id, 0, proxy->buffer) < 0;
}

/* Until it is stopped for the borrower, or one of the two is dead.  Not a wait of the borrower's: the end of who leads a
 * process is told when its other threads have been waited for, and that is up to us. */
static void await_stop(const struct proxy *proxy, const struct task *task)
{
    for (char state = 0; state != 't' && is_alive(task->id) && is_alive(proxy->id); state = state_of(task->id))
        usleep(GLANCE);
}

void hand_over(struct proxy *proxy, struct task *task)
{
    bool stopped = task->loan->request == PTRACE_ATTACH || task->loan->was_stopped;
    if (!stopped)
        proxy_ptrace(proxy, PTRACE_INTERRUPT, task->id, 0, 0);
    await_stop(proxy, task);
    if (!stopped)
        proxy_call(proxy, SYS_wait4, (uint64_t)task->id, 0, __WALL | WNOHANG, 0);
    put_back_by(proxy, task);
    if (!stopped)
        proxy_ptrace(proxy, PTRACE_CONT, task->id, 0, 0);
}

bool has_runtime(const struct tracer *tracer, pid_t id)
{
    uint64_t magic = 0;
    return remote_read(id, tracer->base, &magic, sizeof magic) == sizeof magic && magic == IMAGE_MAGIC;
}

static void adopt(struct tracer *tracer, pid_t id)
{
    if (task_of(tracer, id) || !has_runtime(tracer, id) || !loop_seize(tracer, id))
        return;
    struct task *task = task_begins(tracer, id);
    if (task)
        task_is_strange(tracer, task);
    adopt_descendants(tracer, id);
}

/* Those in a list of /proc that we do not know. */
static void adopt_children(struct tracer *tracer, pid_t process, pid_t thread)
{
    char name[64];
    int id;
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", process, thread);
    FILE *file = fopen(name, "re");
    while (file && fscanf(file, "%d", &id) == 1)
        adopt(tracer, id);
    if (file)
        fclose(file);
}

void adopt_descendants(struct tracer *tracer, pid_t id)
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
            adopt(tracer, thread);
        adopt_children(tracer, process, thread);
    }
    if (threads)
        closedir(threads);
}

bool is_itself(const struct task *task)
{
    return is_alive(task->id) && number_in_stat(task->id, STAT_START_TIME) == task->loan->started;
}

/* Killed, or without its memory already. */
static bool is_ending(pid_t id)
{
    uint64_t pending = number_in_status(id, "SigPnd", 16) | number_in_status(id, "ShdPnd", 16);
    return pending & SIGNAL_BIT(SIGKILL) || number_in_stat(id, STAT_MEMORY) == 0;
}

/* Who is about to end can be had no more, and is not lost: that is seen a moment later. */
bool seize_again(struct tracer *tracer, const struct task *task)
{
    for (int i = 0; is_itself(task) && (i < SEIZE_TRIES || (i < ENDING_TRIES && is_ending(task->id))); i++) {
        if (has_runtime(tracer, task->id) && loop_seize(tracer, task->id))
            return true;
        usleep(BREATH);
    }
    return false;
}
