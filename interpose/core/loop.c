/* The loop: one stop after the other.  Follows tasks, lets signals and job control through. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core.h"

#define POLLS 50 /* some 20 us */

static const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                            PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;

int tracer_attach(struct tracer *tracer, pid_t first)
{
    struct task *task = task_begins(tracer, first);
    tracer->first = first;
    if (!task) {
        errno = ENOMEM;
        return -1;
    }
    task->process->first = true;
    task->tells_exit = true;
    tracer->lost_home = tracer->index->flags & HEADER_WANDERERS; /* from the start */
    dispositions_look(task->handlers, first);
    return loop_seize(tracer, first) ? 0 : -1;
}

bool loop_seize(struct tracer *tracer, pid_t id)
{
    struct task *task = task_of(tracer, id);
    long wanted = options | (task && task->tells_exit ? PTRACE_O_TRACEEXIT : 0);
    return ptrace(PTRACE_SEIZE, id, NULL, (void *)wanted) == 0;
}

static void go_on(pid_t task, int signal)
{
    ptrace(PTRACE_CONT, task, NULL, (void *)(long)signal);
}

/* A job never runs on half a world: where the new program cannot be served it ends before it begins. */
static void end_unless(struct tracer *tracer, pid_t task, bool served)
{
    if (served)
        return;
    tracer->counters.lost++;
    syscall(SYS_tgkill, task, task, SIGKILL); /* nobody else's number: it executes, so it leads, and we have not waited for it */
}

static void on_seccomp(struct tracer *tracer, pid_t task)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, task, NULL, &regs) < 0)
        return;
    regs.orig_rax = (uint64_t)(int32_t)regs.orig_rax; /* a number is an int: the kernel's entry looks at no more of it */
    struct task *new = task_of(tracer, task);
    if (new && new->injection && inject_is_at(new, &regs)) {
        end_unless(tracer, task, inject_stopped(new, &regs));
        go_on(task, 0);
        return;
    }
    call_caught(tracer, task, &regs);
}

static void let_orphans_go(struct tracer *tracer)
{
    for (pid_t parked; (parked = parked_orphan(tracer)) != 0;)
        go_on(parked, 0);
}

/* Its file; zeros where that cannot be seen. */
static struct stat program_of(pid_t task)
{
    struct stat program = {0};
    char name[32];
    snprintf(name, sizeof name, "/proc/%d/exe", task);
    (void)!stat(name, &program);
    return program;
}

/* Has this process never had others?  Each is announced before it runs. */
static bool has_one_thread(struct tracer *tracer, pid_t id)
{
    const struct task *task = task_of(tracer, id);
    return !tracer->strangers && task && task->process && !task->process->threaded;
}

static void on_exec(struct tracer *tracer, pid_t task)
{
    unsigned long former = (unsigned long)task; /* the thread that called exec had this number until now */
    if (!has_one_thread(tracer, task))
        ptrace(PTRACE_GETEVENTMSG, task, NULL, &former);
    tracer->counters.execs++;
    lending_executed(tracer, (pid_t)former, task);
    struct task *new = task_executed(tracer, (pid_t)former, task);
    if (new && task == tracer->first && !new->tells_exit) /* another thread has become the leader */
        new->tells_exit = ptrace(PTRACE_SETOPTIONS, task, NULL, (void *)(options | PTRACE_O_TRACEEXIT)) == 0;
    if (task == tracer->first)
        tracer->first_unclear = false;
    struct stat program = program_of(task);
    end_unless(tracer, task, new && inject_begin(tracer, new, &program));
    if (gains_nothing(task, &program))
        tell(tracer, TELL_SETID, task, task);
    go_on(task, 0);
    let_orphans_go(tracer);
}

/* A fault that a patched site has made, not the program; nor somebody who sent that signal while the task was there. */
static bool fault_of_patch(struct tracer *tracer, pid_t task, int signal)
{
    struct user_regs_struct regs;
    siginfo_t info;
    if ((signal != SIGTRAP && signal != SIGSEGV) || !tracer->counters.patched ||
        ptrace(PTRACE_GETSIGINFO, task, NULL, &info) < 0 || SENT_BY_SOMEBODY(info.si_code) ||
        ptrace(PTRACE_GETREGS, task, NULL, &regs) < 0 ||
        !(signal == SIGTRAP ? patch_breakpoint : patch_lost)(tracer, task, &regs))
        return false;
    ptrace(PTRACE_SETREGS, task, NULL, &regs);
    go_on(task, 0);
    return true;
}

/* A new task, stopped, of which it is known what it is.  Only the exit of the first process's leader is of interest. */
static void begin(struct tracer *tracer, pid_t id)
{
    struct task *task = task_of(tracer, id);
    if (task && task->tells_exit && id != tracer->first)
        task->tells_exit = ptrace(PTRACE_SETOPTIONS, id, NULL, (void *)options) < 0;
    go_on(id, 0);
}

static void on_new_task(struct tracer *tracer, pid_t maker)
{
    pid_t parked = task_made(tracer, maker);
    if (parked)
        begin(tracer, parked);
    patch_for_children(tracer, maker);
    go_on(maker, 0);
}

