/* Where a path leads: to the kernel, to the index, or to the server.
 *
 * The kernel is asked first wherever its success cannot be wrong: what is not ours costs nothing more than the call.
 * It says ENOENT, ENOTDIR or ELOOP for everything that leads into a virtual directory (a stand-in is an empty deleted
 * directory), so only then is a second look needed.
 */
#ifndef HEPWRAP_WHERE_H
#define HEPWRAP_WHERE_H
#include "ask.h"

/* Fits no target: "let the kernel answer". */
#define LET_KERNEL TARGET(TARGET_NATIVE, 0)

static inline u64 offset_of(const void *record)
{
    return (u64)((const char *)record - (const char *)index_of());
}

static inline const struct inode *inode_at(u64 target)
{
    return at(index_of(), TARGET_VALUE(target));
}

static inline int may_be_standin(u64 device, u32 links)
{
    return !links && (device == index_of()->file_device || device == index_of()->standin_device);
}

/* The virtual inode that this object of the kernel's stands for, or 0.  Identities outlive their stand-ins, and a disk
 * gives inode numbers away again: so an object counts only if it has no name and the time of modification that the
 * server gives to everything it makes (standins.py).  A file of the host has that by intent only; and among our own an
 * identity means the last that got the number, before which all others with it must be gone. */
static inline const struct inode *standing_in(u64 device, u64 number, u32 links, i64 modified)
{
    if (!may_be_standin(device, links) || modified != index_of()->standin_mark)
        return 0;
    return find_identity(index_of(), device, number);
}

/* The virtual inode behind what fstatat(dirfd, path, flags) finds, or 0. */
static __attribute__((noinline)) const struct inode *identify(int dirfd, const char *path, int flags)
{
    struct kernel_stat st;
    if (raw4(NR_newfstatat, dirfd, path, &st, flags) < 0)
        return 0;
    return standing_in(st.st_dev, st.st_ino, (u32)st.st_nlink, st.times[2]);
}

static inline const struct inode *identify_fd(int fd)
{
    return identify(fd, "", AT_EMPTY_PATH);
}

static inline int under_prefix(const char *path)
{
    const struct header *index = index_of();
    u32 n = index->prefix_length;
    for (u32 i = 0; i < n; i++)
        if (path[i] != index->prefix[i])
            return 0;
    return path[n] == '/' || path[n] == 0;
}

/* Does the mount point's name occur as a component?  (Without symbolic links no other path can lead there.) */
static inline int mentions_prefix(const char *path)
{
    for (u32 i = 0; path[i] && i < PATH_LIMIT; i++) {
        if (i && path[i - 1] != '/')
            continue;
        const struct header *index = index_of();
        u32 j = 1;
        while (j < index->prefix_length && path[i + j - 1] == index->prefix[j])
            j++;
        if (j == index->prefix_length && (path[i + j - 1] == '/' || !path[i + j - 1]))
            return 1;
    }
    return 0;
}

static inline u64 known_or_ask(u64 target)
{
    return target ? target : TARGET(TARGET_ASK, 0);
}

/* /proc/self/NAME and /proc/self/fd/N: whatever the kernel comes to by these is the right object. */
static inline int is_of_task(const char *path)
{
    static const char self[] = "/proc/self/";
    for (u32 i = 0; i < sizeof self - 1; i++)
        if (path[i] != self[i])
            return 0;
    path += sizeof self - 1;
    if (path[0] == 'f' && path[1] == 'd' && path[2] == '/')
        path += 3;
    while (*path && *path != '/')
        path++;
    return !*path;
}

/* Is there a symbolic link on the way (or something else that lets us not know)? */
static __attribute__((noinline)) int may_turn_off(int dirfd, const char *path)
{
    u64 how[3] = {O_PATH | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS};
    long r = raw4(NR_openat2, dirfd, path, how, sizeof how);
    if (r >= 0)
        raw1(NR_close, r);
    return !(r >= 0 || r == -ENOENT || r == -ENOTDIR || r == -EACCES || r == -EBADF || r == -ENAMETOOLONG);
}

