/* exec: by the kernel, or by a plan that the server has made. */
#ifndef HEPWRAP_EXECUTING_H
#define HEPWRAP_EXECUTING_H
#include "arguments.h"
#include "handover.h"

#define ELF_MAGIC 0x464c457fU
enum { ELF_CLASS_64 = 2 };

/* The first bytes tell a program whose calls would all fail, for which the server has a sentence. */
static inline int is_for_other_machine(void)
{
    const char *path = path_of(0);
    int dirfd = start_of(0);
    u64 head = 0;
    long fd = *path ? raw4(NR_openat, dirfd, path, O_CLOEXEC | O_NONBLOCK, 0) : dirfd;
    raw4(NR_pread64, fd, &head, sizeof head, 0);
    if (*path && fd >= 0)
        raw1(NR_close, fd);
    return (u32)head == ELF_MAGIC && (head >> 32 & 0xff) != ELF_CLASS_64;
}

/* May the kernel execute what it finds there?  0: it may; STALE: it must not; else why it finds nothing. */
static __attribute__((noinline)) long examine(int flags)
{
    struct kernel_stat st;
    long r = raw4(NR_newfstatat, start_of(0), path_of(0), &st, flags);
    if (r < 0)
        return r;
    if (standing_in(st.st_dev, st.st_ino, (u32)st.st_nlink, st.times[2]))
        return STALE;
    return (st.st_mode & S_IFMT) == S_IFREG && is_for_other_machine() ? STALE : 0;
}

static inline int exec_flags(void)
{
    return f->row->handler == DO_execveat ? (int)f->a[f->row->flags] : 0;
}

/* The kernel first, as with every path: where it succeeds neither the file nor its interpreter was ours, for those it
 * cannot find.  STALE: the server must be asked. */
static inline long execute_natively(void)
{
    if (index_of()->flags & HEADER_HOST_PREFIX) /* it may find another interpreter than the right one */
        return STALE;
    long seen = examine(exec_flags() & (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH));
    if (seen == STALE)
        return STALE;
    long r = native();
    if (!doubtful(r))
        return r;
    if (doubtful(seen) && second_look(0) == LET_KERNEL)
        return r;
    return STALE; /* the path may lead to us, or its interpreter may */
}

/* The call that executes, made by the tracer out of a stop in which it hears of the names; returns only on failure, and
 * then the tracer must forget them.  By descriptor: what was opened has been seen to be right, and cannot change any more. */
static __attribute__((noinline)) long perform(long fd, u64 argv, u64 execfn, u64 comm)
{
    long r = tell(NR_execveat, execfn, comm, (u64)fd, (u64)"", argv, f->a[f->row->path + 2]);
    tell((u64)-1, 0, 0, 0, 0, 0, 0);
    raw1(NR_close, fd);
    return r;
}

static __attribute__((noinline)) long perform_by_path(const struct plan *plan, u64 argv)
{
    long r = tell(NR_execve, plan->execfn_at, plan->comm_at, (u64)at(index_of(), plan->path_at), argv,
                  f->a[f->row->path + 2], 0);
    tell((u64)-1, 0, 0, 0, 0, 0, 0);
    return r;
}

/* The same where the program has no descriptor left: by the name in the directory of memory files, which only it has. */
static __attribute__((noinline)) long perform_by_name(const struct plan *plan, u64 argv)
{
    char name[STANDIN_NAME];
    if (!index_of()->files_token)
        return -EMFILE;
    long r = tell(NR_execveat, plan->execfn_at, plan->comm_at, index_of()->files_at, (u64)file_name(name, plan->inode_at),
                  argv, f->a[f->row->path + 2]);
    tell((u64)-1, 0, 0, 0, 0, 0, 0);
    return r == -EBADF || r == -ENOENT || r == -ENOTDIR || r == -EACCES ? -EMFILE : r;
}

