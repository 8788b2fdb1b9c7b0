/* Reading the index: lock-free, without state, without a buffer.  Freestanding; shared by the runtime and the tests.
 *
 * Loosely the kernel's RCU walk: entries are never moved or freed, and published by one store-release each.
 */
#ifndef HEPWRAP_LOOKUP_H
#define HEPWRAP_LOOKUP_H
#include "layout.h"

#define PATH_LIMIT 4096
#define NAME_LIMIT 255
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)

#define HASH_START 0xcbf29ce484222325UL
static inline u64 hash_step(u64 hash, u8 byte)
{
    return (hash ^ byte) * 0x100000001b3UL; /* FNV-1a, 64 bit (RFC 9923) */
}
static inline u64 hash_identity(u64 device, u64 inode)
{
    u64 h = (device * 0x9e3779b97f4a7c15UL) ^ inode;
    h *= 0xff51afd7ed558ccdUL;
    return h ^ (h >> 32);
}

/* A path as the caller gave it: `base` (a canonical directory, or nothing) + "/" + `text`. */
struct name {
    const char *base;
    const char *text;
    u32 base_length; /* 0: text is absolute */
    u32 length;      /* of text */
    u64 hash;        /* of the whole */
};

static inline const void *at(const struct header *index, u64 offset)
{
    return (const char *)index + offset;
}

static inline int same(const char *a, const char *b, u32 length)
{
    for (u32 i = 0; i < length; i++)
        if (a[i] != b[i])
            return 0;
    return 1;
}

static inline int entry_is(const struct entry *entry, const struct name *name)
{
    u32 skip = name->base_length ? name->base_length + 1 : 0;
    if (entry->hash != name->hash || entry->length != skip + name->length)
        return 0;
    return (!skip || (same(entry->key, name->base, name->base_length) && entry->key[skip - 1] == '/')) &&
           same(entry->key + skip, name->text, name->length);
}

static inline const struct entry *find_entry(const struct header *index, const struct name *name)
{
    const struct table *table = at(index, LOAD(index->names_at));
    for (u64 i = name->hash & table->mask;; i = (i + 1) & table->mask) {
        u64 cell = LOAD(table->cells[i]);
        if (!cell)
            return 0;
        const struct entry *entry = at(index, cell);
        if (entry_is(entry, name))
            return entry;
    }
}

/* The inode whose stand-in has this identity, or 0. */
static inline const struct inode *find_identity(const struct header *index, u64 device, u64 number)
{
    const struct table *table = at(index, LOAD(index->identities_at));
    for (u64 i = hash_identity(device, number) & table->mask;; i = (i + 1) & table->mask) {
        u64 cell = LOAD(table->cells[i]);
        if (!cell)
            return 0;
        const struct identity *identity = at(index, cell);
        if (identity->device == device && identity->inode == number)
            return at(index, LOAD(identity->target));
    }
}

static inline u64 entry_target(const struct entry *entry, int follow)
{
    return follow ? LOAD(entry->follow) : LOAD(entry->nofollow);
}

/* A name in a directory that has been listed whole: its target, or ENOENT; unknown where that is not enough to know. */
static inline u64 find_child(const struct header *index, const struct inode *dir, const char *text, u32 length,
                             int follow)
{
    if ((dir->st_mode & 0170000) != 0040000)
        return TARGET(TARGET_UNKNOWN, 0);
    if (!(LOAD(dir->flags) & INODE_COMPLETE) || length > NAME_LIMIT)
        return TARGET(TARGET_UNKNOWN, 0);
    if ((dir->flags & (INODE_SEARCHED | INODE_EXEC_YES)) != (INODE_SEARCHED | INODE_EXEC_YES) &&
        !(dir->flags & INODE_UNCHECKED))
        return TARGET(TARGET_ASK, 0);
    struct name name = {at(index, dir->path_at), text, dir->path_length, length, hash_step(dir->path_hash, '/')};
    for (u32 i = 0; i < length; i++)
        name.hash = hash_step(name.hash, (u8)text[i]);
    const struct entry *entry = find_entry(index, &name);
    return entry ? entry_target(entry, follow) : TARGET(TARGET_ERRNO, 2);
}

/* What `name` means, as far as the index knows.  `base`: the directory it is relative to, or 0. */
static inline u64 find_target(const struct header *index, const struct inode *base, const char *text, int follow)
{
    struct name name = {0, text, 0, 0, HASH_START};
    if (base) {
        name.base = at(index, base->path_at);
        name.base_length = base->path_length;
        name.hash = hash_step(base->path_hash, '/');
    }
    u64 parent_hash = 0;
    u32 slash = 0, have_slash = 0;
    for (u8 c; (c = (u8)text[name.length]); name.length++) {
        if (c == '/') {
            parent_hash = name.hash;
            slash = name.length;
            have_slash = 1;
        }
        if (name.length >= PATH_LIMIT - 1)
            return TARGET(TARGET_ERRNO, 36);
        name.hash = hash_step(name.hash, c);
    }
    const struct entry *entry = find_entry(index, &name);
    u64 target = entry ? entry_target(entry, follow) : 0;
    if (target || (!base && !slash))
        return target;

    u32 start = have_slash ? slash + 1 : 0, length = name.length - start;
    const char *last = text + start;
    if (!length || (last[0] == '.' && (length == 1 || (length == 2 && last[1] == '.'))))
        return 0;
    if (!have_slash)
        return find_child(index, base, last, length, follow);
    name.length = slash;
    name.hash = parent_hash;
    entry = find_entry(index, &name);
    target = entry ? LOAD(entry->follow) : 0;
    if (TARGET_KIND(target) != TARGET_INODE)
        return 0;
    return find_child(index, at(index, TARGET_VALUE(target)), last, length, follow);
}
#endif
