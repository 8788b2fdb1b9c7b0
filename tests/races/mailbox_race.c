/*
 * What the runtime makes of an answer whose mailbox has been given to another question before it was read: what lies there
 * is another's.  Prints for each way to read one what came of it: the answer, or that it has to be asked for again.
 * usage: mailbox_race
 */
#include "../../interpose/runtime/path_call.h"

#include <stdio.h>

enum { SLOT = 3, SLOTS_AT = 65536, PAYLOADS_AT = 131072, ASKED_AS = 11, LENGTH = 5, OTHERS_LENGTH = 40 };
__asm__(".bss\n.globl hepwrap_image\n.hidden hepwrap_image\n.balign 4096\nhepwrap_image: .zero 2097152\n.text\n");
_Static_assert(IMAGE_SPAN + PAYLOADS_AT + (SLOT + 1) * PAYLOAD_BYTES <= 2097152, "room for the mailbox");

static char buffer[256];
static u64 size, payload_at = PAYLOADS_AT + SLOT * PAYLOAD_BYTES;
static struct row row;

static long attribute(void)
{
    return put_value((u64)ASKED_AS << 32 | SLOT, buffer, size);
}

/* A look that nobody remembers: the inode lies in the mailbox.  Nobody can be asked here, which says EIO. */
static long look(void)
{
    row.handler = DO_stat;
    row.buffer = 1;
    f->row = &row;
    f->a[1] = (u64)buffer;
    f->asked = 1;
    f->noted = (u64)ASKED_AS << 32 | SLOT;
    return follow_target(TARGET(TARGET_INODE, payload_at));
}

static const struct {
    const char *name;
    long (*reads)(void);
    u64 size;
    long asks; /* what says that it is asked for again */
} ways[] = {{"length", attribute, 0, STALE_DATA},
            {"too small", attribute, LENGTH - 1, STALE_DATA},
            {"value", attribute, sizeof buffer, STALE_DATA},
            {"attributes", look, 0, -EIO}};

int main(void)
{
    static struct frame frame;
    struct header *index = (struct header *)(u64)index_of();
    f = &frame;
    index->slots_at = SLOTS_AT;
    index->payloads_at = PAYLOADS_AT;
    struct slot *slot = (struct slot *)(u64)slot_of(SLOT);
    slot->data_at = payload_at;
    for (int given_away = 0; given_away < 2; given_away++)
        for (u32 i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            slot->word = ASKED_AS + 1 + 2 * given_away;
            slot->length = given_away ? OTHERS_LENGTH : LENGTH;
            size = ways[i].size;
            long r = ways[i].reads();
            if (r == ways[i].asks)
                printf("%s: asks again\n", ways[i].name);
            else
                printf("%s: %ld\n", ways[i].name, r);
        }
    return 0;
}