/* Little is kept on the stack: f->noted is where the plan lies. */
static inline long execute_plan(u32 tries)
{
    const struct plan *plan = at(index_of(), f->noted);
    long fd = 0;
    if (plan->inode_at) {
        fd = open_certainly(at(index_of(), plan->inode_at), O_PATH | O_CLOEXEC, tries);
        if (fd < 0 && fd != -EMFILE)
            return fd;
        plan = at(index_of(), f->noted);
    }
    u64 argv = plan->argv_at ? (u64)at(index_of(), plan->argv_at) : f->a[f->row->path + 1];
    if (fd < 0)
        return perform_by_name(plan, argv);
    return plan->inode_at ? perform(fd, argv, plan->execfn_at, plan->comm_at) : perform_by_path(plan, argv);
}

/* Where `path` is written down: then no plan is needed to say what the program was executed as.  0: nowhere. */
static __attribute__((noinline)) u64 written_name(const char *path)
{
    struct name name = {0, path, 0, length_of(path), 0};
    name.hash = hash_text(path, name.length);
    const struct entry *entry = find_entry(index_of(), &name);
    return entry ? offset_of(entry->key) : 0;
}

/* The server says how. */
static __attribute__((noinline)) long execute_as_planned(void)
{
    if (f->row->dirfd < 6 || *path_of(0) != '/') {
        const struct inode *dir = identify_fd(start_of(0));
        f->base = dir ? offset_of(dir) : 0;
    }
    for (u32 tries = 0; tries < 4; tries++) {
        u64 target = ask(f->base, 0, (tries ? REASON_STALE : REASON_ASK) | (u64)f->follow << 8, 0);
        if (target == TARGET(TARGET_ERRNO, EINTR)) { /* exec is not interrupted: its callers do not expect it */
            tries--;
            continue;
        }
        if (TARGET_KIND(target) == TARGET_ERRNO)
            return -(long)TARGET_VALUE(target);
        if (TARGET_KIND(target) != TARGET_PLAN)
            return native();
        f->noted = TARGET_VALUE(target);
        long r = execute_plan(tries);
        if (r != STALE)
            return r;
    }
    return -EIO;
}

/* By the name that this program was first called by: that stands with it, and the tracer finds it there. */
static inline int is_first_name(const char *path, const struct inode *program)
{
    const char *name = program->link_at ? at(index_of(), LOAD(program->link_at)) : "";
    u32 i = 0;
    while (path[i] && path[i] == name[i])
        i++;
    return path[i] == name[i];
}

/* The same as perform, where the tracer need not hear of it before: no stop but that of the exec itself. */
static __attribute__((noinline)) long perform_by_first_name(long fd)
{
    long r = raw5(NR_execveat, fd, "", f->a[f->row->path + 1], f->a[f->row->path + 2], AT_EMPTY_PATH);
    raw1(NR_close, fd);
    return r;
}

/* A virtual program that has been executed before, by somebody: nobody is asked again. */
static __attribute__((noinline)) long execute_known(u64 target)
{
    const struct inode *inode = inode_at(target);
    u64 program = (inode->st_mode & S_IFMT) == S_IFREG ? LOAD(inode->listing_at) : 0;
    f->noted = program && (inode->flags & (INODE_EXEC_YES | INODE_UNCHECKED)) ? written_name(path_of(0)) : 0;
    if (!f->noted)
        return execute_as_planned();
    long fd = open_certainly(at(index_of(), program), O_PATH | O_CLOEXEC, 0);
    if (fd < 0)
        return fd == STALE || fd == -EMFILE ? execute_as_planned() : fd;
    if (is_first_name(path_of(0), at(index_of(), program)))
        return perform_by_first_name(fd);
    const char *name = at(index_of(), f->noted);
    u32 last = 0;
    for (u32 i = 0; name[i]; i++)
        if (name[i] == '/')
            last = i + 1;
    return perform(fd, f->a[f->row->path + 1], f->noted, f->noted + last);
}

static __attribute__((noinline)) long execute(void)
{
    f->follow = !(exec_flags() & AT_SYMLINK_NOFOLLOW);
    u64 target = *path_of(0) ? first_look(0) : LET_KERNEL;
    if (TARGET_KIND(target) == TARGET_ERRNO)
        return -(long)TARGET_VALUE(target);
    if (TARGET_KIND(target) == TARGET_INODE && *path_of(0) == '/' && !exec_flags())
        return execute_known(target);
    long r = target == LET_KERNEL ? execute_natively() : STALE;
    return r == STALE ? execute_as_planned() : r;
}
#endif
