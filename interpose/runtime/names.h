/* Names and listings: readlink, getcwd, getdents, extended attributes. */
#ifndef HEPWRAP_NAMES_H
#define HEPWRAP_NAMES_H
#include "hidden.h"

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

static inline int starts_with(const char *text, const char *start)
{
    for (; *start; start++, text++)
        if (*text != *start)
            return 0;
    return 1;
}

/* A link of the kernel's to an object of the host, `r` bytes in room for `size`, by the name under which that is shown. */
static __attribute__((noinline)) long show_moved_link(char *to, long r, i32 size)
{
    if (r >= size)
        return r; /* cut, perhaps: there is no room for a NUL to look for its end by */
    char behind = to[r];
    *(volatile char *)(to + r) = 0;
    u64 moved = show_moved(to, (u64)size);
    if (!moved || moved > (u64)size)
        *(volatile char *)(to + r) = behind;
    return moved && moved <= (u64)size ? (long)moved - 1 : r;
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
    if (r == 1 && leads_to_files(start_of(0), path_of(0)))
        return -ENOENT; /* nothing is mounted on that */
    if (is_rooted() && starts_with(path_of(0), "/proc/"))
        r = show_moved_link(to, r, size);
    int suspect = r == size;
    if (r >= (long)sizeof memfd - 1)
        suspect |= same(to, memfd, sizeof memfd - 1);
    if (r > 8 && index_of()->files_token)
        suspect |= *(const volatile loose_word *)(to + 1) == index_of()->files_token;
    if (r >= (long)sizeof deleted - 1)
        suspect |= same(to + r - (sizeof deleted - 1), deleted, sizeof deleted - 1);
    const struct inode *inode = suspect ? identify(start_of(0), path_of(0), 0) : 0;
    if (!inode)
        return r;
    long length = inode->path_length ? put_text(to, (u64)size, at(index_of(), inode->path_at), inode->path_length) :
                                       put_text(to, (u64)size, "/", 1);
    if (length < r)
        zero(to + length, (u64)(r - length)); /* programs that cleared their buffer count on the NUL behind the name */
    return length;
}

