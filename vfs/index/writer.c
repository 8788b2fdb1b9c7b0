/* See writer.h. */
#include "writer.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define FIRST_CELLS 4096UL

u64 writer_place(struct writer *self, u64 bytes, u64 align)
{
    u64 start = (self->end + align - 1) & ~(align - 1);
    if (bytes > self->window || start > self->window - bytes) {
        errno = ENOBUFS;
        return 0;
    }
    if (start + bytes > self->backed) {
        u64 want = (start + bytes + GROW_STEP - 1) / GROW_STEP * GROW_STEP;
        if (want > self->window)
            want = self->window;
        if (ftruncate(self->fd, (off_t)(IMAGE_SPAN + want)) < 0)
            return 0;
        self->backed = want;
    }
    self->end = start + bytes;
    return start;
}

void *writer_pointer(struct writer *self, u64 offset)
{
    return (char *)self->header + offset;
}

static u64 place_table(struct writer *self, u64 cells)
{
    u64 offset = writer_place(self, sizeof(struct table) + cells * 8, 64);
    if (offset)
        ((struct table *)writer_pointer(self, offset))->mask = cells - 1;
    return offset;
}

static void put_cell(struct table *table, u64 hash, u64 value)
{
    u64 i = hash & table->mask;
    while (table->cells[i])
        i = (i + 1) & table->mask;
    __atomic_store_n(&table->cells[i], value, __ATOMIC_RELEASE);
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

/* Puts a record into a table, which is doubled first when half full; readers of the old one miss and ask. */
static int publish(struct writer *self, u64 *table_at, u64 *used, u64 offset, u64 (*hash_of)(struct writer *, u64))
{
    struct table *table = writer_pointer(self, *table_at);
    if ((*used + 1) * 2 > table->mask + 1) {
        u64 bigger_at = place_table(self, (table->mask + 1) * 2);
        if (!bigger_at)
            return -1;
        struct table *bigger = writer_pointer(self, bigger_at);
        for (u64 i = 0; i <= table->mask; i++)
            if (table->cells[i])
                put_cell(bigger, hash_of(self, table->cells[i]), table->cells[i]);
        __atomic_store_n(table_at, bigger_at, __ATOMIC_RELEASE);
        table = bigger;
    }
    put_cell(table, hash_of(self, offset), offset);
    ++*used;
    return 0;
}

int writer_enter(struct writer *self, const char *key, u64 length, u64 follow, u64 nofollow)
{
    struct name name = {0, key, 0, (u32)length, hash_text(key, length)};
    struct entry *entry = (struct entry *)find_entry(self->header, &name);
    if (entry) {
        if (follow)
            __atomic_store_n(&entry->follow, follow, __ATOMIC_RELEASE);
        if (nofollow)
            __atomic_store_n(&entry->nofollow, nofollow, __ATOMIC_RELEASE);
        return 0;
    }
    u64 offset = writer_place(self, sizeof(struct entry) + length + 1, 8);
    if (!offset)
        return -1;
    entry = writer_pointer(self, offset);
    *entry = (struct entry){name.hash, follow, nofollow, (u32)length, 0};
    memcpy(entry->key, key, length);
    return publish(self, &self->header->names_at, &self->names, offset, entry_hash) < 0 ? -1 : 1;
}

int writer_identify(struct writer *self, u64 device, u64 inode, u64 target)
{
    struct table *table = writer_pointer(self, self->header->identities_at);
    for (u64 i = hash_identity(device, inode) & table->mask; table->cells[i]; i = (i + 1) & table->mask) {
        struct identity *old = writer_pointer(self, table->cells[i]);
        if (old->device == device && old->inode == inode) {
            __atomic_store_n(&old->target, target, __ATOMIC_RELEASE);
            return 0;
        }
    }
    u64 offset = writer_place(self, sizeof(struct identity), 8);
    if (!offset)
        return -1;
    *(struct identity *)writer_pointer(self, offset) = (struct identity){device, inode, target};
    return publish(self, &self->header->identities_at, &self->identities, offset, identity_hash);
}

struct slot *writer_slot(struct writer *self, u32 number)
{
    return writer_pointer(self, self->header->slots_at + (u64)number * SLOT_BYTES);
}

int writer_answer(struct writer *self, u32 number, u64 target, const char *data, u64 length)
{
    struct slot *slot = writer_slot(self, number);
    u64 data_at = (u64)(slot->payload - (char *)self->header);
    if (length > sizeof slot->payload) {
        data_at = writer_place(self, length, 8);
        if (!data_at)
            return -1;
    }
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
    self->end = sizeof *header;
    header->magic = INDEX_MAGIC;
    header->version = INDEX_VERSION;
    header->window = self->window;
    header->prefix_length = (u32)prefix_length;
    memcpy(header->prefix, prefix, prefix_length);
    header->names_at = place_table(self, FIRST_CELLS);
    header->identities_at = place_table(self, FIRST_CELLS);
    header->slots_at = writer_place(self, (u64)SLOT_COUNT * SLOT_BYTES, 64);
    if (!header->names_at || !header->identities_at || !header->slots_at)
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
