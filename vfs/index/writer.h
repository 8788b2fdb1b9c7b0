/* The writer of the shared index: places records in memory and publishes them.
 *
 * Owns one sealed memory file, the runtime's image in front (IMAGE_SPAN bytes), the index behind it.  Knows neither
 * Python nor what a record means.  One writer: no two calls at the same time.  What can fail returns 0 or -1 with errno
 * set; ENOBUFS: the window is full.
 */
#ifndef HEPWRAP_WRITER_H
#define HEPWRAP_WRITER_H
#include <stddef.h>
#include "lookup.h"

#define GROW_STEP (4UL << 20)
#define FIRST_NUMBER 256 /* inode number of what is no object of its own: mount points before anything is mounted */

struct writer {
    int fd;
    char *file; /* the whole mapping: image, then index */
    struct header *header; /* its `used` is the first free byte */
    u64 window;            /* bytes of index that are mapped here; header->window of them may be used */
    u64 backed;            /* bytes of index behind which there is a file */
    u64 names, identities; /* cells in use */
    u64 number;            /* the inode number that was given last */
};

/* Makes the file and the empty index, from zeroed memory with `window` set; -1: call writer_close all the same. */
int writer_open(struct writer *self, const char *prefix, size_t prefix_length, const char *image, size_t image_length);
void writer_close(struct writer *self);

/* Room for `bytes` at a multiple of `align`: its offset, or 0. */
u64 writer_place(struct writer *self, u64 bytes, u64 align);
void *writer_pointer(struct writer *self, u64 offset);
u64 writer_offset(const struct writer *self, const void *record);

/* A copy, followed by a NUL: its offset, or 0. */
u64 writer_append(struct writer *self, const void *data, u64 length, u64 align);

/* Sees to it that so many names more can be published without a table growing on the way: 0, or -1. */
int writer_reserve(struct writer *self, u64 names);

/* Puts an entry into the table, where none of its key is: 0, or -1. */
int writer_publish(struct writer *self, u64 entry_at);

/* The entry of a key, or NULL. */
struct entry *writer_find(const struct writer *self, const char *key, u64 length);

/* Publishes a key, or fills in what is known (0: leave) of one that is there: 1 where it is new, 0, or -1.  `itself`: the
 * offset of the inode whose canonical path that is. */
int writer_enter(struct writer *self, const char *key, u64 length, u64 follow, u64 nofollow, u64 itself);

/* Whose stand-in has this identity: the inode at `target`; a number used again gets its new meaning.  0, or -1. */
int writer_identify(struct writer *self, u64 device, u64 inode, u64 target);

/* The mailbox with this number, below SLOT_COUNT, and the offset of its payload. */
struct slot *writer_slot(struct writer *self, u32 number);
u64 writer_payload(const struct writer *self, u32 number);

/* Lets the thread go on that waits at this mailbox; `data` may be NULL.  0, or -1. */
int writer_answer(struct writer *self, u32 number, u64 target, const char *data, u64 length);

#endif
