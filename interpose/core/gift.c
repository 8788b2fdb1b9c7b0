/* Giving the image to a task of other credentials or namespaces: an abstract socket that only the tracer accepts from.
 *
 * The task is stopped by us in between, so each connection is answered before the next one can be made.  A stranger who
 * finds the name gets a read-only descriptor of nothing secret: who may read the index is not what protects a job.
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

int gift_send(struct tracer *tracer)
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
    int peer = accept4(tracer->listener, NULL, NULL, SOCK_CLOEXEC);
    if (peer < 0)
        return -errno;
    ssize_t sent = sendmsg(peer, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    int r = sent < 0 ? -errno : 0;
    close(peer);
    return r;
}
