/* The in-process runtime: every caught system call comes here, from the tracer's redirect or from a patched site. */
#include "rows.h"
#include "attributes.h"
#include "names.h"
#include "standin.h"
#include "handover.h"

#define FD_ARGUMENT(i) ((int)(f)->a[i])
#define TEXT_ARGUMENT(i) ((const char *)(f)->a[i])

/* What a path of this call is relative to. */
static inline int dirfd_of(const struct row *row)
{
    return row->dirfd < 6 ? FD_ARGUMENT(row->dirfd) : AT_FDCWD;
}

/* Flags of open that a stand-in is opened with. */
#define KEPT_BY_OPEN (O_ACCMODE | O_CLOEXEC | O_NONBLOCK | O_DIRECTORY | O_APPEND | O_SYNC)

static inline int open_flags(u32 handler, u32 path)
{
    if (handler == DO_creat)
        return O_CREAT | O_WRONLY | O_TRUNC;
    if (handler == DO_openat2)
        return (int)*(const volatile u64 *)f->a[2];
    return (int)f->a[path + 1];
}

/* Flags and whether a last symbolic link is followed, from the arguments of this kind of call. */
static inline void read_flags(void)
{
    u32 handler = f->row->handler;
    f->flags = 0;
    f->follow = 1;
    switch (handler) {
    case DO_open: case DO_openat2: case DO_creat:
        f->flags = open_flags(handler, f->row->path);
        if (f->flags & O_PATH) /* all others are ignored, says open(2) */
            f->flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        f->follow = !(f->flags & O_NOFOLLOW) && (f->flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
        return;
    case DO_newfstatat: case DO_faccessat2:
        f->flags = (int)f->a[3];
        break;
    case DO_statx: case DO_getxattrat: case DO_listxattrat:
        f->flags = (int)f->a[2];
        break;
    case DO_lstat: case DO_readlink: case DO_readlinkat: case DO_lgetxattr: case DO_llistxattr:
        f->follow = 0;
        return;
    case DO_standin:
        if (f->row->number == 303) /* name_to_handle_at does not follow unless told */
            f->follow = (f->a[4] & AT_SYMLINK_FOLLOW) != 0;
        return;
    default:
        return;
    }
    f->follow = !(f->flags & AT_SYMLINK_NOFOLLOW);
}

/* What the kernel finds wrong with a call before it looks at any path: it is asked, about a path that nobody has. */
static __attribute__((noinline)) long wrong_for_kernel(const struct row *row)
{
    static const char nowhere[] = "/proc/0/-";
    u64 given = f->a[row->path], second = row->second_path < 6 ? f->a[row->second_path] : 0;
    f->a[row->path] = (u64)nowhere;
    if (row->second_path < 6)
        f->a[row->second_path] = (u64)nowhere;
    long r = native();
    f->a[row->path] = given; /* the caller's registers are restored from here */
    if (row->second_path < 6)
        f->a[row->second_path] = second;
    if ((row->number == NR_symlink || row->number == NR_symlinkat) && !*(const volatile char *)f->a[0])
        return -ENOENT; /* that of an empty target, which here is no path to be looked at */
    return r == -ENOENT || r == -ENOTDIR || r == -EACCES ? STALE : r;
}

/* The same of a call on a descriptor. */
static __attribute__((noinline)) long wrong_but_descriptor(u32 place)
{
    u64 given = f->a[place];
    f->a[place] = (u64)-1;
    long r = native();
    f->a[place] = given; /* the caller's registers are restored from here */
    return r == -EBADF ? STALE : r;
}

/* Such a descriptor serves for its path only, and for next to no call (open(2)). */
static inline int is_path_only(int fd)
{
    return (raw3(NR_fcntl, fd, F_GETFL, 0) & O_PATH) != 0;
}

static inline long wrong_attribute_name(const char *name)
{
    u32 length = 0;
    while (length <= NAME_LIMIT && ((const volatile char *)name)[length])
        length++;
    return length == 0 || length > NAME_LIMIT ? -ERANGE : STALE;
}

/* Errors that come before any that a path could give; STALE: none.  By hand where a call is frequent. */
static inline long wrong_arguments(void)
{
    const u64 *args = f->a;
    int wrong = 0;
    switch (f->row->handler) {
    case DO_newfstatat:
        wrong = f->flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE);
        break;
    case DO_statx:
        wrong = (f->flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (args[3] & STATX_RESERVED) ||
                (f->flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE));
        break;
    case DO_faccessat2:
        wrong = f->flags & ~(AT_SYMLINK_NOFOLLOW | AT_EACCESS | AT_EMPTY_PATH);
        __attribute__((fallthrough));
    case DO_access: case DO_faccessat:
        wrong |= (int)args[f->row->path + 1] & ~7;
        break;
    case DO_readlink: case DO_readlinkat:
        wrong = (i32)args[f->row->path + 2] <= 0;
        break;
    case DO_getxattr: case DO_lgetxattr:
        return wrong_attribute_name((const char *)args[1]);
    case DO_open: case DO_creat:
        return f->flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? wrong_for_kernel(f->row) : STALE;
    case DO_openat2: case DO_getxattrat: case DO_listxattrat: case DO_write1: case DO_standin:
        return wrong_for_kernel(f->row);
    default:
        break;
    }
    return wrong ? -EINVAL : STALE;
}

