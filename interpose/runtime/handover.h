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

static inline long hand_over_chdir(const struct inode *inode)
{
    long fd = hand_over(inode, O_CLOEXEC | O_DIRECTORY);
    if (fd < 0)
        return fd;
    long r = raw1(81 /* fchdir */, fd);
    raw1(NR_close, fd);
    return r;
}

/* Executes what the server decided; STALE where the stand-in went away. */
static __attribute__((noinline)) long perform_plan(const struct frame *f, const struct row *row, const struct plan *plan,
                                                   u32 tries)
{
    char name[STANDIN_NAME];
    const void *argv = (const void *)f->a[row->path + 1], *envp = (const void *)f->a[row->path + 2];
    const char *path = at(index_of(), plan->path_at);
    if (plan->argv_at)
        argv = at(index_of(), plan->argv_at);
    if (!plan->inode_at)
        return raw3(NR_execve, path, argv, envp);
    const struct inode *inode = at(index_of(), plan->inode_at);
    if (tries >= 2) {
        long fd = hand_over(inode, O_CLOEXEC);
        if (fd < 0)
            return fd;
        long r = raw5(NR_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
        raw1(NR_close, fd);
        return r;
    }
    i32 descriptor = LOAD(inode->descriptor);
    if (descriptor < 0)
        return STALE;
    standin_name(name, (u32)descriptor);
    long r = raw3(NR_execve, name, argv, envp);
    return r == -ENOENT || r == -EACCES || r == -EPERM ? STALE : r;
}
#endif