/* Does the host itself have the directory, and not the name in it?  linkat says so without a trace: it looks up the
 * directory, then the name, and only then sees that /proc is on another mount (or that this one is read-only). */
static inline int is_missing_on_host(int dirfd, const char *path)
{
    static const char elsewhere[] = "/proc";
    long r = raw5(NR_linkat, AT_FDCWD, elsewhere, dirfd, path, 0);
    return r == -EXDEV || r == -EROFS;
}

/* Could this path lead to us, other than by starting below the prefix?  `failed`: the kernel has not come to an end, and
 * a host without a /cvmfs has sent it nowhere else.  In the order of what it costs: most paths that are missing on the
 * host have no link in front of what is missing. */
static inline int could_be_ours(int dirfd, const char *path, int failed)
{
    if (is_of_task(path))
        return 0;
    return mentions_prefix(path) || (may_turn_off(dirfd, path) && !(failed && is_missing_on_host(dirfd, path)));
}

/* Does this task see the host that the server knows: the same mounts, and the same root?  An id of a mount is that of one
 * namespace; name_to_handle_at(2) says it even where there is no room for the handle. */
static __attribute__((noinline)) int is_at_home(void)
{
    union {
        struct kernel_stat st;
        struct { u64 handle; i32 mount; } at;
    } root;
    root.at.handle = 0;
    if (raw5(NR_name_to_handle_at, AT_FDCWD, "/", &root.at.handle, &root.at.mount, 0) != -EOVERFLOW ||
        (u64)root.at.mount != index_of()->root_mount)
        return 0;
    return raw4(NR_newfstatat, AT_FDCWD, "/", &root.st, 0) == 0 && root.st.st_dev == index_of()->root_device &&
           root.st.st_ino == index_of()->root_inode;
}

/* A path of the host that the server has written down as the kernel's, else it is asked. */
static __attribute__((noinline)) u64 known_to_be_host(const char *path, int follow)
{
    int known = path[0] == '/' && find_target(index_of(), 0, path, follow) == LET_KERNEL;
    return known && is_at_home() ? LET_KERNEL : TARGET(TARGET_ASK, 0);
}

/* First look.  *base: offset of the virtual directory that a relative path starts from, if that was looked up. */
static inline u64 first_look(int dirfd, const char *path, int follow, u64 *base)
{
    int unreliable = (index_of()->flags & HEADER_HOST_PREFIX) != 0; /* the kernel may succeed where it should not */
    if (path[0] == '/') {
        if (under_prefix(path))
            return known_or_ask(find_target(index_of(), 0, path, follow));
        return unreliable && could_be_ours(dirfd, path, 0) ? known_to_be_host(path, follow) : LET_KERNEL;
    }
    if (path[0] != '.' && !unreliable)
        return LET_KERNEL;
    const struct inode *dir = identify_fd(dirfd);
    if (!dir)
        return unreliable && path[0] && could_be_ours(dirfd, path, 0) ? TARGET(TARGET_ASK, 0) : LET_KERNEL;
    *base = offset_of(dir);
    return known_or_ask(find_target(index_of(), dir, path, follow));
}

static inline int doubtful(long result)
{
    return result == -ENOENT || result == -ENOTDIR || result == -ELOOP;
}

/* Second look, after the kernel said `doubtful`: could this path lead to us after all? */
static __attribute__((noinline)) u64 second_look(int dirfd, const char *path, int follow, u64 *base)
{
    if (!path[0])
        return LET_KERNEL;
    if (path[0] != '/') {
        const struct inode *dir = identify_fd(dirfd);
        if (dir) {
            *base = offset_of(dir);
            return known_or_ask(find_target(index_of(), dir, path, follow));
        }
    }
    int unreliable = (index_of()->flags & HEADER_HOST_PREFIX) != 0;
    return could_be_ours(dirfd, path, !unreliable) ? known_to_be_host(path, follow) : LET_KERNEL;
}
#endif
