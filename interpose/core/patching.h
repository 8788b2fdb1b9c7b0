/* Between the files that patch: who is at work, what is known of a site, and where stubs come from. */
#ifndef HEPWRAP_PATCHING_H
#define HEPWRAP_PATCHING_H
#include "core.h"

struct patching {
    struct tracer *tracer;
    struct space *space;
    pid_t task;
    struct user_regs_struct *regs; /* of the caught call */
    int *instead;                  /* as of patch(); NULL: no call can be made in place of the caught one */
};

/* Of the jump. */
static inline uint64_t jump_of(const struct site *site)
{
    return site->at - site->shape.front;
}

static inline uint64_t gate_of(const struct tracer *tracer)
{
    return tracer->base + tracer->head->entry;
}

static inline void take_place(struct area *area, uint64_t number)
{
    area->taken[number / 64] |= 1UL << number % 64;
}

/* patch.c: that site, anew; NULL: no room */
struct site *site_enter(struct space *space, uint64_t at);

/* patch.c: can the jump be written without anybody meeting half of it? */
bool patch_is_safe(const struct patching *p, uint64_t jump);
/* Writes stub and jump for a site whose shape is known, around which `text` stands; false: it stays as it is. */
bool patch_write(struct patching *p, struct site *site, const uint8_t *text);

/* prepared.c: reads the bytes around all sites at once where the task may be read so; the number of them that were read.
 * from: what their distance is counted from. */
long read_sites(pid_t task, struct known_site *const *sites, uint32_t count, uint64_t from, uint8_t (*to)[SITE_TEXT]);

/* texts.c: that site was caught in that text and has been changed. */
void text_caught(struct patching *p, const struct text *where, const struct site *site, const uint8_t *text);

/* stubs.c: a place for the site's stub; false: there is none within reach.  The task may end meanwhile. */
bool stub_place(struct patching *p, struct site *site);
/* Writes the stub from what the site has kept; false: its area is not there. */
bool stub_write(const struct patching *p, const struct site *site);

#endif
