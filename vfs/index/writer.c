/* See writer.h. */
#include "writer.h"
#include "memfd.h"
#include "window.h"
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_CELLS 4096UL

/* A file behind everything up to `end`: 0 or -1. */
static int back(struct writer *self, u64 end)
{
    u64 want = (end + GROW_STEP - 1) / GROW_STEP * GROW_STEP;
    if (want > self->window)
        want = self->window;
    if (end <= self->backed)
        return 0;
    if (ftruncate(self->fd, (off_t)(IMAGE_SPAN + want)) < 0)
        return -1;
    self->backed = want;
    return 0;
}

u64 writer_place(struct writer *self, u64 bytes, u64 align)
{
    u64 start = (self->header->used + align - 1) & ~(align - 1);
    if (bytes <= self->window && start <= self->window - bytes) {
        if (back(self, start + bytes) < 0)
            return 0;
        if (window_take(self->header, start + bytes))
            return start;
    }
    errno = ENOBUFS;
    return 0;
}

void *writer_pointer(struct writer *self, u64 offset)
{
    return (char *)self->header + offset;
}

u64 writer_offset(const struct writer *self, const void *record)
{
    return (u64)((const char *)record - (const char *)self->header);
}

u64 writer_append(struct writer *self, const void *data, u64 length, u64 align)
{
    u64 offset = writer_place(self, length + 1, align);
    if (offset)
        memcpy(writer_pointer(self, offset), data, length);
    return offset;
}

static u64 place_table(struct writer *self, u64 cells)
{
    u64 offset = writer_place(self, sizeof(struct table) + cells * sizeof(u64), 64);
    if (offset)
        ((struct table *)writer_pointer(self, offset))->mask = cells - 1;
    return offset;
}

static void put_cell(struct table *table, u64 hash, u64 offset)
{
    u64 i = hash & table->mask;
    while (table->cells[i])
        i = (i + 1) & table->mask;
    __atomic_store_n(&table->cells[i], CELL(hash, offset), __ATOMIC_RELEASE);
}

static u64 entry_hash(struct writer *self, u64 offset)
{
    return ((struct entry *)writer_pointer(self, offset))->hash;
}

static u64 identity_hash(struct writer *self, u64 offset)
{
    struct identity *identity = writer_pointer(self, offset);
    return hash_identity(identity->device, identity->inode);
}

/* Sees to it that a table stays half empty with `more` records.  Readers of the old one go on there: they miss, and ask. */
static int make_room(struct writer *self, u64 *table_at, u64 used, u64 more, u64 (*hash_of)(struct writer *, u64))
{
    const struct table *table = writer_pointer(self, *table_at);
    u64 cells = table->mask + 1;
    while ((used + more) * 2 > cells)
        cells *= 2;
    if (cells == table->mask + 1)
        return 0;
    u64 bigger_at = place_table(self, cells);
    if (!bigger_at)
        return -1;
    struct table *bigger = writer_pointer(self, bigger_at);
    for (u64 i = 0; i <= table->mask; i++) {
        u64 offset = CELL_VALUE(table->cells[i]);
        if (offset)
            put_cell(bigger, hash_of(self, offset), offset);
    }
    __atomic_store_n(table_at, bigger_at, __ATOMIC_RELEASE);
    return 0;
}

int writer_reserve(struct writer *self, u64 names)
{
    return make_room(self, &self->header->names_at, self->names, names, entry_hash);
}

int writer_publish(struct writer *self, u64 entry_at)
{
    if (writer_reserve(self, 1) < 0)
        return -1;
    put_cell(writer_pointer(self, self->header->names_at), entry_hash(self, entry_at), entry_at);
    self->names++;
    return 0;
}

struct entry *writer_find(const struct writer *self, const char *key, u64 length)
{
    struct name name = {0, key, 0, (u32)length, hash_text(key, length)};
    return (struct entry *)find_entry(self->header, &name);
}

/* Fills in what is known of an entry that readers may see already; 0: leave. */
static void fill_in(struct entry *entry, u64 follow, u64 nofollow, u64 itself)
{
    if (itself)
        entry->itself = (u32)(itself / RECORD_ALIGN); /* no reader looks at it */
    if (follow)
        __atomic_store_n(&entry->follow, follow, __ATOMIC_RELEASE);
    if (nofollow)
        __atomic_store_n(&entry->nofollow, nofollow, __ATOMIC_RELEASE);
}

int writer_enter(struct writer *self, const char *key, u64 length, u64 follow, u64 nofollow, u64 itself)
{
    struct entry *entry = writer_find(self, key, length);
    if (entry) {
        fill_in(entry, follow, nofollow, itself);
        return 0;
    }
    u64 offset = writer_place(self, sizeof(struct entry) + length + 1, RECORD_ALIGN);
    if (!offset)
        return -1;
    entry = writer_pointer(self, offset);
    *entry = (struct entry){hash_text(key, length), follow, nofollow, (u32)length, (u32)(itself / RECORD_ALIGN)};
    memcpy(entry->key, key, length);
    return writer_publish(self, offset) < 0 ? -1 : 1;
}

