/* A descriptor from the server where /proc/<server>/fd cannot be opened (other credentials, other namespaces, no /proc). */
#ifndef HEPWRAP_HANDOVER_H
#define HEPWRAP_HANDOVER_H
#include "rows.h"
#include "standin.h"

enum { AF_UNIX = 1, SOCK_SEQPACKET = 5, SOCK_CLOEXEC = 02000000, MSG_CMSG_CLOEXEC = 0x40000000, MSG_DONTWAIT = 0x40 };

/* One message with one descriptor (man 3 cmsg, man 7 unix). */
struct parcel {
    u64 name, name_length, iov, iov_length, control, control_length, flags;
    struct { u64 base, length; } part;
    struct { u64 length; i32 level, type; i32 fd, pad; } rights;
};

/* The descriptor that waits in the socket, or -EMFILE: the kernel drops what finds no room. */
static __attribute__((noinline)) long receive(int socket, int close_on_exec)
{
    struct parcel m;
    char byte;
    zero(&m, sizeof m);
    m.part.base = (u64)&byte;
    m.part.length = sizeof byte;
    m.iov = (u64)&m.part;
    m.iov_length = 1;
    m.control = (u64)&m.rights;
    m.control_length = sizeof m.rights;
    long r = raw3(NR_recvmsg, socket, &m, MSG_DONTWAIT | close_on_exec);
    return r < 0 ? -EIO : m.control_length ? m.rights.fd : -EMFILE;
}

/* The descriptor as lowest free number, as open gives it; a negative errno.  The server sends it through a pair of sockets
 * whose other end the tracer takes, so that nothing needs a name. */
static __attribute__((noinline)) long hand_over(const struct inode *inode, int flags)
{
    i32 pair[2];
    long r = raw4(NR_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    if (r < 0)
        return r;
    u64 target = ask(offset_of(inode), (u64)(u32)pair[1], REASON_GIVE | (u64)(u32)flags << 32, 0);
    raw1(NR_close, pair[1]);
    r = -(long)TARGET_VALUE(target);
    if (!r)
        r = receive(pair[0], flags & O_CLOEXEC ? MSG_CMSG_CLOEXEC : 0);
    if (r < 0) {
        raw1(NR_close, pair[0]);
        return r == -ESTALE ? STALE : r; /* it has been evicted, and is made again with another answer */
    }
    long fd = raw3(NR_dup3, r, pair[0], flags & O_CLOEXEC); /* over the socket: the number open would have given */
    raw1(NR_close, r);
    return fd;
}

/* A descriptor of the stand-in and of nothing else: by name, after two failures through the server; STALE: try again.
 * As long as no task has left home the name is the server's, and its sequence number says that it is the inode's. */
static __attribute__((noinline)) long open_certainly(const struct inode *inode, int flags, u32 tries)
{
    long fd = tries < 2 ? open_standin(inode, flags) : hand_over(inode, flags);
    if (fd < 0 || !(LOAD(index_of()->flags) & HEADER_WANDERERS) || identify_fd((int)fd) == inode)
        return fd;
    raw1(NR_close, fd);
    return STALE;
}

#endif
