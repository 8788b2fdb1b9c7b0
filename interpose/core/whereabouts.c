/* Where the names of a task lead: whether /proc/<server>/fd/N is the server's descriptor to it, as decision 14 has it.
 *
 * As long as no task has left home it is so for all.  After that a task is looked at when it matters, which is at an
 * exec: its mount namespace and its root decide, and both can be seen from here.  Only what is mounted at home itself, or
 * may come to be seen there, makes names uncertain for everybody.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core.h"

#define NAME_BYTES 48

enum place { OURS, ANOTHER, HIDDEN };

/* In whose namespace of this kind is the task? */
static enum place namespace_of(pid_t id, const char *kind)
{
    char name[NAME_BYTES], own[NAME_BYTES];
    struct stat of_task, ours;
    snprintf(name, sizeof name, "/proc/%d/ns/%s", id, kind);
    snprintf(own, sizeof own, "/proc/self/ns/%s", kind);
    if (stat(name, &of_task) < 0 || stat(own, &ours) < 0)
        return HIDDEN;
    return of_task.st_dev == ours.st_dev && of_task.st_ino == ours.st_ino ? OURS : ANOTHER;
}

bool has_our_numbers(pid_t id)
{
    return namespace_of(id, "pid") == OURS;
}

/* The same directory, on the same mount: name_to_handle_at(2) says its id even where there is no room for the handle. */
static bool has_our_root(const struct header *index, pid_t id)
{
    char name[NAME_BYTES];
    struct stat root;
    struct file_handle handle = {.handle_bytes = 0};
    int mount = -1;
    snprintf(name, sizeof name, "/proc/%d/root", id);
    int fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool same = name_to_handle_at(fd, "", &handle, &mount, AT_EMPTY_PATH) < 0 && (uint64_t)mount == index->root_mount &&
                fstat(fd, &root) == 0 && root.st_dev == index->root_device && root.st_ino == index->root_inode;
    close(fd);
    return same;
}

bool names_are_certain(const struct tracer *tracer, pid_t id)
{
    if (!(__atomic_load_n(&tracer->index->flags, __ATOMIC_ACQUIRE) & HEADER_WANDERERS))
        return true;
    return !tracer->lost_home && namespace_of(id, "mnt") == OURS && has_our_root(tracer->index, id);
}

/* Whoever is in a user namespace of its own can mount only in mount namespaces that belong to it or to one below, and
 * nothing that is mounted there comes back to ours (mount_namespaces(7)). */
static bool may_be_seen_at_home(pid_t id, uint64_t number)
{
    switch (number) {
    case SYS_mount:
    case SYS_umount2:
    case SYS_move_mount:
    case SYS_pivot_root:
        return namespace_of(id, "user") != ANOTHER;
    default:
        return false;
    }
}

void wanders(struct tracer *tracer, pid_t id, uint64_t number)
{
    tracer->lost_home |= may_be_seen_at_home(id, number);
    __atomic_or_fetch(&tracer->index->flags, HEADER_WANDERERS, __ATOMIC_RELEASE); /* nobody takes it back */
}