int writer_identify(struct writer *self, u64 device, u64 inode, u64 target)
{
    struct table *table = writer_pointer(self, self->header->identities_at);
    u64 hash = hash_identity(device, inode);
    for (u64 i = hash & table->mask; table->cells[i]; i = (i + 1) & table->mask) {
        struct identity *old = writer_pointer(self, CELL_VALUE(table->cells[i]));
        if (old->device == device && old->inode == inode) {
            __atomic_store_n(&old->target, target, __ATOMIC_RELEASE);
            return 0;
        }
    }
    u64 offset = writer_place(self, sizeof(struct identity), RECORD_ALIGN);
    if (!offset)
        return -1;
    *(struct identity *)writer_pointer(self, offset) = (struct identity){device, inode, target};
    if (make_room(self, &self->header->identities_at, self->identities, 1, identity_hash) < 0)
        return -1;
    put_cell(writer_pointer(self, self->header->identities_at), hash, offset);
    self->identities++;
    return 0;
}

struct slot *writer_slot(struct writer *self, u32 number)
{
    return writer_pointer(self, self->header->slots_at + (u64)number * SLOT_BYTES);
}

u64 writer_payload(const struct writer *self, u32 number)
{
    return self->header->payloads_at + (u64)number * PAYLOAD_BYTES;
}

/* Where the data of a large answer goes; used again with the mailbox, whose reader sees by its word that it has been. */
struct spare {
    u64 room;
    char data[];
};

static u64 spare_room(struct writer *self, struct slot *slot, u64 length)
{
    struct spare *spare = slot->spare_at ? writer_pointer(self, slot->spare_at) : NULL;
    if (!spare || spare->room < length) {
        u64 room = 2 * PAYLOAD_BYTES;
        while (room < length)
            room *= 2;
        u64 offset = writer_place(self, sizeof *spare + room, RECORD_ALIGN);
        if (!offset)
            return 0;
        spare = writer_pointer(self, offset);
        spare->room = room;
        slot->spare_at = offset;
    }
    return writer_offset(self, spare->data);
}

int writer_answer(struct writer *self, u32 number, u64 target, const char *data, u64 length)
{
    struct slot *slot = writer_slot(self, number);
    u64 data_at = length > PAYLOAD_BYTES ? spare_room(self, slot, length) : writer_payload(self, number);
    if (!data_at)
        return -1;
    if (data)
        memcpy(writer_pointer(self, data_at), data, length);
    slot->data_at = data_at;
    slot->length = (u32)length;
    slot->target = target;
    u32 word = __atomic_load_n(&slot->word, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->word, word | 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &slot->word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0);
    return 0;
}

static int make_file(struct writer *self, const char *image, size_t image_length)
{
    self->fd = (int)syscall(SYS_memfd_create, "hepwrap-index", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (self->fd < 0 && errno == EINVAL)
        self->fd = (int)syscall(SYS_memfd_create, "hepwrap-index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (self->fd < 0)
        return -1;
    self->backed = GROW_STEP * 2;
    if (ftruncate(self->fd, (off_t)(IMAGE_SPAN + self->backed)) < 0 ||
        pwrite(self->fd, image, image_length, 0) != (ssize_t)image_length)
        return -1;
    self->file = mmap(NULL, IMAGE_SPAN + self->window, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, self->fd, 0);
    if (self->file == MAP_FAILED)
        return -1;
    fchmod(self->fd, 0555);
    /* From here on nobody but this mapping writes; kernels before 5.1 do not know the seal. */
    if (fcntl(self->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK) < 0)
        fcntl(self->fd, F_ADD_SEALS, F_SEAL_SHRINK);
    self->header = (struct header *)(self->file + IMAGE_SPAN);
    return 0;
}

static int make_header(struct writer *self, const char *prefix, size_t prefix_length)
{
    struct header *header = self->header;
    header->used = sizeof *header;
    self->number = FIRST_NUMBER;
    header->magic = INDEX_MAGIC;
    header->version = INDEX_VERSION;
    header->window = self->window;
    header->prefix_length = (u32)prefix_length;
    memcpy(header->prefix, prefix, prefix_length);
    header->names_at = place_table(self, FIRST_CELLS);
    header->identities_at = place_table(self, FIRST_CELLS);
    header->slots_at = writer_place(self, (u64)SLOT_COUNT * SLOT_BYTES, 64);
    header->payloads_at = writer_place(self, (u64)SLOT_COUNT * PAYLOAD_BYTES, 64);
    if (!header->names_at || !header->identities_at || !header->slots_at || !header->payloads_at)
        return -1;
    for (u32 i = 0; i < SLOT_COUNT; i++)
        writer_slot(self, i)->word = 1;
    return 0;
}

int writer_open(struct writer *self, const char *prefix, size_t prefix_length, const char *image, size_t image_length)
{
    return make_file(self, image, image_length) < 0 ? -1 : make_header(self, prefix, prefix_length);
}

void writer_close(struct writer *self)
{
    if (self->file && self->file != MAP_FAILED)
        munmap(self->file, IMAGE_SPAN + self->window);
    if (self->fd >= 0)
        close(self->fd);
}
