/* Names and listings: readlink, getcwd, getdents, extended attributes. */
#ifndef HEPWRAP_NAMES_H
#define HEPWRAP_NAMES_H
#include "where.h"

static inline long put_text(char *to, u64 size, const char *text, u64 length)
{
    if (length > size)
        length = size;
    copy(to, text, length);
    return (long)length;
}

static inline long read_link(const struct inode *inode, char *to, i32 size)
{
    if (size <= 0 || (inode->st_mode & S_IFMT) != S_IFLNK)
        return -EINVAL;
    return put_text(to, (u64)size, at(index_of(), inode->link_at), inode->link_length);
}

/* The kernel answered readlink: where it names a stand-in (/proc/PID/{exe,cwd,fd/N}), say what that stands for. */
static inline long show_link(long r)
{
    static const char memfd[] = "/memfd:", deleted[] = " (deleted)";
    const struct row *row = f->row;
    char *to = (char *)f->a[row->buffer];
    i32 size = (i32)f->a[row->buffer + 1];
    if (r <= 0 || to[0] != '/')
        return r;
    int suspect = r == size;
    if (r >= (long)sizeof memfd - 1)
        suspect |= same(to, memfd, sizeof memfd - 1);
    if (r >= (long)sizeof deleted - 1)
        suspect |= same(to + r - (sizeof deleted - 1), deleted, sizeof deleted - 1);
    const struct inode *inode = suspect ? identify(start_of(0), path_of(0), 0) : 0;
    if (!inode)
        return r;
    long length = put_text(to, (u64)size, at(index_of(), inode->path_at), inode->path_length);
    if (length < r)
        zero(to + length, (u64)(r - length)); /* programs that cleared their buffer count on the NUL behind the name */
    return length;
}

static inline long get_cwd(void)
{
    long r = native();
    if (r != -ENOENT)
        return r; /* the kernel calls the path of a deleted directory ENOENT, and only that is doubtful */
    const struct inode *inode = identify_fd(AT_FDCWD);
    if (!inode)
        return r;
    if (f->a[1] < (u64)inode->path_length + 1)
        return -ERANGE;
    return put_text((char *)f->a[0], f->a[1], at(index_of(), inode->path_at), (u64)inode->path_length + 1);
}

/* linux_dirent64 and linux_dirent (man 2 getdents): header of 19 or 18 bytes, name, NUL; the old one keeps the type in
 * its last byte. */
static inline u64 put_child(char *to, u64 room, const struct child *child, u64 next, int old)
{
    u64 bytes = (18 + (old ? 2 : 2) + child->length + 7) & ~7UL;
    if (bytes > room)
        return 0;
    ((volatile u64 *)to)[0] = child->st_ino;
    ((volatile u64 *)to)[1] = next;
    *(volatile unsigned short *)(to + 16) = (unsigned short)bytes;
    char *name = to + 18;
    if (!old)
        *(volatile char *)name++ = (char)child->type;
    copy(name, at(index_of(), child->name_at), child->length);
    zero(name + child->length, bytes - (u64)(name - to) - child->length);
    if (old)
        *(volatile char *)(to + bytes - 1) = (char)child->type;
    return bytes;
}

static inline long list_directory(int old)
{
    long r = native();
    if (r != -ENOENT)
        return r; /* a deleted directory lists as ENOENT */
    int fd = (int)f->a[0];
    const struct inode *dir = identify_fd(fd);
    if (!dir)
        return r;
    if (!LOAD(dir->listing_at)) {
        u64 t = ask(offset_of(dir), 0, REASON_ASK, 0);
        if (TARGET_KIND(t) == TARGET_ERRNO)
            return -(long)TARGET_VALUE(t);
    }
    const struct listing *listing = at(index_of(), LOAD(dir->listing_at));
    long start = raw3(NR_lseek, fd, 0, 1);
    if (start < 0)
        return start;
    u64 position = (u64)start, used = 0;
    u32 size = (u32)f->a[2];
    while (position < listing->count) {
        u64 bytes = put_child((char *)f->a[1] + used, size - used, &listing->children[position], position + 1, old);
        if (!bytes)
            break;
        used += bytes;
        position++;
    }
    if (!used && position < listing->count)
        return -EINVAL;
    if (used)
        raw3(NR_lseek, fd, position, 0);
    return (long)used;
}

/* The answer of getxattr or listxattr, whose data the server left in the slot. */
static inline long put_value(u64 ticket, char *to, u64 size)
{
    const struct slot *slot = slot_of(ticket);
    u64 length = slot->length;
    if (!size)
        return (long)length;
    if (size < length)
        return -ERANGE;
    copy(to, at(index_of(), slot->data_at), length);
    return slot_is_still(ticket) ? (long)length : STALE_DATA;
}

static inline int starts_with(const char *text, const char *start)
{
    for (; *start; start++, text++)
        if (*text != *start)
            return 0;
    return 1;
}

/* Attributes that no catalogue has are answered here: ls and cp ask for them with every file. */
static inline long foreign_attribute(const char *name)
{
    if (starts_with(name, "security.") || starts_with(name, "trusted."))
        return -ENODATA;
    if (starts_with(name, "system."))
        return -EOPNOTSUPP;
    return 0;
}
#endif
