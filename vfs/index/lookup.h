/* Reading the index: lock-free, without state, without a buffer.  Freestanding; shared by the runtime and the tests.
 *
 * Loosely the kernel's RCU walk: records are never moved or freed, and published by one store-release each.  What a path
 * means is what vfs/resolve.py says (the specification); here that is replayed as far as listed directories reach, and
 * TARGET_UNKNOWN or TARGET_ASK is the answer where they do not.
 */
#ifndef HEPWRAP_LOOKUP_H
#define HEPWRAP_LOOKUP_H
#include "hash.h"

#define NAME_LIMIT 255
#define LINK_LIMIT 40 /* most symbolic links on one way, as the kernel's MAXSYMLINKS */
#ifndef LOAD /* tests let others run in between */
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#endif

static inline u64 hash_identity(u64 device, u64 inode)
{
    return hash_word(hash_word(HASH_START, device), inode);
}

/* A path as the caller gave it: `base` (a canonical directory) + "/" + `text`, or `text` alone, which is absolute. */
struct name {
    const char *base;
    const char *text;
    u32 base_length; /* 0 also of the root, whose path is empty here */
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
    u32 skip = name->base ? name->base_length + 1 : 0;
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
        if (CELL_TAG(cell) != CELL_TAG(name->hash))
            continue;
        const struct entry *entry = at(index, CELL_VALUE(cell));
        if (entry_is(entry, name))
            return entry;
    }
}

/* The inode whose stand-in has this identity, or 0. */
static inline const struct inode *find_identity(const struct header *index, u64 device, u64 number)
{
    const struct table *table = at(index, LOAD(index->identities_at));
    u64 hash = hash_identity(device, number);
    for (u64 i = hash & table->mask;; i = (i + 1) & table->mask) {
        u64 cell = LOAD(table->cells[i]);
        if (!cell)
            return 0;
        if (CELL_TAG(cell) != CELL_TAG(hash))
            continue;
        const struct identity *identity = at(index, CELL_VALUE(cell));
        if (identity->device == device && identity->inode == number)
            return at(index, LOAD(identity->target));
    }
}

static inline int may_be_standin(const struct header *index, u64 device, u32 links)
{
    return device == index->file_device || (!links && device == index->standin_device);
}

static inline int is_kind(const struct inode *inode, u32 kind)
{
    return (inode->st_mode & 0170000) == kind;
}

/* The virtual inode that this object of the kernel's stands for, or 0.  Identities outlive their stand-ins, and a disk
 * gives inode numbers away again: so an object counts only if it lies among memory files, or has no name, and has the
 * time of modification that the server gives to everything it makes (standins.py).  A file of the host has that by
 * intent only; and among our own an identity means the last that got the number, before which all others with it must be
 * gone.  A pipe has another time once it was written to: the server holds pipes until the end, and their numbers. */
static inline const struct inode *find_standin(const struct header *index, u64 device, u64 number, u32 links, i64 modified)
{
    const struct inode *inode = may_be_standin(index, device, links) ? find_identity(index, device, number) : 0;
    return inode && (modified == index->standin_mark || is_kind(inode, 0010000)) ? inode : 0;
}

static inline u64 entry_target(const struct entry *entry, int follow)
{
    return follow ? LOAD(entry->follow) : LOAD(entry->nofollow);
}

/* May everybody look up names here, in a directory whose parents do not count (the way led through them)? */
static inline int is_open(const struct inode *dir)
{
    return (LOAD(dir->flags) & (INODE_EXEC_YES | INODE_UNCHECKED)) != 0;
}

/* Makes *name what is called `text` in the directory. */
static inline void name_in(struct name *name, const struct header *index, const struct inode *dir, const char *text,
                           u32 length)
{
    *name = (struct name){at(index, dir->path_at), text, dir->path_length, length, 0};
    struct reading r = start_reading(name->base, name->base_length, dir->path_hash, text);
    for (u32 i = 0; i < length; i++)
        add_byte(&r, (u8)text[i]);
    name->hash = hash_end(r.hash, r.rest, name->base_length + 1UL + length);
}

