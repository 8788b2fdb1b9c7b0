/* Parked tasks whose maker cannot announce them any more: it was killed between making them and saying so.
 *
 * Most parked tasks are announced a moment later.  Whether that will be is looked at once when nothing else happens, and
 * when some task was killed, or has executed a program (its other threads are gone then), never by a clock:
 *
 *     a thread                                        ends with its maker, nothing is to be done
 *     its parent is none of ours                      an orphan: whoever made it is gone
 *     its parent is of another image                  an orphan that one of ours has adopted
 *     else the thread that it is a child of           is told to stop: the event of making it would come first
 */
#include <stdio.h>
#include <sys/ptrace.h>
#include "core.h"

/* Differs from image to image, a fork keeps it.  0: it is hidden, which is the same for both that are compared. */
static uint64_t image_of(pid_t task)
{
    return number_in_stat(task, STAT_START_OF_STACK);
}

static bool is_child_of(const struct task *child, pid_t process, pid_t thread)
{
    char name[64];
    int one = 0;
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", process, thread);
    FILE *file = fopen(name, "re");
    while (file && fscanf(file, "%d", &one) == 1 && one != child->id)
        continue;
    if (file)
        fclose(file);
    return one == child->id;
}

/* The thread that has made or adopted it; NULL: that cannot be seen (a kernel without CONFIG_PROC_CHILDREN). */
static struct task *thread_above(struct tracer *tracer, const struct task *child, struct task *parent)
{
    if (!parent->process || parent->process->sharers == 1)
        return parent;
    for (size_t i = 0; i < TASK_BUCKETS; i++)
        for (struct task *task = tracer->tasks[i]; task; task = task->next)
            if (task->process == parent->process && is_child_of(child, parent->id, task->id))
                return task;
    return NULL;
}

static bool is_orphan(struct tracer *tracer, struct task *task)
{
    uint64_t process = number_in_status(task->id, "Tgid", 10);
    if (process != (uint64_t)task->id) /* or it is gone, and its end will come */
        return false;
    struct task *parent = task_of(tracer, (pid_t)number_in_status(task->id, "PPid", 10));
    if (!parent || image_of(parent->id) != image_of(task->id))
        return true;
    struct task *above = thread_above(tracer, task, parent);
    if (above && above->id != task->doubted) {
        task->doubted = above->id;
        tracer->doubts = true;
        ptrace(PTRACE_INTERRUPT, above->id, NULL, NULL); /* where that fails its end will come */
    }
    return false;
}

pid_t parked_orphan(struct tracer *tracer)
{
    tracer->new_parked = false;
    for (size_t i = 0; tracer->parked && i < TASK_BUCKETS; i++)
        for (struct task *task = tracer->tasks[i]; task; task = task->next)
            if (task->parked && is_orphan(tracer, task)) {
                task_is_strange(tracer, task);
                return task->id;
            }
    return 0;
}

pid_t parked_cleared(struct tracer *tracer, pid_t stopped)
{
    for (size_t i = 0; tracer->doubts && i < TASK_BUCKETS; i++)
        for (struct task *task = tracer->tasks[i]; task; task = task->next)
            if (task->parked && task->doubted == stopped) {
                task_is_strange(tracer, task);
                return task->id;
            }
    tracer->doubts = tracer->doubts && tracer->parked;
    return 0;
}
