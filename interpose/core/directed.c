/* Signals that are sent to a process, not to a thread: the kernel gives them to the leader, if that one wants them.
 *
 * But not while it is in a stop of ours, and whoever leaves a stop takes what has just been sent to the process.  So another
 * thread gets the signal, and the leader sleeps on: time.sleep() in Python would not hear of Ctrl-C.  Here it is given to
 * the leader after all.  It comes there as one of ours, and is told as that of its sender (docs/decisions/0029).
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core.h"

/* What the sender said of the last such signal that was sent on to a leader; kept, since the next one may be on its way
 * before this one has arrived. */
struct directed {
    struct directed *next;
    siginfo_t info;
};

#define STANDARD_SIGNALS 31 /* the others are queued, in an order that is to stay */

/* By the terminal, and by alarm(2): SI_KERNEL says "to the process" for no others. */
static const uint64_t of_the_kernel = SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGQUIT) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGHUP) |
                                      SIGNAL_BIT(SIGWINCH) | SIGNAL_BIT(SIGALRM);

/* What a thread's own write(2) has brought it looks like kill(2) by its own process. */
static const uint64_t of_a_write = SIGNAL_BIT(SIGPIPE) | SIGNAL_BIT(SIGXFSZ);

static bool is_to_process(const siginfo_t *info, pid_t process)
{
    uint64_t bit = SIGNAL_BIT(info->si_signo);
    return (info->si_code == SI_USER && !(bit & of_a_write && info->si_pid == process)) ||
           (info->si_code == SI_KERNEL && bit & of_the_kernel);
}

static bool would_take(const struct task *leader, int signal)
{
    char state = state_of(leader->id);
    return !leader->loan && state != 'Z' && state != 'X' &&
           number_in_status(leader->id, "SigCgt", 16) & SIGNAL_BIT(signal) &&
           !(number_in_status(leader->id, "SigBlk", 16) & SIGNAL_BIT(signal));
}

/* Where nothing of that signal is kept, the end of the list. */
static struct directed **place_of(struct task *task, int signal)
{
    struct directed **at = &task->directed;
    while (*at && (*at)->info.si_signo != signal)
        at = &(*at)->next;
    return at;
}

static bool send_on(struct task *leader, const siginfo_t *info)
{
    struct directed **at = place_of(leader, info->si_signo);
    if (!*at)
        *at = calloc(1, sizeof **at);
    if (!*at)
        return false;
    (*at)->info = *info;
    return syscall(SYS_tgkill, leader->id, leader->id, info->si_signo) == 0;
}

bool directed_elsewhere(struct tracer *tracer, pid_t id, int signal)
{
    siginfo_t info;
    const struct task *task = task_of(tracer, id);
    pid_t process = task && task->process ? task->process->leader : id;
    struct task *leader = task_of(tracer, process);
    if (process == id || signal > STANDARD_SIGNALS || !leader || ptrace(PTRACE_GETSIGINFO, id, NULL, &info) < 0 ||
        !is_to_process(&info, process) || !would_take(leader, signal) || !send_on(leader, &info))
        return false;
    tracer->counters.directed++;
    return true;
}

/* In a pid namespace where the tracer has no number it is 0. */
static bool is_ours(const siginfo_t *info)
{
    return info->si_code == SI_TKILL && (info->si_pid == getpid() || info->si_pid == 0);
}

void directed_arrives(struct tracer *tracer, pid_t id, int signal)
{
    siginfo_t info;
    struct task *task = task_of(tracer, id);
    const struct directed *directed = task ? *place_of(task, signal) : NULL;
    if (directed && ptrace(PTRACE_GETSIGINFO, id, NULL, &info) == 0 && is_ours(&info))
        ptrace(PTRACE_SETSIGINFO, id, NULL, &directed->info);
}

void directed_free(struct task *task)
{
    for (struct directed *next; task->directed; task->directed = next) {
        next = task->directed->next;
        free(task->directed);
    }
}