static inline long get_cwd(void)
{
    const struct inode *inode = was_ours(AT_FDCWD) ? starting_at(AT_FDCWD) : 0;
    long r = inode ? -ENOENT : native();
    if (r > 0 && is_rooted()) {
        u64 moved = show_moved((char *)f->a[0], f->a[1]);
        return !moved ? r : moved > f->a[1] ? -ERANGE : (long)moved;
    }
    if (r != -ENOENT)
        return r; /* the kernel calls the path of a deleted directory ENOENT, and only that is doubtful */
    if (!inode)
        inode = starting_at(AT_FDCWD);
    if (!inode)
        return r;
    if (!inode->path_length)
        return f->a[1] < 2 ? -ERANGE : put_text((char *)f->a[0], f->a[1], "/", 2);
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

/* Entries of `listing`, whose first is the one at `first`, from the position f->noted to `end`, behind `used` bytes that
 * are in the caller's buffer already.  f->noted is the first that does not fit.  How many bytes are there then. */
static inline u64 put_children(const struct listing *listing, u64 first, u64 end, u64 used, int old)
{
    u32 size = (u32)f->a[2];
    for (u64 bytes; f->noted < end; f->noted++, used += bytes) {
        const struct child *child = &listing->children[f->noted - first];
        if (child->name_at >= LOAD(index_of()->used))
            break; /* of a mailbox that has been given away */
        bytes = put_child((char *)f->a[1] + used, size - used, child, f->noted + 1, old);
        if (!bytes)
            break;
    }
    return used;
}

/* No more fit into a mailbox. */
#define LISTED_AT_ONCE (PAYLOAD_BYTES / sizeof(struct child))

/* Where the index had no room for a listing, some entries from a position on come with each answer.  -EINVAL: the buffer
 * has no room even for the first. */
static __attribute__((noinline)) long list_unlisted(const struct inode *dir, int old)
{
    u64 used = 0;
    for (u32 tries = 0; tries < 8;) {
        u64 ticket, first = f->noted, target = ask(offset_of(dir), first, REASON_ASK, &ticket);
        u64 listing_at = LOAD(dir->listing_at);
        if (TARGET_KIND(target) == TARGET_ERRNO)
            return used ? (long)used : -(long)TARGET_VALUE(target);
        if (TARGET_KIND(target) != TARGET_DATA && !listing_at)
            break;
        const struct listing *listing = at(index_of(), listing_at ? listing_at : slot_of(ticket)->data_at);
        u64 count = listing->count, start = listing_at ? 0 : first;
        u64 end = start + (listing_at || count < LISTED_AT_ONCE ? count : LISTED_AT_ONCE);
        u64 more = put_children(listing, start, end, used, old);
        if (!listing_at && !slot_is_still(ticket)) { /* read too late: what was read is nothing */
            f->noted = first;
            tries++;
            continue;
        }
        if (listing_at || f->noted < end || first == end)
            return more || f->noted >= end ? (long)more : -EINVAL;
        used = more;
    }
    return -EIO;
}

/* Is the directory that is listed what `/` is to this task, and does the kernel find no mount point in it?  Nothing is kept
 * on the stack but what the kernel fills: f->base and f->noted are what `/` is. */
static __attribute__((noinline)) int lacks_prefix(void)
{
    static const char slash[] = "/";
    struct kernel_stat st;
    f->base = index_of()->root_device;
    f->noted = index_of()->root_inode;
    if (LOAD(index_of()->flags) & HEADER_WANDERERS && raw4(NR_newfstatat, AT_FDCWD, slash, &st, 0) == 0) {
        f->base = st.st_dev;
        f->noted = st.st_ino;
    }
    return raw4(NR_newfstatat, f->a[0], "", &st, AT_EMPTY_PATH) == 0 && st.st_ino == f->noted && st.st_dev == f->base &&
           raw4(NR_newfstatat, AT_FDCWD, index_of()->prefix, &st, AT_SYMLINK_NOFOLLOW) == -ENOENT;
}

/* Where a listing of `/` stands when the mount point has come too: a position that every file system takes, and none has
 * an entry at.  It is never the kernel's turn there. */
#define BEHIND_PREFIX 0x263766d66L

/* Could a listing that begins so be that of `/`?  By the number of "." or "..", which is itself; others say neither. */
static inline int may_be_of_root(const char *entries, long bytes)
{
    const volatile u64 *first = (const volatile u64 *)entries;
    u64 length = *(const volatile unsigned short *)(entries + 16), number = index_of()->root_inode;
    return *first == number || (length < (u64)bytes && *(const volatile u64 *)(entries + length) == number);
}

/* Until `/` is listed in this launch no other directory pays for it: that is seen by what its listing begins with. */
static __attribute__((noinline)) void tell_listed(void)
{
    long ticket;
    upcall(0, 0, REASON_LISTED, &ticket);
}

static inline int is_old_listing(void)
{
    return f->row->handler == DO_getdents;
}

/* What the kernel lists, without that: nobody has opened it. */
static __attribute__((noinline)) long list_natively(void)
{
    int old = is_old_listing();
    for (;;) {
        long bytes = native();
        char *entry = (char *)f->a[1], *end = entry + bytes;
        if (bytes <= 0 || !index_of()->files_token)
            return bytes;
        for (u64 length; entry < end; entry += length) {
            length = *(const volatile unsigned short *)(entry + 16);
            const char *name = entry + (old ? 18 : 19);
            int type = entry[old ? length - 1 : 18];
            if ((type != DT_LNK && type != DT_REG) || !is_files_entry(name))
                continue;
            copy(entry, entry + length, (u64)(end - entry) - length);
            end -= length;
            break;
        }
        if (end > (char *)f->a[1])
            return end - (char *)f->a[1];
    }
}

static __attribute__((noinline)) long list_and_look(void)
{
    f->flags = (i32)list_natively();
    if (f->flags > 0 && index_of()->listed_at && may_be_of_root((const char *)f->a[1], f->flags) && lacks_prefix())
        tell_listed();
    return f->flags;
}

/* A directory of the host.  What `/` lacks comes when the kernel is at its end, wherever that is (decision 28). */
static __attribute__((noinline)) long list_on_host(void)
{
    if (!index_of()->listed_at || !(LOAD(index_of()->flags) & (HEADER_ROOT_LISTED | HEADER_WANDERERS)))
        return list_and_look();
    int is_behind = raw3(NR_lseek, f->a[0], 0, 1) == BEHIND_PREFIX && lacks_prefix();
    long r = is_behind ? 0 : list_natively();
    if (r || is_behind || !lacks_prefix())
        return r;
    r = (long)put_child((char *)f->a[1], (u32)f->a[2], at(index_of(), index_of()->listed_at), BEHIND_PREFIX, is_old_listing());
    if (!r)
        return -EINVAL;
    return raw3(NR_lseek, f->a[0], BEHIND_PREFIX, 0) == BEHIND_PREFIX ? r : 0;
}

static inline long list_directory(int old)
{
    const struct inode *dir = was_ours((int)f->a[0]) ? starting_at((int)f->a[0]) : 0;
    if (!dir || !is_kind(dir, S_IFDIR)) {
        long r = list_on_host();
        if (r != -ENOENT)
            return r; /* a deleted directory lists as ENOENT */
        dir = starting_at((int)f->a[0]);
        if (!dir)
            return r;
    }
    long r = raw3(NR_lseek, f->a[0], 0, 1);
    if (r < 0)
        return r; /* of one that is only a path */
    f->noted = (u64)r;
    if (LOAD(dir->listing_at)) {
        const struct listing *listing = at(index_of(), LOAD(dir->listing_at));
        r = (long)put_children(listing, 0, listing->count, 0, old);
        if (!r && f->noted < listing->count)
            return -EINVAL;
    } else {
        r = list_unlisted(dir, old);
    }
    if (r > 0)
        raw3(NR_lseek, f->a[0], f->noted, 0);
    return r;
}

/* The answer of getxattr or listxattr, whose data the server left in the slot. */
static inline long put_value(u64 ticket, char *to, u64 size)
{
    const struct slot *slot = slot_of(ticket);
    u64 length = LOAD(slot->length);
    long r = size && size < length ? -ERANGE : (long)length;
    if (size && r >= 0)
        copy(to, at(index_of(), slot->data_at), length);
    return slot_is_still(ticket) ? r : STALE_DATA;
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