static inline long do_access(const struct inode *inode, int mode, int checked)
{
    u32 type = inode->st_mode & S_IFMT;
    if (checked)
        return 0;
    if ((mode & W_OK))
        return type == S_IFREG || type == S_IFDIR || type == S_IFLNK ? -EROFS : STALE;
    if ((mode & X_OK) && (inode->flags & INODE_EXEC_NO))
        return -EACCES;
    if (inode->flags & INODE_UNCHECKED)
        return 0;
    if (((mode & R_OK) && !(inode->flags & INODE_READ_YES)) || ((mode & X_OK) && !(inode->flags & INODE_EXEC_YES)))
        return STALE;
    return 0;
}

/* open of a virtual object.  STALE: only the server can tell. */
static inline long do_open(const struct inode *inode)
{
    int flags = f->flags;
    u32 type = inode->st_mode & S_IFMT;
    if (!f->asked && ((flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE & ~O_DIRECTORY)))
        return STALE;
    if ((flags & O_DIRECTORY) && type != S_IFDIR)
        return -ENOTDIR;
    if (flags & O_PATH)
        return OPEN_IT;
    if (type == S_IFLNK)
        return -ELOOP;
    if ((flags & O_ACCMODE) && (type == S_IFDIR || type == S_IFREG))
        return type == S_IFDIR ? -EISDIR : -EROFS;
    if (type == S_IFCHR || type == S_IFBLK)
        return -EACCES; /* mounted nodev */
    if (!f->asked && ((flags & O_ACCMODE) || !(inode->flags & INODE_READ_YES)) && !(inode->flags & INODE_UNCHECKED))
        return STALE;
    if (type == S_IFSOCK)
        return -ENXIO;
    if (type == S_IFIFO && (flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    return OPEN_IT;
}

static inline long do_chdir(const struct inode *inode)
{
    if ((inode->st_mode & S_IFMT) != S_IFDIR)
        return -ENOTDIR;
    if (!f->asked && !(inode->flags & (INODE_EXEC_YES | INODE_UNCHECKED)))
        return STALE;
    return OPEN_IT;
}

static inline long do_getxattr(const char *name)
{
    long r = foreign_attribute(name);
    return r ? r : STALE;
}

/* The call on a virtual inode.  STALE: the server has to say. */
static inline long act(const struct inode *inode)
{
    u32 path = f->row->path;
    switch (f->row->handler) {
    case DO_open: case DO_openat2: case DO_creat:
        return do_open(inode);
    case DO_stat: case DO_lstat:
        fill_stat((struct kernel_stat *)f->a[1], inode);
        return 0;
    case DO_newfstatat:
        fill_stat((struct kernel_stat *)f->a[2], inode);
        return 0;
    case DO_statx:
        fill_statx((struct kernel_statx *)f->a[4], inode, (u32)f->a[3]);
        return 0;
    case DO_access: case DO_faccessat: case DO_faccessat2:
        return do_access(inode, (int)f->a[path + 1], f->asked);
    case DO_readlink: case DO_readlinkat:
        return read_link(inode, (char *)f->a[path + 1], (i32)f->a[path + 2]);
    case DO_chdir:
        return do_chdir(inode);
    case DO_statfs:
        fill_statfs((struct kernel_statfs *)f->a[1], inode);
        return 0;
    case DO_getxattr: case DO_lgetxattr:
        return do_getxattr(TEXT_ARGUMENT(1));
    case DO_getxattrat:
        return do_getxattr(TEXT_ARGUMENT(3));
    case DO_standin:
        return native_on_standin(inode, path);
    default:
        return STALE;
    }
}

/* Where the caller wants the data of an answer. */
static inline long deliver(void)
{
    const u64 *args;
    switch (f->row->handler) {
    case DO_getxattr: case DO_lgetxattr: case DO_fgetxattr:
        return put_value(f->noted, (char *)f->a[2], f->a[3]);
    case DO_getxattrat:
        args = (const u64 *)f->a[4];
        return put_value(f->noted, (char *)args[0], (u32)args[1]);
    case DO_listxattrat:
        return put_value(f->noted, (char *)f->a[3], f->a[4]);
    case DO_listxattr: case DO_llistxattr: case DO_flistxattr:
        return put_value(f->noted, (char *)f->a[1], f->a[2]);
    default:
        return -EIO;
    }
}

/* The kernel's answer, with virtual names and attributes where it has come upon a stand-in (by /proc/PID/cwd ...). */
static __attribute__((noinline)) long kernel_says(const struct row *row)
{
    u32 path = row->path;
    switch (row->handler) {
    case DO_stat: case DO_lstat:
        return stat_fd((struct kernel_stat *)f->a[1]);
    case DO_newfstatat:
        return stat_fd((struct kernel_stat *)f->a[2]);
    case DO_statx:
        return statx_fd((struct kernel_statx *)f->a[4]);
    case DO_readlink: case DO_readlinkat:
        return show_link(dirfd_of(row), TEXT_ARGUMENT(path), (char *)f->a[path + 1], (i32)f->a[path + 2], native());
    default:
        return native();
    }
}

/* The kernel shall answer, about this path.  The caller of follow_target sees to it, from its own place on the stack. */
static inline long let_kernel(u64 path)
{
    f->a[f->row->path] = path;
    return ASK_KERNEL;
}

/* Calls that make something: what is missing is not the whole answer, the server knows the order of errors. */
static inline int makes(void)
{
    return f->row->handler == DO_write1 || (f->row->handler <= DO_creat && (f->flags & O_CREAT));
}

/* From a target to the result; asks the server as often as it takes. */
static __attribute__((noinline)) long follow_target(u64 target)
{
    for (u32 tries = 0; tries < 8; tries++) {
        long r = STALE;
        switch (TARGET_KIND(target)) {
        case TARGET_ERRNO:
            if (f->asked || !makes())
                return -(long)TARGET_VALUE(target);
            break;
        case TARGET_HOST:
            if (f->row->handler < DO_write1 || f->row->handler == DO_standin || f->asked)
                return let_kernel((u64)at(index_of(), TARGET_VALUE(target)));
            break;
        case TARGET_NATIVE:
            return let_kernel(f->a[f->row->path]);
        case TARGET_DATA:
            r = deliver();
            if (r != STALE_DATA)
                return r;
            break;
        case TARGET_INODE:
            r = act(inode_at(target));
            if (is_in_mailbox(target) && !slot_is_still(f->noted))
                r = STALE; /* read too late: it may have been another's */
            f->noted = TARGET_VALUE(target);
            if (r != STALE)
                return r;
            break;
        default:
            break;
        }
        u64 why = (f->asked++ ? REASON_STALE : REASON_ASK) | (u64)f->follow << 8 | (u64)(u32)f->flags << 32;
        target = ask(f->base, 0, why, &f->noted);
    }
    return -EIO;
}

/* open and chdir, once it is known what is to be opened. */
static inline int standin_flags(void)
{
    if (f->row->handler > DO_creat)
        return O_PATH | O_CLOEXEC | O_DIRECTORY;
    if (f->flags & O_PATH)
        return (f->flags & (O_CLOEXEC | O_DIRECTORY)) | O_PATH;
    return f->flags & KEPT_BY_OPEN;
}

static inline long opened(long fd)
{
    if (fd < 0 || f->row->handler <= DO_creat)
        return fd;
    long r = raw1(NR_fchdir, fd);
    raw1(NR_close, fd);
    return r;
}

/* Calls on a descriptor alone that do not do with one that is only a path. */
static inline int wants_open_file(const struct row *row)
{
    u32 n = row->number;
    return row->handler == DO_getxattrat || row->handler == DO_listxattrat || n == NR_setxattrat || n == NR_removexattrat ||
           ((n == NR_utimensat || n == NR_futimesat) && !f->a[row->path]);
}

/* A path that is empty, or no path at all: the call is about the descriptor. */
static inline long on_descriptor(void)
{
    switch (f->row->handler) {
    case DO_newfstatat:
        return stat_fd((struct kernel_stat *)f->a[2]);
    case DO_statx:
        return statx_fd((struct kernel_statx *)f->a[4]);
    default:
        break;
    }
    const struct inode *inode = f->row->dirfd < 6 ? identify_fd(dirfd_of(f->row)) : 0;
    if (!inode)
        return native();
    long wrong = wrong_but_descriptor(f->row->dirfd); /* does this call take an empty path at all? */
    if (wrong != STALE)
        return wrong;
    if (wants_open_file(f->row) && is_path_only(dirfd_of(f->row)))
        return -EBADF;
    f->base = offset_of(inode);
    if (f->row->handler == DO_readlinkat)
        return (inode->st_mode & S_IFMT) == S_IFLNK ? act(inode) : -ENOENT;
    return follow_target(TARGET(TARGET_ASK, 0));
}

/* utimensat looks at its times between the object and the mount. */
static inline int wrong_times(const struct row *row)
{
    const volatile i64 *times = (const volatile i64 *)f->a[2];
    if (row->number != NR_utimensat || !times)
        return 0;
    for (int i = 1; i < 4; i += 2)
        if ((u64)times[i] > 999999999 && times[i] != UTIME_NOW && times[i] != UTIME_OMIT)
            return 1;
    return 0;
}

static __attribute__((noinline)) long path_call(const struct row *row)
{
    const char *path = TEXT_ARGUMENT(row->path);
    read_flags();
    if (!path || !*(const volatile char *)path)
        return on_descriptor();
    u64 target = first_look(dirfd_of(row), path, f->follow, &f->base);
    if (target == LET_KERNEL) {
        long r = kernel_says(row);
        if (!doubtful(r))
            return r;
        target = second_look(dirfd_of(row), path, f->follow, &f->base);
        if (target == LET_KERNEL)
            return r;
    }
    long wrong = wrong_arguments();
    if (wrong != STALE)
        return wrong;
    for (u32 tries = 0; tries < 4; tries++) {
        long r = follow_target(target);
        if (r == ASK_KERNEL) {
            r = kernel_says(row);
            f->a[row->path] = (u64)path; /* the caller's registers are restored from here */
        }
        if (r != OPEN_IT)
            return r == -EROFS && wrong_times(row) ? -EINVAL : r;
        r = open_certainly(at(index_of(), f->noted), standin_flags(), tries);
        if (r != STALE)
            return opened(r);
        target = TARGET(TARGET_ASK, 0); /* it has gone, or this task cannot reach it by name */
    }
    return -EIO;
}

static inline int second_dirfd(void)
{
    return f->row->second_dirfd < 6 ? FD_ARGUMENT(f->row->second_dirfd) : AT_FDCWD;
}

/* Where only one path is ours the kernel judges the other, against a name on a third mount. */
static __attribute__((noinline)) long on_two_paths(const struct row *row, u64 target)
{
    if (TARGET_KIND(target) == TARGET_ERRNO)
        return -(long)TARGET_VALUE(target);
    if (TARGET_KIND(target) != TARGET_PLAN)
        return native();
    const struct plan *plan = at(index_of(), TARGET_VALUE(target));
    u64 first = f->a[row->path], second = f->a[row->second_path];
    if (plan->path_at)
        f->a[row->path] = (u64)at(index_of(), plan->path_at);
    if (plan->argv_at)
        f->a[row->second_path] = (u64)at(index_of(), plan->argv_at);
    long r = native();
    f->a[row->path] = first; /* the caller's registers are restored from here */
    f->a[row->second_path] = second;
    return plan->inode_at && (r == -EXDEV || r == -EEXIST) ? -(long)plan->inode_at : r;
}

/* rename, link: ours if either path is. */
static __attribute__((noinline)) long two_path_call(void)
{
    int ours = first_look(dirfd_of(f->row), TEXT_ARGUMENT(f->row->path), 0, &f->base) != LET_KERNEL;
    ours |= first_look(second_dirfd(), TEXT_ARGUMENT(f->row->second_path), 0, &f->noted) != LET_KERNEL;
    long r = ours ? -ENOENT : native();
    if (!doubtful(r))
        return r;
    if (!f->base)
        ours |= second_look(dirfd_of(f->row), TEXT_ARGUMENT(f->row->path), 0, &f->base) != LET_KERNEL;
    if (!f->noted)
        ours |= second_look(second_dirfd(), TEXT_ARGUMENT(f->row->second_path), 0, &f->noted) != LET_KERNEL;
    if (!ours)
        return r;
    long wrong = wrong_for_kernel(f->row);
    if (wrong != STALE)
        return wrong;
    return on_two_paths(f->row, ask(f->base, f->noted, REASON_ASK, 0));
}

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

/* exec: the server makes a plan, which is performed here.  Little is kept on the stack: f->noted is where the plan lies. */
static __attribute__((noinline)) long execute(void)
{
    if (f->row->dirfd < 6 || *TEXT_ARGUMENT(f->row->path) != '/') {
        const struct inode *dir = identify_fd(dirfd_of(f->row));
        f->base = dir ? offset_of(dir) : 0;
    }
    for (u32 tries = 0; tries < 4; tries++) {
        u64 target = ask(f->base, 0, (tries ? REASON_STALE : REASON_ASK) | 1 << 8, 0);
        if (target == TARGET(TARGET_ERRNO, EINTR)) { /* exec is not interrupted: its callers do not expect it */
            tries--;
            continue;
        }
        if (TARGET_KIND(target) == TARGET_ERRNO)
            return -(long)TARGET_VALUE(target);
        if (TARGET_KIND(target) != TARGET_PLAN)
            return native();
        f->noted = TARGET_VALUE(target);
        const struct plan *plan = at(index_of(), f->noted);
        if (!plan->inode_at)
            return raw3(NR_execve, at(index_of(), plan->path_at), planned_argv(), f->a[f->row->path + 2]);
        long fd = open_certainly(at(index_of(), plan->inode_at), O_PATH | O_CLOEXEC, tries);
        if (fd != STALE)
            return fd < 0 ? fd : execute_descriptor(fd);
    }
    return -EIO;
}

long hepwrap_main(void);
long hepwrap_main(void)
{
    const struct row *row = row_of(f->number);
    if (!row)
        return native();
    f->row = row;
    f->base = f->noted = 0;
    f->flags = 0;
    f->follow = 1;
    f->asked = 0;
    switch (row->handler) {
    case DO_fstat:
        return stat_fd((struct kernel_stat *)f->a[1]);
    case DO_getdents:
        return list_directory(1);
    case DO_getdents64:
        return list_directory(0);
    case DO_getcwd:
        return get_cwd();
    case DO_execve: case DO_execveat:
        return execute();
    case DO_fstatfs: case DO_fgetxattr: case DO_flistxattr: case DO_fwrite: case DO_fchdir:
        return fd_call(row);
    case DO_write2:
        return two_path_call();
    case DO_nothing: case DO_pass: case DO_tracer: case DO_enosys:
        return native();
    default:
        return path_call(row);
    }
}
