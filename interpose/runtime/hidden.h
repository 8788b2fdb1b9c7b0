/* The directory that memory files are opened in, which every program has as a descriptor: how it is known and hidden.
 *
 * Its number tells nothing: who closes, or puts something else there, number by number, is not caught.
 */
#ifndef HEPWRAP_HIDDEN_H
#define HEPWRAP_HIDDEN_H
#include "standin.h"

/* It is the only directory of its file system; sealed memory files lie where there is none. */
static inline int is_files_directory(u64 device, u32 mode)
{
    return device == index_of()->file_device && (mode & S_IFMT) == S_IFDIR;
}

/* Does a name lead to it?  That takes more of the stack than the looks below. */
static __attribute__((noinline)) int leads_to_files(int dirfd, const char *path)
{
    struct kernel_stat st;
    return raw4(NR_newfstatat, dirfd, path, &st, 0) == 0 && is_files_directory(st.st_dev, st.st_mode);
}

/* Is it behind that descriptor, or behind its own number there, after `above`?  In it, and nowhere else, there is the name of no inode:
 * no link, as readlink says with the rights that the task has now. */
static __attribute__((noinline)) int holds_files(int dirfd, const char *above, u32 length, int by_number)
{
    char name[STANDIN_NAME], byte;
    char *at = file_name(name, 0);
    if (by_number)
        at = put_before(put_number(put_before(at, "/", 1), (u32)index_of()->files_at), above, length);
    return index_of()->files_token && raw4(NR_readlinkat, dirfd, at, &byte, 1) == -EINVAL;
}

/* Is it still what the number means here? */
static inline int has_files(void)
{
    return holds_files((int)index_of()->files_at, 0, 0, 0);
}

/* fcntl(2) of that number, by which programs look what is open, and have it closed by an exec. */
static inline long hide_files(void)
{
    return (u32)f->a[0] == index_of()->files_at && has_files() ? -EBADF : native();
}

/* Is that entry of a listing its number, among what some task has open (/proc/PID/fd, fdinfo)?  Both lie beside fd. */
static __attribute__((noinline)) int is_files_entry(const char *entry)
{
    u64 number = 0;
    u32 digits = 0;
    for (; digits < 8 && entry[digits] >= '0' && entry[digits] <= '9'; digits++)
        number = 10 * number + (u64)(entry[digits] - '0');
    if (!digits || entry[digits] || number != index_of()->files_at)
        return 0;
    return holds_files((int)f->a[0], "../fd/", 6, 1);
}

/* What the kernel says of it, asked by the descriptor, or by its name in /proc. */
static inline long hidden_error(void)
{
    return f->row->handler == DO_fstat || !path_of(0) || !*path_of(0) ? -EBADF : -ENOENT;
}

/* A directory that tells as its size how many descriptors a task has (/proc/PID/fd, Linux 6.2), one of which is this? */
static inline int may_count_files(u32 mode, u64 size)
{
    return mode == (S_IFDIR | 0500) && size && index_of()->files_token;
}

/* How many of those are not the program's. */
static __attribute__((noinline)) u64 uncounted(void)
{
    int by_descriptor = hidden_error() == -EBADF;
    long fd = by_descriptor ? (int)f->a[0] : raw4(NR_openat, start_of(0), path_of(0), O_PATH | O_CLOEXEC | O_DIRECTORY, 0);
    u64 count = fd >= 0 && holds_files((int)fd, 0, 0, 1);
    if (fd >= 0 && !by_descriptor)
        raw1(NR_close, fd);
    return count;
}
#endif
