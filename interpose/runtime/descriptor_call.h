/* A call on a descriptor alone. */
#ifndef HEPWRAP_DESCRIPTOR_CALL_H
#define HEPWRAP_DESCRIPTOR_CALL_H
#include "path_call.h"

/* Of ioctl only two requests would write; they read what before they ask whether they may. */
static inline int is_other_request(const struct row *row)
{
    u32 request = (u32)f->a[1];
    if (row->number != NR_ioctl)
        return 0;
    if (request != FS_IOC_SETFLAGS && request != FS_IOC_FSSETXATTR)
        return 1;
    (void)*(const volatile char *)f->a[2];
    return 0;
}

/* A rule about a memory file is none that the kernel takes (landlock(7)), and none that anything would be denied by. */
static __attribute__((noinline)) long landlock_rule(void)
{
    long r = native();
    if (r != -EBADFD)
        return r;
    int fd = *(const volatile i32 *)(f->a[2] + sizeof(u64)); /* behind the rights: struct landlock_path_beneath_attr */
    return identify_fd(fd) ? 0 : r;
}

static __attribute__((noinline)) long fd_call(const struct row *row)
{
    if (FD_ARGUMENT(0) < 0 || is_other_request(row)) /* AT_FDCWD is none */
        return native();
    const struct inode *inode = identify_fd(FD_ARGUMENT(0));
    if (!inode)
        return row->handler == DO_fchdir ? native_change() : native();
    f->base = offset_of(inode);
    if (row->handler == DO_fstatfs) {
        fill_statfs((struct kernel_statfs *)f->a[1], inode);
        return 0;
    }
    if (row->handler == DO_fchdir) { /* the stand-in lets everybody in */
        long refused = inode->flags & (INODE_EXEC_YES | INODE_UNCHECKED) ? ASK_KERNEL : follow_target(TARGET(TARGET_ASK, 0));
        return refused == ASK_KERNEL ? native_change() : refused;
    }
    long r = wrong_but_descriptor(0);
    if (r != STALE)
        return r;
    if (is_path_only(FD_ARGUMENT(0)))
        return -EBADF;
    if (row->handler == DO_fwrite)
        return -EROFS;
    if (row->handler == DO_fgetxattr && (r = foreign_attribute(TEXT_ARGUMENT(1))) != 0)
        return r;
    return follow_target(TARGET(TARGET_ASK, 0));
}
#endif
