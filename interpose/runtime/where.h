/* Where a path leads: to the kernel, to the index, or to the server.
 *
 * The kernel is asked first wherever its success cannot be wrong: what is not ours costs nothing more than the call.
 * It says ENOENT, ENOTDIR or ELOOP for everything that leads into a virtual directory (a stand-in is an empty deleted
 * directory), so only then is a second look needed.
 */
#ifndef HEPWRAP_WHERE_H
#define HEPWRAP_WHERE_H
#include "binds.h"
#include "own.h"
#include "rows.h"

/* Fits no target: "let the kernel answer". */
#define LET_KERNEL TARGET(TARGET_NATIVE, 0)

/* The paths of a call and what they are relative to: the second one where a call has two and `second` says so. */
static inline const char *path_of(int second)
{
    return (const char *)f->a[second ? f->row->second_path : f->row->path];
}

static inline int start_of(int second)
{
    u32 place = second ? f->row->second_dirfd : f->row->dirfd;
    return place < 6 ? (int)f->a[place] : AT_FDCWD;
}

/* The path that is walked: below a root of its own (openat2(2)) an absolute path starts at the descriptor too. */
static inline const char *walked_path(int second)
{
    const char *path = path_of(second);
    if (!(f->rules & RESOLVE_IN_ROOT))
        return path;
    for (u32 i = 0; i < PATH_LIMIT && *path == '/'; i++)
        path++;
    return *path ? path : ".";
}

static inline u64 offset_of(const void *record)
{
    return (u64)((const char *)record - (const char *)index_of());
}

static inline const struct inode *inode_at(u64 target)
{
    return at(index_of(), TARGET_VALUE(target));
}

static inline const struct inode *standing_in(u64 device, u64 number, u32 links, i64 modified)
{
    return find_standin(index_of(), device, number, links, modified);
}

/* What fstatat(dirfd, path, flags) finds: offset of a virtual inode, PLACE_HOST, or PLACE_UNKNOWN where it fails. */
static __attribute__((noinline)) u64 place_of(int dirfd, const char *path, int flags)
{
    struct kernel_stat st;
    if (raw4(NR_newfstatat, dirfd, path, &st, flags) < 0)
        return PLACE_UNKNOWN;
    const struct inode *inode = standing_in(st.st_dev, st.st_ino, (u32)st.st_nlink, st.times[2]);
    return inode ? offset_of(inode) : PLACE_HOST;
}

static inline const struct inode *inode_of(u64 place)
{
    return place > PLACE_HOST ? at(index_of(), place) : 0;
}

/* The virtual inode behind that, or 0. */
static inline const struct inode *identify(int dirfd, const char *path, int flags)
{
    return inode_of(place_of(dirfd, path, flags));
}

static inline const struct inode *identify_fd(int fd)
{
    return identify(fd, "", AT_EMPTY_PATH);
}

/* The same of what a path starts from, where a filter of the program's own may forbid that call: older ones may pass.
 * PLACE_HOST of no descriptor. */
static __attribute__((noinline)) u64 place_by_older_call(int start)
{
    static const char here[] = ".";
    struct kernel_stat st;
    long r = start == AT_FDCWD ? raw2(NR_stat, here, &st) : raw2(NR_fstat, start, &st);
    if (r < 0)
        return r == -EBADF ? PLACE_HOST : PLACE_UNKNOWN;
    const struct inode *inode = standing_in(st.st_dev, st.st_ino, (u32)st.st_nlink, st.times[2]);
    return inode ? offset_of(inode) : PLACE_HOST;
}

/* What relative paths start at; the next call looks in the right place first. */
static __attribute__((noinline)) u64 starting_place(int start)
{
    u64 place = start == AT_FDCWD ? known_place() : PLACE_UNKNOWN;
    if (place != PLACE_UNKNOWN)
        return place;
    u32 since = start == AT_FDCWD ? begin_to_look() : 0;
    place = place_of(start, "", AT_EMPTY_PATH);
    if (place == PLACE_UNKNOWN)
        return place_by_older_call(start);
    note_start(start, place > PLACE_HOST);
    note_place(since, place);
    return place;
}