/* What `name` is, whose last component lies in `dir`.  Whether the directory is complete is read first: a name that is
 * missing from the table after that does not exist. */
static inline u64 find_listed(const struct header *index, const struct inode *dir, const struct name *name, int follow)
{
    u32 complete = LOAD(dir->flags) & INODE_COMPLETE;
    const struct entry *entry = find_entry(index, name);
    if (entry)
        return entry_target(entry, follow);
    return complete ? TARGET(TARGET_ERRNO, 2) : TARGET(TARGET_UNKNOWN, 0);
}

/* "" and "." (1), ".." (2), all other names 0. */
static inline u32 dots(const char *name, u32 length)
{
    if (length > 2 || (length && name[0] != '.'))
        return 0;
    return length < 2 ? 1 : name[1] == '.' ? 2 : 0;
}

/* A way through directories, component by component (loosely struct nameidata). */
#define REST_LIMIT 3
struct walk {
    const struct inode *place;
    const char *text;             /* what is left of the path, or of a link's target */
    const char *rest[REST_LIMIT]; /* what comes after the targets: it begins with a slash */
    u32 depth, links;
};

/* Goes on with the target of `link`; 0, or the target that ends the walk. */
static inline u64 enter_link(const struct header *index, struct walk *walk, const struct inode *link, const char *rest)
{
    if (walk->links++ == LINK_LIMIT)
        return TARGET(TARGET_ERRNO, 40);
    /* An empty target; a shared directory, whose links are not followed by everybody (fs.protected_symlinks). */
    if (!link->link_length || (walk->place->st_mode & 01002) == 01002 || (*rest && walk->depth == REST_LIMIT))
        return TARGET(TARGET_ASK, 0);
    if (*rest)
        walk->rest[walk->depth++] = rest;
    walk->text = at(index, link->link_at);
    if (*walk->text != '/')
        return 0;
    u32 n = index->prefix_length;
    if (!index->top_at || !same(walk->text, index->prefix, n) || (walk->text[n] && walk->text[n] != '/'))
        return TARGET(TARGET_ASK, 0); /* out to the host */
    walk->place = at(index, index->top_at);
    walk->text += n;
    return 0;
}

/* What the first component of walk->text is: its inode, or the target that ends the walk. */
static inline u64 find_step(const struct header *index, const struct walk *walk, u32 length)
{
    const struct inode *dir = walk->place;
    u32 special = dots(walk->text, length);
    if (!is_kind(dir, 0040000))
        return TARGET(TARGET_ERRNO, 20);
    if (!is_open(dir) || length > NAME_LIMIT)
        return TARGET(TARGET_ASK, 0);
    if (special)
        return special == 1 ? TARGET(TARGET_INODE, (u64)((const char *)dir - (const char *)index)) :
               dir->parent_at ? TARGET(TARGET_INODE, dir->parent_at) : TARGET(TARGET_ASK, 0);
    struct name name;
    name_in(&name, index, dir, walk->text, length);
    return find_listed(index, dir, &name, 0);
}

/* Where `text` leads from the directory `place`, as _Walk.run() of resolve.py; links are followed by what they say. */
static __attribute__((noinline)) u64 walk_from(const struct header *index, const struct inode *place, const char *text,
                                               int follow)
{
    struct walk walk = {.place = place, .text = text};
    for (;;) {
        while (*walk.text == '/')
            walk.text++;
        if (!*walk.text) {
            if (!walk.depth)
                return TARGET(TARGET_INODE, (u64)((const char *)walk.place - (const char *)index));
            walk.text = walk.rest[--walk.depth];
            continue;
        }
        u32 length = 0;
        while (walk.text[length] && walk.text[length] != '/' && length <= NAME_LIMIT)
            length++;
        u64 target = find_step(index, &walk, length);
        const char *rest = walk.text + length;
        u32 slash = *rest || walk.depth; /* one follows, here or after the link that we are in */
        if (TARGET_KIND(target) == TARGET_HOST && slash)
            return TARGET(TARGET_ASK, 0); /* something of the host is bound there */
        if (TARGET_KIND(target) != TARGET_INODE)
            return target;
        const struct inode *found = at(index, TARGET_VALUE(target));
        if (is_kind(found, 0120000) && (follow || slash)) {
            target = enter_link(index, &walk, found, rest);
            if (target)
                return target;
            continue;
        }
        if (!slash)
            return target;
        if (!is_kind(found, 0040000))
            return TARGET(TARGET_ERRNO, 20);
        walk.place = found;
        walk.text = rest;
    }
}

