/* The image for a task that may not open /proc/<server>/fd: other credentials, other namespaces, no /proc.
 *
 * The task makes a pair of sockets.  One end is taken out of it (pidfd_getfd(2), a right of its tracer), and the image is
 * sent through that.  Nothing has a name, so no namespace is in the way and no stranger can ask.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "inject.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#define BELOW_STACK 512 /* bytes below the new program's stack pointer: nothing is there yet */

/* What recvmsg needs, as it will lie in the task's memory. */
struct parcel {
    struct msghdr message;
    struct iovec part;
    struct { uint64_t length; int32_t level, type, fd, pad; } rights;
    char byte[8];
};
_Static_assert(sizeof(struct parcel) <= BELOW_STACK, "the parcel fits into what is borrowed");

static uint64_t parcel_at(const struct injection *in)
{
    return (in->saved.rsp - BELOW_STACK) & ~15UL;
}

static int send_descriptor(int socket, int fd)
{
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {.bytes = {0}};
    char one = 1;
    struct iovec part = {&one, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int gift_take(pid_t task, int fd)
{
    int target = (int)syscall(SYS_pidfd_open, task, PIDFD_THREAD);
    if (target < 0) /* before Linux 6.9 */
        target = (int)syscall(SYS_pidfd_open, (pid_t)number_in_status(task, "Tgid", 10), 0);
    int copy = target < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, target, fd, 0);
    int result = copy < 0 ? -errno : copy;
    if (target >= 0)
        close(target);
    return result;
}

static bool closed_both(struct injection *in, const struct user_regs_struct *regs)
{
    (void)regs;
    return in->fd < 0 ? inject_refuse(in, "handing it the runtime", in->fd) : inject_map(in);
}

static bool closed_one(struct injection *in, const struct user_regs_struct *regs)
{
    (void)regs;
    return inject_call(in, closed_both, SYS_close, (uint64_t)in->pair[1], 0, 0, 0);
}

static bool received(struct injection *in, const struct user_regs_struct *regs)
{
    struct parcel parcel = {.rights = {.fd = -EBADF}};
    int64_t r = inject_result(regs);
    bool all = r >= 0 && remote_read(in->owner->id, parcel_at(in), &parcel, sizeof parcel) == sizeof parcel;
    in->fd = r < 0 ? r : !all ? -EFAULT : parcel.message.msg_controllen ? parcel.rights.fd : -EMFILE;
    return inject_call(in, closed_one, SYS_close, (uint64_t)in->pair[0], 0, 0, 0);
}

static bool made_pair(struct injection *in, const struct user_regs_struct *regs)
{
    uint64_t place = parcel_at(in);
    int64_t r = inject_result(regs);
    if (r == 0 && remote_read(in->owner->id, place, in->pair, sizeof in->pair) != sizeof in->pair)
        r = -EFAULT;
    if (r < 0)
        return inject_refuse(in, "handing it the runtime", r);
    int ours = gift_take(in->owner->id, in->pair[1]);
    if (ours < 0)
        return inject_refuse(in, "handing it the runtime", ours);
    r = send_descriptor(ours, in->tracer->image_fd);
    close(ours);
    struct parcel parcel = {.rights = {.fd = -EBADF}};
    parcel.message.msg_iov = (struct iovec *)(place + offsetof(struct parcel, part));
    parcel.message.msg_iovlen = 1;
    parcel.message.msg_control = (void *)(place + offsetof(struct parcel, rights));
    parcel.message.msg_controllen = sizeof parcel.rights;
    parcel.part = (struct iovec){(void *)(place + offsetof(struct parcel, byte)), 1};
    if (r == 0 && remote_poke(in->owner->id, place, &parcel, sizeof parcel) < 0)
        r = -EFAULT;
    if (r < 0)
        return inject_refuse(in, "handing it the runtime", r);
    return inject_call(in, received, SYS_recvmsg, (uint64_t)in->pair[0], place, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0);
}

bool gift_begin(struct injection *in)
{
    limits_raise_descriptors(in); /* three are needed; where it cannot be raised they may be there all the same */
    return inject_call(in, made_pair, SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, parcel_at(in));
}
