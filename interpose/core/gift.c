/* Giving the image to a task of other credentials or namespaces: an abstract socket that only the tracer accepts from.
 *
 * The task is stopped by us in between, so each connection is answered before the next one can be made.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "core.h"

int gift_listen(struct tracer *tracer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t name[2];
    if (getrandom(name, sizeof name, 0) != sizeof name)
        return -1;
    int length = snprintf(address.sun_path + 1, 48, "hepwrap-image-%016lx%016lx", name[0], name[1]);
    tracer->address_length = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    memcpy(tracer->address, &address, tracer->address_length);
    tracer->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (tracer->listener < 0)
        return -1;
    if (bind(tracer->listener, (struct sockaddr *)&address, tracer->address_length) < 0)
        return -1;
    return listen(tracer->listener, 64);
}

/* The connection of this task; strangers, who find the name in /proc/net/unix, are sent away. */
static int accept_from(struct tracer *tracer, pid_t task)
{
    for (;;) {
        struct ucred who = {0};
        socklen_t length = sizeof who;
        int peer = accept4(tracer->listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0)
            return -errno;
        if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && who.pid == task)
            return peer;
        close(peer);
    }
}

int gift_send(struct tracer *tracer, pid_t task)
{
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {.bytes = {0}};
    char one = 1;
    struct iovec part = {&one, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &tracer->image_fd, sizeof(int));
    int peer = accept_from(tracer, task);
    if (peer < 0)
        return peer;
    ssize_t sent = sendmsg(peer, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    int r = sent < 0 ? -errno : 0;
    close(peer);
    return r;
}