/* The same from the prefix, which the path has to start with. */
static inline u64 walk_down(const struct header *index, const char *path, int follow)
{
    u32 n = index->prefix_length;
    if (!index->top_at || !same(path, index->prefix, n) || (path[n] && path[n] != '/'))
        return TARGET(TARGET_UNKNOWN, 0);
    return walk_from(index, at(index, index->top_at), path + n, follow);
}

/* The last component of `name` (from `start` on) in `dir`, which everybody may come to.  `canonical`: what comes before
 * it is the directory's own path, so that the hash is known; else `name` is changed. */
static inline u64 find_last(const struct header *index, const struct inode *dir, struct name *name, u32 start,
                            int canonical, int follow)
{
    const char *last = name->text + start;
    u32 length = name->length - start;
    if (length > NAME_LIMIT || dots(last, length))
        return 0;
    if (!is_kind(dir, 0040000))
        return TARGET(TARGET_ERRNO, 20);
    if (!is_open(dir))
        return TARGET(TARGET_ASK, 0);
    if (!canonical)
        name_in(name, index, dir, last, length);
    return find_listed(index, dir, name, follow);
}

/* The last component in the directory whose key the rest of the path is. */
static inline u64 find_beside(const struct header *index, struct name *name, const struct reading *r, int follow)
{
    u64 hash = name->hash;
    u32 length = name->length;
    name->length = (u32)r->slash - 1;
    name->hash = hash_end(r->above_hash, r->above_rest, (name->base ? name->base_length + 1UL : 0) + name->length);
    const struct entry *entry = find_entry(index, name);
    name->hash = hash;
    name->length = length;
    u64 target = entry ? LOAD(entry->follow) : 0;
    if (TARGET_KIND(target) != TARGET_INODE)
        return 0;
    const struct inode *dir = at(index, TARGET_VALUE(target));
    return find_last(index, dir, name, (u32)r->slash, at(index, dir->path_at) == entry->key, follow);
}

/* What `text` means, as far as the index knows.  `base`: the directory it is relative to, or 0.  An absolute text starts
 * with the prefix, or is the key of an entry, or not known. */
static __attribute__((noinline, unused)) u64 find_target(const struct header *index, const struct inode *base, const char *text,
                                                 int follow)
{
    struct name name = {0, text, 0, 0, 0};
    if (base) {
        name.base = at(index, base->path_at);
        name.base_length = base->path_length;
    }
    struct reading r = start_reading(name.base, name.base_length, base ? base->path_hash : 0, text);
    if (!read_to_end(&r))
        return TARGET(TARGET_ERRNO, 36);
    name.length = (u32)r.length;
    name.hash = hash_end(r.hash, r.rest, (base ? name.base_length + 1UL : 0) + r.length);
    const struct entry *entry = find_entry(index, &name);
    u64 target = entry ? entry_target(entry, follow) : 0;
    if (!target && (base ? r.slash : r.slash > 1))
        target = find_beside(index, &name, &r, follow);
    if (!target && base && !r.slash)
        target = find_last(index, base, &name, 0, 1, follow);
    if (target)
        return target;
    return base ? walk_from(index, base, text, follow) : walk_down(index, text, follow);
}
#endif