/* The virtual inode among them, or 0. */
static inline const struct inode *starting_at(int start)
{
    return inode_of(starting_place(start));
}

/* Does an absolute path start below the prefix?  Short prefixes, as "/cvmfs", at one go. */
static inline int under_prefix(const char *path)
{
    const struct header *index = index_of();
    u64 n = index->prefix_length, i = 0;
    if (n < 8) {
        u64 word = word_of(path, 8), next = word >> 8 * n & 0xff;
        return !((word ^ *(const loose_word *)index->prefix) << (64 - 8 * n)) && (next == '/' || !next);
    }
    while (i < n && path[i] == index->prefix[i])
        i++;
    return i == n && (path[n] == '/' || !path[n]);
}

/* Does the mount point's name occur as a component?  (Without symbolic links no other path can lead there.) */
static inline int mentions_prefix(const char *path)
{
    for (u32 i = 0; i < PATH_LIMIT && path[i]; i++) {
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

/* What the index knows holds where a path is walked as ever. */
static inline u64 known_or_ask(u64 target)
{
    return target && !(f->rules & ~RESOLVE_CACHED) ? target : TARGET(TARGET_ASK, 0);
}

/* /proc/self/NAME and /proc/self/fd/N: whatever the kernel comes to by these is the right object (but for `root`). */
static inline int is_of_task(const char *path)
{
    static const char self[] = "/proc/self/";
    for (u32 i = 0; i < sizeof self - 1; i++)
        if (path[i] != self[i])
            return 0;
    path += sizeof self - 1;
    if (path[0] == 'r' && is_rooted())
        return 0;
    if (path[0] == 'f' && path[1] == 'd' && path[2] == '/')
        path += 3;
    while (*path && *path != '/')
        path++;
    return !*path;
}

/* Could it be a link of /proc to what a task has open, by one of the names that programs use?  A descriptor's name is a
 * number, to which a descriptor of such a directory may lead. */
static inline int may_be_link_of_proc(const char *path)
{
    static const char starts[][9] = {"/proc/", "/dev/fd/", "/dev/std", "self/", "thread-", "fd/"};
    u32 digits = 0;
    while (path[digits] >= '0' && path[digits] <= '9')
        digits++;
    if (digits && (!path[digits] || path[digits] == '/'))
        return 1;
    for (u32 i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        u32 n = 0;
        while (starts[i][n] && path[n] == starts[i][n])
            n++;
        if (!starts[i][n])
            return 1;
    }
    return 0;
}

static inline int goes_up(const char *path)
{
    for (u32 i = 0; i < PATH_LIMIT && path[i]; i++)
        if ((!i || path[i - 1] == '/') && path[i] == '.' && path[i + 1] == '.' && (path[i + 2] == '/' || !path[i + 2]))
            return 1;
    return 0;
}

/* Through /proc to a directory and up again?  From a stand-in the kernel goes up to where that was made, and succeeds. */
static inline int goes_up_from_proc(const char *path)
{
    return may_be_link_of_proc(path) && goes_up(path);
}

/* Is there a symbolic link on the way (or something else that lets us not know)?  One at the end is none where the call
 * is about the link itself; of calls on two paths that is not known. */
static __attribute__((noinline)) int may_turn_off(int dirfd, const char *path)
{
    u32 last = f->follow || f->row->second_path < 6 ? 0 : O_NOFOLLOW;
    u64 how[3] = {O_PATH | O_CLOEXEC | last, 0, RESOLVE_NO_SYMLINKS};
    long r = raw4(NR_openat2, dirfd, path, how, sizeof how);
    if (r >= 0)
        raw1(NR_close, r);
    return !(r >= 0 || r == -ENOENT || r == -ENOTDIR || r == -EBADF || r == -ENAMETOOLONG);
}

/* Does the host itself have the directory, and not the name in it?  linkat says so without a trace: it looks up the
 * directory, then the name, and only then sees that /proc is on another mount (or that this one is read-only). */
static inline int is_missing_on_host(int dirfd, const char *path)
{
    static const char elsewhere[] = "/proc";
    long r = raw5(NR_linkat, AT_FDCWD, elsewhere, dirfd, path, 0);
    return r == -EXDEV || r == -EROFS;
}

/* Does an absolute path go through something that is missing on the host?  The server has written down through what, as
 * a text that ends there; whether it still is missing, and for this task, only the kernel knows. */
static __attribute__((noinline)) int is_lost_on_host(const char *path)
{
    struct name name = {0, path, 0, 0, 0};
    struct reading r = start_reading(0, 0, 0, path);
    for (; name.length < PATH_LIMIT && path[name.length]; name.length++) {
        if (path[name.length] == '/' && name.length) {
            name.hash = hash_end(r.hash, r.rest, name.length);
            const struct entry *entry = find_entry(index_of(), &name);
            if (entry && entry_target(entry, 0) == TARGET(TARGET_MISSING, 0) && is_missing_on_host(AT_FDCWD, entry->key))
                return 1;
        }
        add_byte(&r, (u8)path[name.length]);
    }
    return 0;
}

/* Has the kernel found the end of this path on the host's side of it?  What is said to be lost is asked about first: that
 * is one call where the others are two. */
static inline int ends_on_host(int dirfd, const char *path)
{
    return (path[0] == '/' && is_lost_on_host(path)) || !may_turn_off(dirfd, path) || is_missing_on_host(dirfd, path);
}

/* Could this path lead to us, other than by starting below the prefix?  `failed`: the kernel has not come to an end, and
 * a host without a /cvmfs has sent it nowhere else.  In the order of what it costs: most paths that are missing on the
 * host have no link in front of what is missing. */
static inline int could_be_ours(int second, int failed)
{
    const char *path = walked_path(second);
    if (is_of_task(path))
        return 0;
    if (index_of()->flags & HEADER_NESTED_BINDS && path[0] != '/')
        return 1;
    return (is_rooted() ? goes_up(path) : mentions_prefix(path)) ||
           !(failed ? ends_on_host(start_of(second), path) : !may_turn_off(start_of(second), path));
}

/* Does this task see the host that the server knows: the same mounts, and the same root?  An id of a mount is that of one
 * namespace; name_to_handle_at(2) says it even where there is no room for the handle. */
static __attribute__((noinline)) int is_at_home(void)
{
    if (!(LOAD(index_of()->flags) & HEADER_WANDERERS))
        return 1;
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
static inline u64 known_to_be_host(int second)
{
    const char *path = walked_path(second);
    int known = path[0] == '/' && find_target(index_of(), 0, path, f->follow) == LET_KERNEL;
    return known && is_at_home() ? LET_KERNEL : TARGET(TARGET_ASK, 0);
}

static inline int is_unreliable(void)
{
    return (index_of()->flags & HEADER_HOST_PREFIX) != 0; /* the kernel may succeed where it should not */
}

/* Would the kernel find something by this relative path in a directory that is empty, and deleted? */
static inline int stays_or_goes_up(const char *path)
{
    for (u32 i = 0; i < PATH_LIMIT && (path[0] == '/' || (path[0] == '.' && path[1] == '/')); i++)
        path++;
    return !*path || (path[0] == '.' && (!path[1] || (path[1] == '.' && (path[2] == '/' || !path[2]))));
}

/* From a virtual directory; 0: it is none; `unknown` where a filter of the program's own keeps it from us. */
static inline u64 from_directory(int second, u64 unknown)
{
    u64 place = starting_place(start_of(second));
    if (place <= PLACE_HOST)
        return place == PLACE_HOST ? 0 : unknown;
    *(second ? &f->noted : &f->base) = place;
    return known_or_ask(find_target(index_of(), inode_of(place), walked_path(second), f->follow));
}

/* An absolute path where the root is ours. */
static __attribute__((noinline)) u64 look_in_root(int second)
{
    enum kept kept = how_kept(walked_path(second));
    if (kept == KEPT_NOT)
        return known_or_ask(find_target(index_of(), 0, walked_path(second), f->follow));
    int makes_name = kept == KEPT_PLACE && f->row->handler >= DO_write1;
    return makes_name || could_be_ours(second, 0) ? TARGET(TARGET_ASK, 0) : LET_KERNEL;
}

/* First look.  Puts down the virtual directory that a relative path starts from, if that was looked up. */
static __attribute__((noinline)) u64 first_look(int second)
{
    const char *path = walked_path(second);
    if (path[0] == '/') {
        if (is_rooted())
            return look_in_root(second);
        if (under_prefix(path))
            return known_or_ask(find_target(index_of(), 0, path, f->follow));
        if (goes_up_from_proc(path))
            return TARGET(TARGET_ASK, 0);
        return is_unreliable() && could_be_ours(second, 0) ? known_to_be_host(second) : LET_KERNEL;
    }
    if (!stays_or_goes_up(path) && !was_ours(start_of(second)) && !is_unreliable())
        return LET_KERNEL;
    u64 target = from_directory(second, 0);
    if (target)
        return target;
    return is_unreliable() && *path_of(second) && could_be_ours(second, 0) ? TARGET(TARGET_ASK, 0) : LET_KERNEL;
}

/* Does the call make what a link at the end of its path leads to? */
static inline int makes_by_link(void)
{
    return f->row->handler <= DO_creat && f->follow && (f->flags & O_CREAT);
}

static __attribute__((noinline)) int is_link(int start, const char *path)
{
    char byte;
    return raw4(NR_readlinkat, start, path, &byte, sizeof byte) > 0;
}

/* Could that be the mount point?  Only who may make names beside it comes so far; a link that leads nowhere could. */
static __attribute__((noinline)) int could_make_prefix(void)
{
    if (!makes_by_link() || !(LOAD(index_of()->flags) & (HEADER_MAKERS | HEADER_WANDERERS)))
        return 0;
    return f->rules || (is_link(start_of(0), path_of(0)) && raw3(NR_faccessat, start_of(0), path_of(0), 0) < 0);
}

/* A look before something is made: where the path mentions the mount point, which the host may lack, or a link leads to it,
 * the kernel could make that. */
static __attribute__((noinline)) u64 look_before_making(int second)
{
    const char *path = walked_path(second);
    if (!mentions_prefix(path) && !could_make_prefix())
        return LET_KERNEL;
    u64 target = walked_path(second)[0] == '/' ? 0 : from_directory(second, 0);
    return target ? target : TARGET(TARGET_ASK, 0);
}

/* What leads to us and is unknown to the kernel; under RESOLVE_CACHED that may have another name. */
static inline int doubtful(long result)
{
    return result == -ENOENT || result == -ENOTDIR || result == -ELOOP || (result == -EAGAIN && f->rules & RESOLVE_CACHED);
}

/* The same of who may not make what could be the mount point. */
static inline int forbidden_to_make(long result)
{
    return (result == -EACCES || result == -EROFS) && makes_by_link();
}

/* Second look, after the kernel said `doubtful`: could this path lead to us after all? */
static __attribute__((noinline)) u64 second_look(int second)
{
    const char *path = walked_path(second);
    if (!path[0])
        return LET_KERNEL;
    u64 target = path[0] == '/' ? 0 : from_directory(second, TARGET(TARGET_ASK, 0));
    if (target)
        return target;
    return could_be_ours(second, !is_unreliable()) ? known_to_be_host(second) : LET_KERNEL;
}
#endif
