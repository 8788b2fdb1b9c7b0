/* A call on a descriptor alone. */
#ifndef HEPWRAP_DESCRIPTOR_CALL_H
#define HEPWRAP_DESCRIPTOR_CALL_H
#include "path_call.h"

static __attribute__((noinline)) long fd_call(const struct row *row)
{
    const struct inode *inode = identify_fd(FD_ARGUMENT(0));
    if (!inode)
        return native();
    f->base = offset_of(inode);
    if (row->handler == DO_fstatfs) {
        fill_statfs((struct kernel_statfs *)f->a[1], inode);
        return 0;
    }
    if (row->handler == DO_fchdir) { /* the stand-in lets everybody in */
        long refused = inode->flags & (INODE_EXEC_YES | INODE_UNCHECKED) ? ASK_KERNEL : follow_target(TARGET(TARGET_ASK, 0));
        return refused == ASK_KERNEL ? native() : refused;
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