/* The first process is over: its last thread is at its end, or (killed) beyond. */
static void tell_first_exit(struct tracer *tracer)
{
    if (!tracer->first_told && tracer->at_first_exit)
        tracer->at_first_exit(tracer);
    tracer->first_told = true;
}

static void on_end(struct tracer *tracer, pid_t task, int status)
{
    lending_ended(tracer, task);
    if (task == tracer->first) {
        tell_first_exit(tracer);
        tracer->first_status = status;
        tracer->first = 0; /* another may get this number */
    }
    if (task_ended(tracer, task, status))
        let_orphans_go(tracer);
}

/* Of a task at its exit: does its process end with it, whoever else is in it?  Who is killed with 0 may be in the way of a
 * thread that executes; and where another thread ends the process with 0, that is told when it has. */
static bool ends_process(pid_t task)
{
    struct user_regs_struct regs;
    unsigned long code = 0;
    return ptrace(PTRACE_GETREGS, task, NULL, &regs) == 0 && ptrace(PTRACE_GETEVENTMSG, task, NULL, &code) == 0 &&
           (regs.orig_rax == SYS_exit_group || (code && regs.orig_rax != SYS_exit));
}

static bool stops_group(int signal)
{
    return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static bool is_fault(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGTRAP;
}

static void on_signal(struct tracer *tracer, pid_t task, int signal)
{
    struct task *new = task_of(tracer, task);
    struct user_regs_struct regs;
    directed_arrives(tracer, task, signal);
    if (new && new->injection && is_fault(signal) && inject_has_fault(new))
        end_unless(tracer, task, inject_fault(new));
    else if (fault_in_runtime(tracer, task, signal) || fault_of_patch(tracer, task, signal))
        return;
    tracer->counters.signals++;
    if (directed_elsewhere(tracer, task, signal)) {
        go_on(task, 0);
        return;
    }
    disposition_delivered(tracer, task, signal);
    if (ptrace(PTRACE_GETREGS, task, NULL, &regs) == 0) {
        if (signal != SIGTRAP) /* who steps through its own code would never come further */
            patch_retreat(tracer, task, &regs);
        signal_passed(tracer, task, &regs);
    }
    go_on(task, signal);
}

static void on_stop(struct tracer *tracer, pid_t task, int status)
{
    int event = status >> 16, signal = WSTOPSIG(status);
    tracer->counters.stops++;
    switch (event) {
    case PTRACE_EVENT_SECCOMP:
        on_seccomp(tracer, task);
        return;
    case PTRACE_EVENT_EXEC:
        on_exec(tracer, task);
        return;
    case PTRACE_EVENT_STOP:
        if (lending_stopped(tracer, task, stops_group(signal)))
            return;
        if (stops_group(signal)) {
            ptrace(PTRACE_LISTEN, task, NULL, NULL);
            return;
        }
        if (task_appears(tracer, task))
            begin(tracer, task); /* or the end of a group stop */
        return;
    case PTRACE_EVENT_EXIT:
        if (task_leaves(tracer, task) || (task == tracer->first && ends_process(task)))
            tell_first_exit(tracer);
        else if (task == tracer->first)
            tracer->first_unclear = true;
        go_on(task, 0);
        return;
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
        tracer->counters.tasks++;
        on_new_task(tracer, task);
        return;
    default:
        on_signal(tracer, task, signal);
    }
}

void loop_handle(struct tracer *tracer, pid_t task, int status)
{
    if (WIFSTOPPED(status)) {
        on_stop(tracer, task, status);
        lending_reminds(tracer, task);
    } else {
        on_end(tracer, task, status);
    }
    for (pid_t parked; (parked = parked_cleared(tracer, task)) != 0;)
        go_on(parked, 0);
}

/* The next one, and where it is the first process's end what is to be said then: its parent hears of it once we have. */
static pid_t say_before_next(struct tracer *tracer, int *status, int how)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT | how) < 0)
        return -1;
    if (info.si_pid == tracer->first && info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
        tell_first_exit(tracer);
    return waitpid(info.si_pid, status, how);
}

/* A new task is announced at once, as a rule: only where nothing comes one asks whether it will be. */
static pid_t next_stop(struct tracer *tracer, int *status)
{
    const int how = __WALL | __WNOTHREAD; /* other threads may have children */
    pid_t task = 0;
    for (int i = 0; !task && tracer->new_parked && i < POLLS; i++)
        task = waitpid(-1, status, how | WNOHANG);
    if (task)
        return task;
    if (tracer->new_parked)
        let_orphans_go(tracer);
    return tracer->first_unclear && tracer->first ? say_before_next(tracer, status, how) : waitpid(-1, status, how);
}

void tracer_run(struct tracer *tracer)
{
    for (;;) {
        int status;
        pid_t task = next_stop(tracer, &status);
        if (task < 0 && errno == EINTR)
            continue;
        if (task < 0)
            break; /* ECHILD: the last one is gone */
        loop_handle(tracer, task, status);
    }
    tasks_free(tracer);
    questions_close(tracer);
}
