/* Entering a directory whole: names, inodes and the listing.  Knows neither Python nor where descriptions come from.
 *
 * Names are published one by one, each a right answer by itself; that a name which is not there does not exist is said
 * last (INODE_COMPLETE).
 */
#ifndef HEPWRAP_DIRECTORY_H
#define HEPWRAP_DIRECTORY_H
#include "writer.h"

/* One object as a catalogue describes it; mode, owner and rights as they are shown. */
struct described {
    const char *name, *link;
    u32 length, link_length; /* bytes of the name, and of the target of a symbolic link */
    u32 mode, nlink, uid, gid, mtime_ns;
    u32 rights; /* INODE_READ_YES and its like */
    u64 size;
    i64 mtime;
};

/* A listing on its way: its children are collected, since nobody knows how many will come. */
struct draft {
    u64 directory_at;
    u64 limit; /* bytes of the index that names may fill */
    struct child *children;
    u64 count, room;
};

/* Enters one object, under its name and as a child: 0; -1: the index is full, or (errno ENOMEM) memory is. */
int draft_enter(struct writer *writer, struct draft *draft, const struct described *what);

/* One more child that is listed, its name copied: 0 or -1. */
int draft_add(struct writer *writer, struct draft *draft, const char *name, u32 length, u64 number, u32 mode);

/* Publishes the listing and, where `complete`, that there are no other names: 0 or -1. */
int draft_publish(struct writer *writer, struct draft *draft, int complete);

void draft_free(struct draft *draft);

#endif
