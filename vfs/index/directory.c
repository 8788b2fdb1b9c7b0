/* See directory.h. */
#include "directory.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DT_OF(mode) ((mode) >> 12 & 15) /* DT_... of getdents(2) are the type bits of st_mode */

static struct inode *inode_at(struct writer *writer, u64 offset)
{
    return writer_pointer(writer, offset);
}

static int add_child(struct draft *draft, struct child child)
{
    if (draft->count == draft->room) {
        u64 room = draft->room ? draft->room * 2 : 64;
        struct child *bigger = realloc(draft->children, room * sizeof child);
        if (!bigger)
            return -1;
        draft->children = bigger;
        draft->room = room;
    }
    draft->children[draft->count++] = child;
    return 0;
}

int draft_add(struct writer *writer, struct draft *draft, const char *name, u32 length, u64 number, u32 mode)
{
    u64 name_at = writer_append(writer, name, length, 1);
    if (!name_at)
        return -1;
    return add_child(draft, (struct child){name_at, number, length, DT_OF(mode)});
}

/* The inode of an object that has none yet, whose path is `path_length` bytes at `path_at`; 0: full. */
static u64 place_inode(struct writer *writer, const struct draft *draft, const struct described *what, u64 path_at,
                       u32 path_length)
{
    const struct inode *dir = inode_at(writer, draft->directory_at);
    u64 link_at = what->link_length ? writer_append(writer, what->link, what->link_length, 1) : 0;
    u64 inode_offset = writer_place(writer, sizeof *dir, RECORD_ALIGN);
    if (!inode_offset || (what->link_length && !link_at))
        return 0;
    u32 searched = (dir->flags & INODE_SEARCHED) && (dir->flags & INODE_EXEC_YES) ? INODE_SEARCHED : 0;
    *inode_at(writer, inode_offset) = (struct inode){
        .st_dev = dir->st_dev,
        .st_ino = ++writer->number,
        .st_mode = what->mode,
        .st_nlink = what->nlink,
        .st_uid = what->uid,
        .st_gid = what->gid,
        .st_size = what->size,
        .mtime = what->mtime,
        .mtime_ns = what->mtime_ns,
        .flags = what->rights | searched,
        .path_at = path_at,
        .path_hash = hash_words(at(writer->header, path_at), path_length),
        .path_length = path_length,
        .link_length = what->link_length,
        .link_at = link_at,
        .mount_at = dir->mount_at,
        .parent_at = draft->directory_at,
        .descriptor = -1,
    };
    return inode_offset;
}

/* A new entry for a name in the directory, not published yet; 0: full. */
static u64 place_entry(struct writer *writer, const struct inode *dir, const struct name *name)
{
    u32 length = dir->path_length + 1 + name->length;
    u64 entry_at = writer_place(writer, sizeof(struct entry) + length + 1, RECORD_ALIGN);
    if (!entry_at)
        return 0;
    struct entry *entry = writer_pointer(writer, entry_at);
    *entry = (struct entry){.hash = name->hash, .length = length};
    memcpy(entry->key, at(writer->header, dir->path_at), dir->path_length);
    entry->key[dir->path_length] = '/';
    memcpy(entry->key + dir->path_length + 1, name->text, name->length);
    return entry_at;
}

int draft_enter(struct writer *writer, struct draft *draft, const struct described *what)
{
    const struct inode *dir = inode_at(writer, draft->directory_at);
    struct name name;
    name_in(&name, writer->header, dir, what->name, what->length);
    const struct entry *found = find_entry(writer->header, &name);
    if (writer->header->used > draft->limit) {
        errno = ENOBUFS;
        return -1;
    }
    u64 entry_at = found ? writer_offset(writer, found) : place_entry(writer, dir, &name);
    if (!entry_at)
        return -1;
    struct entry *entry = writer_pointer(writer, entry_at);
    u64 key_at = entry_at + offsetof(struct entry, key), itself = (u64)entry->itself * RECORD_ALIGN;
    if (!itself)
        itself = place_inode(writer, draft, what, key_at, entry->length);
    if (!itself)
        return -1;
    const struct inode *inode = inode_at(writer, itself);
    u64 word = inode->flags & INODE_SEARCHED ? TARGET(TARGET_INODE, itself) : 0;
    entry->itself = (u32)(itself / RECORD_ALIGN);
    if (!is_kind(inode, 0120000) && !entry->follow)
        __atomic_store_n(&entry->follow, word, __ATOMIC_RELEASE);
    if (word)
        __atomic_store_n(&entry->nofollow, word, __ATOMIC_RELEASE);
    if (!found && writer_publish(writer, entry_at) < 0)
        return -1;
    return add_child(draft, (struct child){key_at + dir->path_length + 1, inode->st_ino, what->length,
                                           DT_OF(inode->st_mode)});
}

int draft_publish(struct writer *writer, struct draft *draft, int complete)
{
    struct inode *dir = inode_at(writer, draft->directory_at);
    const struct inode *above = dir->parent_at ? inode_at(writer, dir->parent_at) : dir;
    static const char dots_text[] = "..";
    u64 dots_at = writer_append(writer, dots_text, 2, 1);
    u64 listing_at = writer_place(writer, sizeof(struct listing) + (draft->count + 2) * sizeof(struct child), 8);
    if (!listing_at || !dots_at)
        return -1;
    struct listing *listing = writer_pointer(writer, listing_at);
    listing->count = draft->count + 2;
    listing->children[0] = (struct child){dots_at, dir->st_ino, 1, DT_OF(dir->st_mode)};
    listing->children[1] = (struct child){dots_at, above->st_ino, 2, DT_OF(dir->st_mode)};
    if (draft->count)
        memcpy(listing->children + 2, draft->children, draft->count * sizeof(struct child));
    __atomic_store_n(&dir->listing_at, listing_at, __ATOMIC_RELEASE);
    if (complete)
        __atomic_store_n(&dir->flags, dir->flags | INODE_COMPLETE, __ATOMIC_RELEASE);
    return 0;
}

void draft_free(struct draft *draft)
{
    free(draft->children);
    *draft = (struct draft){0};
}
