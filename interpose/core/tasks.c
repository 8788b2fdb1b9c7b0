/* Who shares what: the tasks of the tree, their address spaces, signal handlers and processes.
 *
 * A new task and the event of the one that made it arrive in either order (ptrace(2)); a task that nobody has announced
 * is kept stopped until its maker's event says what it shares.  Where the maker died before it could, the task goes on
 * as one of which nothing is known, and no address space is changed any more.
 */
#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "core.h"

static struct task **place_of(struct tracer *tracer, pid_t id)
{
    struct task **at = &tracer->tasks[(unsigned)id % TASK_BUCKETS];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

struct task *task_of(struct tracer *tracer, pid_t id)
{
    return *place_of(tracer, id);
}

static void *made(size_t bytes)
{
    uint32_t *object = calloc(1, bytes); /* each begins with the number of those who share it */
    if (object)
        *object = 1;
    return object;
}

static void let_go(void *object)
{
    uint32_t *sharers = object;
    if (sharers && --*sharers == 0)
        free(object);
}

static void release(struct task *task)
{
    let_go(task->space);
    let_go(task->handlers);
    let_go(task->process);
    task->space = NULL;
    task->handlers = NULL;
    task->process = NULL;
}

static struct process *process_of_one(pid_t leader)
{
    struct process *process = made(sizeof *process);
    if (process)
        process->leader = leader;
    return process;
}

static struct task *enter(struct tracer *tracer, pid_t id)
{
    struct task **at = place_of(tracer, id);
    if (*at)
        return *at;
    struct task *task = calloc(1, sizeof *task);
    if (!task)
        return NULL;
    task->id = id;
    *at = task;
    return task;
}

/* A share in what the maker has, or one's own: a copy of it. */
static void *share(void *of_maker, size_t bytes, bool shared)
{
    if (of_maker && shared) {
        ++*(uint32_t *)of_maker;
        return of_maker;
    }
    uint32_t *own = made(bytes);
    if (own && of_maker) {
        memcpy(own, of_maker, bytes);
        *own = 1;
    }
    return own;
}

static bool is_whole(const struct task *task)
{
    return task->space && task->handlers && task->process;
}

struct task *task_begins(struct tracer *tracer, pid_t id)
{
    struct task *task = enter(tracer, id);
    if (!task)
        return NULL;
    release(task);
    task->last = (struct redirected){0};
    task->passed = (struct passed){0};
    task->executes_at = 0;
    task->space = made(sizeof *task->space);
    task->handlers = made(sizeof *task->handlers);
    task->process = process_of_one(id);
    return is_whole(task) ? task : NULL;
}

bool task_appears(struct tracer *tracer, pid_t id)
{
    struct task *task = task_of(tracer, id);
    if (task && !task->ended)
        return true;
    task = enter(tracer, id);
    if (!task)
        return tracer->strangers = true; /* no memory */
    task->ended = false; /* that was another with this number */
    task->parked = tracer->new_parked = true;
    tracer->parked++;
    return false;
}

/* What clone(2) was told to share. */
static uint64_t shared_by(pid_t maker)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, maker, NULL, &regs) < 0)
        return CLONE_VM | CLONE_SIGHAND;
    switch (regs.orig_rax) {
    case SYS_clone:
        return regs.rdi;
    case SYS_vfork:
        return CLONE_VM;
    default:
        return 0;
    }
}

static void forget(struct tracer *tracer, pid_t id)
{
    struct task **at = place_of(tracer, id), *task = *at;
    if (!task)
        return;
    *at = task->next;
    release(task);
    inject_free(task);
    directed_free(task);
    free(task->loan);
    tracer->parked -= task->parked;
    free(task);
}

pid_t task_made(struct tracer *tracer, pid_t maker_id)
{
    unsigned long message = 0;
    if (ptrace(PTRACE_GETEVENTMSG, maker_id, NULL, &message) < 0)
        return 0;
    struct task *maker = task_of(tracer, maker_id), *task = enter(tracer, (pid_t)message);
    if (task && task->loan) { /* of another that had this number: its end was told to its borrower */
        forget(tracer, task->id);
        task = enter(tracer, (pid_t)message);
    }
    if (!task)
        return 0;
    if (task->ended) {
        forget(tracer, task->id);
        return 0;
    }
    uint64_t flags = shared_by(maker_id);
    release(task);
    task->space = share(maker ? maker->space : NULL, sizeof *task->space, flags & CLONE_VM);
    if (task->space && !(flags & CLONE_VM))
        task->space->copied = true;
    task->handlers = share(maker ? maker->handlers : NULL, sizeof *task->handlers, flags & CLONE_SIGHAND);
    task->process = flags & CLONE_THREAD ? share(maker ? maker->process : NULL, sizeof *task->process, true)
                                         : process_of_one(task->id);
    task->tells_exit = !maker || maker->tells_exit;
    task->maker = maker_id;
    if (task->process && flags & CLONE_THREAD)
        task->process->threaded = true;
    if (!maker || !is_whole(maker))
        tracer->strangers = true;
    if (!task->parked)
        return 0;
    task->parked = false;
    tracer->parked--;
    return task->id;
}

struct task *task_executed(struct tracer *tracer, pid_t former, pid_t id)
{
    struct task *old = task_of(tracer, former);
    struct handlers *handlers = old && old->handlers ? share(old->handlers, sizeof *handlers, false) : NULL;
    struct fame fame = old ? old->fame : (struct fame){0};
    bool tells_exit = old && old->tells_exit;
    if (former != id)
        forget(tracer, former);
    struct task *task = task_begins(tracer, id);
    if (task) {
        task->tells_exit = tells_exit;
        task->process->first = id == tracer->first;
        task->fame = fame;
    }
    if (task && handlers) {
        let_go(task->handlers);
        task->handlers = handlers;
        dispositions_executed(handlers);
    } else {
        let_go(handlers);
        dispositions_look(task ? task->handlers : NULL, id);
    }
    return task;
}

bool task_leaves(struct tracer *tracer, pid_t id)
{
    struct task *task = task_of(tracer, id);
    bool last = task && task->process && task->process->first && task->process->sharers == 1;
    if (task && task->process)
        task->only = !task->process->threaded;
    if (task)
        release(task);
    return last;
}

bool task_ended(struct tracer *tracer, pid_t id, int status)
{
    struct task *task = task_of(tracer, id);
    bool only = task && (task->process ? !task->process->threaded : task->only);
    if (task && task->parked) {
        task->parked = false; /* killed before its maker's event, which will find it so */
        task->ended = true;
        tracer->parked--;
    } else {
        forget(tracer, id);
    }
    return !only || !WIFEXITED(status); /* who calls exit does not make tasks at that time */
}

void task_is_strange(struct tracer *tracer, struct task *task)
{
    tracer->parked -= task->parked;
    tracer->strangers = true;
    task->parked = false;
    task_begins(tracer, task->id);
    dispositions_look(task->handlers, task->id);
}

void tasks_free(struct tracer *tracer)
{
    for (size_t i = 0; i < TASK_BUCKETS; i++)
        while (tracer->tasks[i])
            forget(tracer, tracer->tasks[i]->id);
}
