/* A descriptor from the server by SCM_RIGHTS, where /proc/<server>/fd cannot be opened (other credentials, other
 * namespaces, no /proc), and executing what a plan says. */
#ifndef HEPWRAP_HANDOVER_H
#define HEPWRAP_HANDOVER_H
#include "rows.h"
#include "standin.h"

enum { AF_UNIX = 1, SOCK_SEQPACKET = 5, SOCK_CLOEXEC = 02000000, MSG_CMSG_CLOEXEC = 0x40000000, MSG_NOSIGNAL = 0x4000 };

/* What is sent to the server: which inode, and how it is to be opened. */
struct wish {
    u64 token, inode_at, flags;
};

/* One message with one descriptor (man 3 cmsg, man 7 unix). */
struct parcel {
    u64 name, name_length, iov, iov_length, control, control_length, flags;
    struct { u64 base, length; } part;
    struct { u64 length; i32 level, type; i32 fd, pad; } rights;
};

/* The descriptor as lowest free number, as open gives it; a negative errno. */
static __attribute__((noinline)) long hand_over(const struct inode *inode, int flags)
{
    union { struct wish wish; struct parcel parcel; } m;
    const struct header *index = index_of();
    long s = raw3(NR_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s < 0)
        return s;
    long r = raw3(NR_connect, s, index->address, index->address_length);
    if (r < 0)
        goto out;
    m.wish = (struct wish){index->token, offset_of(inode), (u64)(u32)flags};
    r = raw6(NR_sendto, (u64)s, (u64)&m.wish, sizeof m.wish, MSG_NOSIGNAL, 0, 0);
    if (r < 0)
        goto out;
    i32 code = -EIO;
    zero(&m.parcel, sizeof m.parcel);
    m.parcel.part.base = (u64)&code;
    m.parcel.part.length = sizeof code;
    m.parcel.iov = (u64)&m.parcel.part;
    m.parcel.iov_length = 1;
    m.parcel.control = (u64)&m.parcel.rights;
    m.parcel.control_length = sizeof m.parcel.rights;
    m.parcel.rights.fd = -1;
    r = raw3(NR_recvmsg, s, &m.parcel, flags & O_CLOEXEC ? MSG_CMSG_CLOEXEC : 0);
    if (r < 0)
        goto out;
    if (m.parcel.rights.fd < 0 || !m.parcel.control_length) {
        r = code ? code : -EIO;
        goto out;
    }
    r = raw3(NR_dup3, m.parcel.rights.fd, s, flags & O_CLOEXEC); /* over the socket: the number open would have given */
    raw1(NR_close, m.parcel.rights.fd);
    return r;
out:
    raw1(NR_close, s);
    return r == -EINTR || r == -EMFILE || r == -ENFILE ? r : -EIO;
}

/* A descriptor of the stand-in and of nothing else: by name, after two failures by socket; STALE: try again. */
static __attribute__((noinline)) long open_certainly(const struct inode *inode, int flags, u32 tries)
{
    long fd = tries < 2 ? open_standin(inode, flags) : hand_over(inode, flags);
    if (fd < 0 || identify_fd((int)fd) == inode)
        return fd;
    raw1(NR_close, fd);
    return STALE;
}

/* The arguments of the program that the plan at f->noted is about. */
static inline u64 planned_argv(void)
{
    const struct plan *plan = at(index_of(), f->noted);
    return plan->argv_at ? (u64)at(index_of(), plan->argv_at) : f->a[f->row->path + 1];
}

/* By descriptor: it has been seen to be the right one, and what it is cannot change any more. */
static inline long execute_descriptor(long fd)
{
    long r = raw5(NR_execveat, fd, "", planned_argv(), f->a[f->row->path + 2], AT_EMPTY_PATH);
    raw1(NR_close, fd);
    return r;
}
#endif
