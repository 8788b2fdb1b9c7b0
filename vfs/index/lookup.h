/* Reading the index: lock-free, without state, without a buffer.  Freestanding; shared by the runtime and the tests.
 *
 * Loosely the kernel's RCU walk: entries are never moved or freed, and published by one store-release each.
 */
#ifndef HEPWRAP_LOOKUP_H
#define HEPWRAP_LOOKUP_H
#include "hash.h"

#define NAME_LIMIT 255
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)

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

static inline int same(const char *a, const char *b, u64 length)
{
    u64 i = 0;
    for (; i + 8 <= length; i += 8)
        if (*(const loose_word *)(a + i) != *(const loose_word *)(b + i))
            return 0;
    if (length >= 8) /* once more the last eight, which end where the text does */
        return *(const loose_word *)(a + length - 8) == *(const loose_word *)(b + length - 8);
    for (; i < length; i++)
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

/* What a directory says of a name of that length that it has no entry for: unknown, where it has not been listed whole. */
static inline u64 missing_in(const struct inode *dir, u64 length)
{
    if ((dir->st_mode & 0170000) != 0040000 || !(LOAD(dir->flags) & INODE_COMPLETE) || length > NAME_LIMIT)
        return TARGET(TARGET_UNKNOWN, 0);
    if ((dir->flags & (INODE_SEARCHED | INODE_EXEC_YES)) != (INODE_SEARCHED | INODE_EXEC_YES) &&
        !(dir->flags & INODE_UNCHECKED))
        return TARGET(TARGET_ASK, 0);
    return TARGET(TARGET_ERRNO, 2);
}

/* The name at the end of a path, in the directory that the way to it leads to, under its canonical name. */
static inline u64 find_child(const struct header *index, const struct inode *dir, struct name *name, int follow)
{
    u64 missing = missing_in(dir, name->length);
    if (missing != TARGET(TARGET_ERRNO, 2))
        return missing;
    name->base = at(index, dir->path_at);
    name->base_length = dir->path_length;
    struct reading r = start_reading(name->base, name->base_length, name->text);
    for (u32 i = 0; i < name->length; i++)
        add_byte(&r, (u8)name->text[i]);
    name->hash = hash_end(r.hash, r.rest, name->base_length + 1UL + name->length);
    const struct entry *entry = find_entry(index, name);
    return entry ? entry_target(entry, follow) : missing;
}

/* Not found as it was written: is the name perhaps missing in a directory that has been listed? */
static inline u64 find_by_directory(const struct header *index, const struct inode *base, struct name *name,
                                    const struct reading *r, int follow)
{
    u64 start = r->slash, skip = name->base_length ? name->base_length + 1UL : 0;
    const char *last = name->text + start;
    u32 length = name->length - (u32)start;
    if (!length || (last[0] == '.' && (length == 1 || (length == 2 && last[1] == '.'))))
        return 0;
    if (start) {
        name->length = (u32)start - 1;
        name->hash = hash_end(r->above_hash, r->above_rest, skip + start - 1);
        const struct entry *entry = find_entry(index, name);
        u64 target = entry ? LOAD(entry->follow) : 0;
        if (TARGET_KIND(target) != TARGET_INODE)
            return 0;
        base = at(index, TARGET_VALUE(target));
    }
    name->text = last;
    name->length = length;
    return find_child(index, base, name, follow);
}

/* What `text` means, as far as the index knows.  `base`: the directory it is relative to, or 0. */
static inline u64 find_target(const struct header *index, const struct inode *base, const char *text, int follow)
{
    struct name name = {0, text, 0, 0, 0};
    if (base) {
        name.base = at(index, base->path_at);
        name.base_length = base->path_length;
    }
    struct reading r = start_reading(name.base, name.base_length, text);
    if (!read_to_end(&r))
        return TARGET(TARGET_ERRNO, 36);
    name.length = (u32)r.length;
    name.hash = hash_end(r.hash, r.rest, (base ? name.base_length + 1UL : 0) + r.length);
    const struct entry *entry = find_entry(index, &name);
    u64 target = entry ? entry_target(entry, follow) : 0;
    if (target || (!base && r.slash <= 1))
        return target;
    return find_by_directory(index, base, &name, &r, follow);
}
#endif
