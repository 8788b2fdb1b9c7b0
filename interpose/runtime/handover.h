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

/* What the server answers to that question with, as lowest free number, as open gives it; a negative errno.  It is sent
 * through a pair of sockets whose other end the tracer takes, so that nothing needs a name. */
static __attribute__((noinline)) long hand_over(u64 base, u64 why, int close_on_exec)
{
    i32 pair[2];
    long r = raw4(NR_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    if (r < 0)
        return r;
    u64 target = ask(base, (u64)(u32)pair[1], why, 0);
    raw1(NR_close, pair[1]);
    r = -(long)TARGET_VALUE(target);
    if (!r)
        r = receive(pair[0], close_on_exec ? MSG_CMSG_CLOEXEC : 0);
    if (r < 0) {
        raw1(NR_close, pair[0]);
        return r == -ESTALE ? STALE : r; /* it has been evicted, and is made again with another answer */
    }
    long fd = raw3(NR_dup3, r, pair[0], close_on_exec); /* over the socket: the number open would have given */
    raw1(NR_close, r);
    return fd;
}

/* A descriptor of the stand-in and of nothing else: by name, else by what /proc shows of the server's, after two failures
 * through the server; STALE: try again.  As long as no task has left home what /proc shows is the server's, and its sequence
 * number says that it is the inode's. */
static __attribute__((noinline)) long open_certainly(const struct inode *inode, int flags, u32 tries)
{
    long fd = open_by_name(inode, flags);
    if (fd != STALE)
        return fd;
    fd = tries < 2 ? open_standin(inode, flags) :
              hand_over(offset_of(inode), REASON_GIVE | (u64)(u32)flags << 32, flags & O_CLOEXEC);
    if (fd < 0 || !(LOAD(index_of()->flags) & HEADER_WANDERERS) || identify_fd((int)fd) == inode)
        return fd;
    raw1(NR_close, fd);
    return STALE;
}

/* A table of /proc that has to be read with virtual names, by what it is called (the server looks which it is)? */
static inline int may_be_table(const char *path)
{
    static const char names[][10] = {"maps", "smaps", "numa_maps", "mounts", "mountinfo", "mtab"};
    u32 last = 0;
    for (u32 i = 0; path[i]; i++)
        if (path[i] == '/')
            last = i + 1;
    for (u32 i = 0; i < sizeof names / sizeof names[0]; i++) {
        u32 n = 0;
        while (names[i][n] && path[last + n] == names[i][n])
            n++;
        if (!names[i][n] && !path[last + n])
            return 1;
    }
    return 0;
}

/* The kernel has opened something as `fd`: if that is a table with names in it that are others here, then under the same
 * number what shall be read; where the server cannot tell, what the kernel says. */
static __attribute__((noinline)) long show_table(long fd)
{
    if (fd < 0 || f->flags & (O_PATH | O_ACCMODE) || !may_be_table(path_of(0)))
        return fd;
    long shown = hand_over(0, REASON_SHOW | (u64)(u32)fd << 32, O_CLOEXEC);
    if (shown >= 0) {
        raw3(NR_dup3, shown, fd, f->flags & O_CLOEXEC);
        raw1(NR_close, shown);
    }
    return fd;
}
#endif
