/* A tmpfs that is mounted nowhere: two directories of it, one of a mount that can be written to, one of a mount that cannot.
 *
 * It is mounted by a child in namespaces of its own (user_namespaces(7), mount_namespaces(7)), which shares our table of
 * descriptors, opens both, and ends; with it end the names of the mounts, and with the last descriptor the file system.
 * So nothing is left whatever dies, nobody else comes to see it, and no rights are needed where the machine lets users
 * have namespaces.  The owner of everything in it is the user: one id is mapped, to itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core.h"

/* Where it is mounted in the child: it only has to be there, and hides what is there from the child alone. */
#define PLACE "/proc"
#define AGAIN PLACE "/r"
/* Through a mount that is read-only no time of access is written down: with noatime the kernel does not try at each read. */
#define FLAGS (MS_NODEV | MS_NOSUID | MS_NOATIME)

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int map_ourselves(uid_t user, gid_t group)
{
    char line[64];
    int r = write_text("/proc/self/setgroups", "deny"); /* else no group may be mapped (user_namespaces(7)) */
    snprintf(line, sizeof line, "%u %u 1", user, user);
    r = r ? r : write_text("/proc/self/uid_map", line);
    snprintf(line, sizeof line, "%u %u 1", group, group);
    return r ? r : write_text("/proc/self/gid_map", line);
}

static int mount_both(const char *options)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("hepwrap", PLACE, "tmpfs", FLAGS, options) < 0 ||
        mkdir(AGAIN, 0700) < 0 || mount(PLACE, AGAIN, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, AGAIN, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | FLAGS, NULL) < 0)
        return -errno;
    return 0;
}

/* What the child tells: 0 and two descriptors, or a negative errno. */
struct told {
    int result, writable, readable;
};

static struct told in_namespaces(const char *options, uid_t user, gid_t group, bool with_user)
{
    struct told told = {.writable = -1, .readable = -1};
    told.result = with_user ? map_ourselves(user, group) : 0;
    told.result = told.result ? told.result : mount_both(options);
    if (told.result)
        return told;
    told.writable = open(PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    told.readable = open(AGAIN, O_PATH | O_DIRECTORY | O_CLOEXEC);
    told.result = told.writable < 0 || told.readable < 0 ? -errno : 0;
    if (told.result) { /* they are in the table of who waits for us */
        close(told.writable);
        close(told.readable);
    }
    return told;
}

static int try_with(unsigned long flags, const char *options, int *writable, int *readable)
{
    struct told told = {.result = -EIO};
    uid_t user = geteuid();
    gid_t group = getegid();
    int line[2], status;
    if (pipe2(line, O_CLOEXEC) < 0)
        return -errno;
    long child = syscall(SYS_clone, flags | CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        told = in_namespaces(options, user, group, flags & CLONE_NEWUSER);
        _exit(write(line[1], &told, sizeof told) != sizeof told);
    }
    int failed = child < 0 ? -errno : 0;
    if (child > 0) {
        while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR)
            continue;
        fcntl(line[0], F_SETFL, O_NONBLOCK); /* it may have been killed */
        if (read(line[0], &told, sizeof told) != sizeof told)
            told = (struct told){-EIO, -1, -1};
    }
    close(line[0]);
    close(line[1]);
    *writable = told.writable;
    *readable = told.readable;
    return failed ? failed : told.result;
}

int private_mount(const char *options, int *writable, int *readable)
{
    int r = try_with(CLONE_NEWUSER | CLONE_NEWNS, options, writable, readable);
    if (r == -EPERM || r == -EACCES || r == -ENOSPC || r == -EINVAL || r == -ENOSYS)
        if (try_with(CLONE_NEWNS, options, writable, readable) == 0) /* who is privileged needs no namespace of users */
            return 0;
    return r;
}
