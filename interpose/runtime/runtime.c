/* The in-process runtime: every caught system call comes here, from the tracer's redirect or from a patched site. */
#include "rows.h"
#include "attributes.h"
#include "names.h"
#include "standin.h"
#include "handover.h"

#define FD_ARGUMENT(f, i) ((int)(f)->a[i])
#define TEXT_ARGUMENT(f, i) ((const char *)(f)->a[i])

/* One path call on its way. */
struct call {
    const struct row *row;
    int dirfd;
    int follow;
    int flags;          /* AT_... or O_..., by kind of call */
    int checked;        /* the server has checked permissions for this very call */
    u64 base;           /* offset of the virtual directory a relative path starts from */
    u64 ticket;
};

static inline int open_flags(const struct frame *f, u32 handler, u32 path)
{
    if (handler == DO_creat)
        return O_CREAT | O_WRONLY | O_TRUNC;
    if (handler == DO_openat2)
        return (int)*(const volatile u64 *)f->a[2];
    return (int)f->a[path + 1];
}

/* Flags and whether a last symbolic link is followed, from the arguments of this kind of call. */
static inline void read_flags(struct call *c, const struct frame *f)
{
    u32 handler = c->row->handler;
    c->flags = 0;
    c->follow = 1;
    switch (handler) {
    case DO_open: case DO_openat2: case DO_creat:
        c->flags = open_flags(f, handler, c->row->path);
        c->follow = !(c->flags & O_NOFOLLOW) && (c->flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
        return;
    case DO_newfstatat: case DO_faccessat2:
        c->flags = (int)f->a[3];
        break;
    case DO_statx: case DO_getxattrat: case DO_listxattrat:
        c->flags = (int)f->a[2];
        break;
    case DO_lstat: case DO_readlink: case DO_readlinkat: case DO_lgetxattr: case DO_llistxattr:
        c->follow = 0;
        return;
    case DO_standin:
        if (c->row->number == 303) /* name_to_handle_at does not follow unless told */
            c->follow = (f->a[4] & AT_SYMLINK_FOLLOW) != 0;
        return;
    default:
        return;
    }
    c->follow = !(c->flags & AT_SYMLINK_NOFOLLOW);
}

static inline long do_access(const struct inode *inode, int mode, int checked)
{
    u32 type = inode->st_mode & S_IFMT;
    if (mode & ~7)
        return -EINVAL;
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
static inline long do_open(const struct inode *inode, const struct call *c)
{
    int flags = c->flags;
    u32 type = inode->st_mode & S_IFMT;
    if (!c->checked && ((flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE & ~O_DIRECTORY)))
        return STALE;
    if ((flags & O_DIRECTORY) && type != S_IFDIR)
        return type == S_IFLNK && !(flags & O_PATH) ? -ELOOP : -ENOTDIR;
    if (flags & O_PATH)
        return open_standin(inode, (flags & (O_CLOEXEC | O_DIRECTORY)) | O_PATH);
    if (type == S_IFLNK)
        return -ELOOP;
    if ((flags & O_ACCMODE) && (type == S_IFDIR || type == S_IFREG))
        return type == S_IFDIR ? -EISDIR : -EROFS;
    if (type == S_IFSOCK)
        return -ENXIO;
    if (!c->checked && !(inode->flags & (INODE_READ_YES | INODE_UNCHECKED)))
        return STALE;
    if (type == S_IFCHR || type == S_IFBLK)
        return -EACCES; /* mounted nodev */
    return open_standin(inode, flags & (O_ACCMODE | O_CLOEXEC | O_NONBLOCK | O_DIRECTORY));
}

static inline long do_chdir(struct frame *f, const struct inode *inode, const struct call *c)
{
    if ((inode->st_mode & S_IFMT) != S_IFDIR)
        return -ENOTDIR;
    if (!c->checked && !(inode->flags & (INODE_EXEC_YES | INODE_UNCHECKED)))
        return STALE;
    return native_on_standin(f, inode, c->row->path);
}

static inline long do_getxattr(const char *name)
{
    long r = foreign_attribute(name);
    return r ? r : STALE;
}

/* The call on a virtual inode.  STALE: the server has to say. */
static inline long act(struct frame *f, const struct call *c, const struct inode *inode)
{
    u32 path = c->row->path;
    switch (c->row->handler) {
    case DO_open: case DO_openat2: case DO_creat:
        return do_open(inode, c);
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
        return do_access(inode, (int)f->a[path + 1], c->checked);
    case DO_readlink: case DO_readlinkat:
        return read_link(inode, (char *)f->a[path + 1], (i32)f->a[path + 2]);
    case DO_chdir:
        return do_chdir(f, inode, c);
    case DO_statfs:
        fill_statfs((struct kernel_statfs *)f->a[1], inode);
        return 0;
    case DO_getxattr: case DO_lgetxattr:
        return do_getxattr(TEXT_ARGUMENT(f, 1));
    case DO_getxattrat:
        return do_getxattr(TEXT_ARGUMENT(f, 3));
    case DO_standin:
        return native_on_standin(f, inode, path);
    default:
        return STALE;
    }
}

/* Where the caller wants the data of an answer. */
static inline long deliver(const struct frame *f, const struct call *c)
{
    const u64 *args;
    switch (c->row->handler) {
    case DO_getxattr: case DO_lgetxattr: case DO_fgetxattr:
        return put_value(c->ticket, (char *)f->a[2], f->a[3]);
    case DO_getxattrat:
        args = (const u64 *)f->a[4];
        return put_value(c->ticket, (char *)args[0], (u32)args[1]);
    case DO_listxattrat:
        return put_value(c->ticket, (char *)f->a[3], f->a[4]);
    case DO_listxattr: case DO_llistxattr: case DO_flistxattr:
        return put_value(c->ticket, (char *)f->a[1], f->a[2]);
    default:
        return -EIO;
    }
}

static inline long on_host_path(struct frame *f, const struct call *c, u64 target)
{
    u64 given = f->a[c->row->path];
    f->a[c->row->path] = (u64)at(index_of(), TARGET_VALUE(target));
    long r = native(f);
    f->a[c->row->path] = given;
    return r;
}

/* Calls that make something: what is missing is not the whole answer, the server knows the order of errors. */
static inline int makes(const struct call *c)
{
    return c->row->handler == DO_write1 || (c->row->handler <= DO_creat && (c->flags & O_CREAT));
}

/* From a target to the result; asks the server as often as it takes. */
static __attribute__((noinline)) long follow_target(struct frame *f, struct call *c, u64 target)
{
    for (u32 tries = 0;; tries++) {
        long r = STALE;
        switch (TARGET_KIND(target)) {
        case TARGET_ERRNO:
            if (c->checked || !makes(c))
                return -(long)TARGET_VALUE(target);
            break;
        case TARGET_HOST:
            if (c->row->handler < DO_write1 || c->row->handler == DO_standin || c->checked)
                return on_host_path(f, c, target);
            break;
        case TARGET_NATIVE:
            return native(f);
        case TARGET_DATA:
            r = deliver(f, c);
            if (r != STALE_DATA)
                return r;
            break;
        case TARGET_INODE:
            r = act(f, c, inode_at(target));
            if (r != STALE)
                return r;
            if (tries >= 2) { /* what /proc does not give, the socket does: from here up, for the stack's sake */
                c->base = TARGET_VALUE(target);
                return STALE;
            }
            break;
        default:
            break;
        }
        u64 why = (tries ? REASON_STALE : REASON_ASK) | (u64)c->follow << 8 | (u64)(u32)c->flags << 32;
        target = ask(f, c->base, 0, why, &c->ticket);
        c->checked = 1;
    }
}

/* The stand-in by socket, where it could not be opened. */
static inline long from_socket(const struct call *c)
{
    const struct inode *inode = inode_at(c->base);
    if (c->row->handler <= DO_creat)
        return hand_over(inode, c->flags & (O_CLOEXEC | O_NONBLOCK | O_DIRECTORY | O_PATH));
    return c->row->handler == DO_chdir ? hand_over_chdir(inode) : -EIO;
}

/* A path that is empty, or no path at all: the call is about the descriptor. */
static inline long on_descriptor(struct frame *f, struct call *c)
{
    switch (c->row->handler) {
    case DO_newfstatat:
        return stat_fd(f, (struct kernel_stat *)f->a[2]);
    case DO_statx:
        return statx_fd(f, (struct kernel_statx *)f->a[4]);
    default:
        break;
    }
    const struct inode *inode = c->row->dirfd < 6 ? identify_fd(c->dirfd) : 0;
    if (!inode)
        return native(f);
    c->base = offset_of(inode);
    if (c->row->handler == DO_readlinkat)
        return act(f, c, inode);
    return follow_target(f, c, TARGET(TARGET_ASK, 0));
}

static __attribute__((noinline)) long path_call(struct frame *f, const struct row *row)
{
    struct call c = {row, row->dirfd < 6 ? FD_ARGUMENT(f, row->dirfd) : AT_FDCWD, 1, 0, 0, 0, 0};
    const char *path = TEXT_ARGUMENT(f, row->path);
    if (!path || !*(const volatile char *)path)
        return on_descriptor(f, &c);
    read_flags(&c, f);
    u64 target = first_look(c.dirfd, path, c.follow, &c.base);
    if (target == LET_KERNEL) {
        long r = native(f);
        if (row->handler == DO_readlink || row->handler == DO_readlinkat)
            r = show_link(c.dirfd, path, (char *)f->a[row->path + 1], (i32)f->a[row->path + 2], r);
        if (!doubtful(r))
            return r;
        target = second_look(c.dirfd, path, c.follow, &c.base);
        if (target == LET_KERNEL)
            return r;
    }
    long r = follow_target(f, &c, target);
    return r == STALE ? from_socket(&c) : r;
}

/* rename, link: ours if either path is. */
static __attribute__((noinline)) long two_path_call(struct frame *f, const struct row *row)
{
    int dirfd[2] = {row->dirfd < 6 ? FD_ARGUMENT(f, row->dirfd) : AT_FDCWD,
                    row->second_dirfd < 6 ? FD_ARGUMENT(f, row->second_dirfd) : AT_FDCWD};
    const char *path[2] = {TEXT_ARGUMENT(f, row->path), TEXT_ARGUMENT(f, row->second_path)};
    u64 base[2] = {0, 0};
    int known = first_look(dirfd[0], path[0], 0, &base[0]) != LET_KERNEL;
    known |= first_look(dirfd[1], path[1], 0, &base[1]) != LET_KERNEL;
    long r = known ? -ENOENT : native(f);
    if (!doubtful(r))
        return r;
    for (int i = 0; i < 2; i++)
        if (!base[i])
            known |= second_look(dirfd[i], path[i], 0, &base[i]) != LET_KERNEL;
    if (!known)
        return r;
    u64 target = ask(f, base[0], base[1], REASON_ASK, 0);
    return TARGET_KIND(target) == TARGET_ERRNO ? -(long)TARGET_VALUE(target) : native(f);
}

static __attribute__((noinline)) long fd_call(struct frame *f, const struct row *row)
{
    const struct inode *inode = identify_fd(FD_ARGUMENT(f, 0));
    if (!inode)
        return native(f);
    struct call c = {row, AT_FDCWD, 1, 0, 0, offset_of(inode), 0};
    switch (row->handler) {
    case DO_fwrite:
        return -EROFS;
    case DO_fstatfs:
        fill_statfs((struct kernel_statfs *)f->a[1], inode);
        return 0;
    case DO_fgetxattr: {
        long r = foreign_attribute(TEXT_ARGUMENT(f, 1));
        if (r)
            return r;
        break;
    }
    default:
        break;
    }
    return follow_target(f, &c, TARGET(TARGET_ASK, 0));
}

static __attribute__((noinline)) long execute(struct frame *f, const struct row *row)
{
    u64 base = 0, ticket;
    if (row->dirfd < 6) {
        const struct inode *dir = identify_fd(FD_ARGUMENT(f, row->dirfd));
        base = dir ? offset_of(dir) : 0;
    } else if (*TEXT_ARGUMENT(f, row->path) != '/') {
        const struct inode *dir = identify_fd(AT_FDCWD);
        base = dir ? offset_of(dir) : 0;
    }
    for (u32 tries = 0;; tries++) {
        u64 target = ask(f, base, 0, tries ? REASON_STALE : REASON_ASK, &ticket);
        if (TARGET_KIND(target) == TARGET_ERRNO) {
            if (TARGET_VALUE(target) == EINTR)
                continue; /* exec is not interrupted: its callers do not expect it */
            return -(long)TARGET_VALUE(target);
        }
        if (TARGET_KIND(target) != TARGET_PLAN)
            return native(f);
        const struct plan *plan = at(index_of(), TARGET_VALUE(target));
        long r = perform_plan(f, row, plan, tries);
        if (r != STALE)
            return r;
        if (tries >= 4)
            return -EIO;
    }
}

long hepwrap_main(struct frame *f);
long hepwrap_main(struct frame *f)
{
    const struct row *row = row_of(f->number);
    if (!row)
        return native(f);
    switch (row->handler) {
    case DO_fstat:
        return stat_fd(f, (struct kernel_stat *)f->a[1]);
    case DO_getdents:
        return list_directory(f, 1);
    case DO_getdents64:
        return list_directory(f, 0);
    case DO_getcwd:
        return get_cwd(f);
    case DO_execve: case DO_execveat:
        return execute(f, row);
    case DO_fstatfs: case DO_fgetxattr: case DO_flistxattr: case DO_fwrite:
        return fd_call(f, row);
    case DO_write2:
        return two_path_call(f, row);
    case DO_fchdir: case DO_nothing: case DO_pass: case DO_tracer: case DO_enosys:
        return native(f);
    default:
        return path_call(f, row);
    }
}
