/* A call on a descriptor alone. */
#ifndef HEPWRAP_DESCRIPTOR_CALL_H
#define HEPWRAP_DESCRIPTOR_CALL_H
#include "path_call.h"

enum { FLAGS_BYTES = 4, FSXATTR_BYTES = 28 }; /* what they read: ioctl_iflags(2), linux/fs.h */

/* Of ioctl only two requests would write; they read what before they ask whether they may. */
static inline int is_other_request(const struct row *row)
{
    u32 request = (u32)f->a[1];
    if (row->number != NR_ioctl)
        return 0;
    if (request != FS_IOC_SETFLAGS && request != FS_IOC_FSSETXATTR)
        return 1;
    const volatile char *what = (const volatile char *)f->a[2];
    (void)what[0];
    (void)what[request == FS_IOC_SETFLAGS ? FLAGS_BYTES - 1 : FSXATTR_BYTES - 1];
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

enum { LANDLOCK_RULE_PATH_BENEATH = 1, LANDLOCK_ACCESS_FS_EXECUTE = 1, LANDLOCK_ACCESS_FS_READ_FILE = 4 };

/* A rule for the directory of memory files behind that descriptor, of the rights that the ruleset is about. */
static __attribute__((noinline)) void admit(int fd)
{
    const u32 rights[] = {LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE, LANDLOCK_ACCESS_FS_EXECUTE,
                          LANDLOCK_ACCESS_FS_READ_FILE};
    for (u32 i = 0; i < 3; i++) {
        struct { u64 allowed; i32 parent; } beneath = {rights[i], fd};
        if (raw4(NR_landlock_add_rule, f->a[0], LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != -EINVAL)
            break;
    }
}

/* Memory files lie in a file system of their own, beneath nothing that a ruleset could name.  Who has lost the directory is
 * handed it for that: a file can be handed over, but not be executed without a rule. */
static __attribute__((noinline)) long admit_files(void)
{
    if (!index_of()->files_token)
        return native();
    if (has_files()) {
        admit((int)index_of()->files_at);
        return native();
    }
    f->flags = (i32)hand_over(0, REASON_GIVE | (u64)(O_PATH | O_DIRECTORY) << 32, O_CLOEXEC);
    if (f->flags >= 0) {
        admit(f->flags);
        raw1(NR_close, f->flags);
    }
    return native();
}

/* Many a program closes everything that it does not know before it executes another. */
static __attribute__((noinline)) long spare_files(void)
{
    u32 first = (u32)f->a[0], last = (u32)f->a[1], place = (u32)index_of()->files_at;
    if (first > place || last < place || !has_files())
        return native();
    u32 none = ~0U; /* flags are looked at even where there is nothing to be closed */
    long r = first < place ? raw3(NR_close_range, first, place - 1, f->a[2]) : raw3(NR_close_range, none, none, f->a[2]);
    return r < 0 || last == place ? r : raw3(NR_close_range, place + 1, last, f->a[2]);
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
