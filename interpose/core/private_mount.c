/* A tmpfs that nobody sees: two directories of it, one of a mount that can be written to, one of a mount that cannot.
 *
 * It is mounted by a child in namespaces of its own (user_namespaces(7), mount_namespaces(7)), which shares our table of
 * descriptors, opens both, and ends.  The mount that cannot be written to is all that remains in its namespace, as the root,
 * so that `..` leads nowhere, and the namespace remains with a descriptor: the kernel drops a use of a mount that is in no
 * namespace under a lock of the whole machine, counting the uses on all processors (mntput_no_expire of fs/namespace.c),
 * which each open and each close would pay for.  With the descriptors all of it ends, whatever dies.  No rights are needed
 * where the machine lets users have namespaces.  The owner of everything in it is the user: one id is mapped, to itself.
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
#define NO_MOUNT ((struct private_mount){-1, -1, -1})

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

/* Whether nothing but the second mount is left here: a namespace that is kept would keep all of the machine's mounts. */
static bool leave_only_that(void)
{
    return chdir(AGAIN) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0;
}

/* Descriptors are made in the table of who waits for us. */
static void close_all(struct private_mount *made)
{
    close(made->writable);
    close(made->readable);
    close(made->namespace);
    *made = NO_MOUNT;
}

static int in_namespaces(const char *options, uid_t user, gid_t group, bool with_user, struct private_mount *made)
{
    int r = with_user ? map_ourselves(user, group) : 0;
    made->namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC); /* the mount will hide it */
    r = r ? r : mount_both(options);
    if (!r) {
        made->writable = open(PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        made->readable = open(AGAIN, O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = made->writable < 0 || made->readable < 0 ? -errno : 0;
    }
    if (r) {
        close_all(made);
    } else if (!leave_only_that()) { /* the root of an initial ramfs stays where it is (pivot_root(2)) */
        close(made->namespace);
        made->namespace = -1;
    }
    return r;
}

/* What the child tells: 0 and what it has made, or a negative errno. */
struct told {
    int result;
    struct private_mount made;
};

static int try_with(unsigned long flags, const char *options, struct private_mount *made)
{
    struct told told = {-EIO, NO_MOUNT};
    uid_t user = geteuid();
    gid_t group = getegid();
    int line[2], status;
    if (pipe2(line, O_CLOEXEC) < 0)
        return -errno;
    long child = syscall(SYS_clone, flags | CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        told.result = in_namespaces(options, user, group, flags & CLONE_NEWUSER, &told.made);
        _exit(write(line[1], &told, sizeof told) != sizeof told);
    }
    int failed = child < 0 ? -errno : 0;
    if (child > 0) {
        while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR)
            continue;
        fcntl(line[0], F_SETFL, O_NONBLOCK); /* it may have been killed */
        if (read(line[0], &told, sizeof told) != sizeof told)
            told = (struct told){-EIO, NO_MOUNT};
    }
    close(line[0]);
    close(line[1]);
    *made = told.made;
    return failed ? failed : told.result;
}

int private_mount(const char *options, struct private_mount *made)
{
    int r = try_with(CLONE_NEWUSER | CLONE_NEWNS, options, made);
    if (r == -EPERM || r == -EACCES || r == -ENOSPC || r == -EINVAL || r == -ENOSYS)
        if (try_with(CLONE_NEWNS, options, made) == 0) /* who is privileged needs no namespace of users */
            return 0;
    return r;
}
