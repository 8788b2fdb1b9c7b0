/* Text that a program maps after its exec, libraries above all: when the first of its sites is caught, those that are known
 * of it are changed in the same stop.
 *
 * What is known is kept for each pair of library and program, since every program makes calls of its own in the C library.
 * Device and inode only say where to look: what is changed are bytes that are as they were, in a file's text.
 */
#include <stdio.h>
#include <sys/stat.h>
#include "patching.h"

static uint64_t key_of(pid_t task, const struct text *where)
{
    char name[32];
    struct stat program = {0};
    snprintf(name, sizeof name, "/proc/%d/exe", task);
    (void)!stat(name, &program); /* where that fails all such programs are one */
    const uint64_t words[] = {program.st_dev, program.st_ino, where->device, where->inode, where->offset};
    return memory_key((const uint8_t *)words, sizeof words);
}

static bool is_in(const struct text *where, uint64_t at)
{
    return at - where->start < where->end - where->start;
}

static bool is_first(const struct space *space, const struct text *where, const struct site *caught)
{
    for (uint32_t i = 0; i < space->site_count; i++)
        if (is_in(where, space->sites[i].at) && space->sites[i].at != caught->at)
            return false;
    return true;
}

/* A site that is known, around which `now` stands.  Where it cannot be changed now it is caught as it comes. */
static bool change_known(struct patching *p, const struct known_site *known, uint64_t at, const uint8_t *now)
{
    if (!same_site(known->shape, now, known->text) || !patch_is_safe(p, at - known->shape.front))
        return false;
    struct site *site = site_enter(p->space, at);
    if (!site)
        return false;
    site->shape = known->shape;
    if (!patch_write(p, site, now)) {
        p->space->site_count--; /* it was the last one */
        return false;
    }
    memory_add(p->tracer, p->space, site, now);
    p->tracer->counters.known++;
    return true;
}

static void change_others(struct patching *p, struct known_code *code, const struct text *where, uint64_t caught)
{
    struct known_site *chosen[KNOWN_SITES];
    uint8_t now[KNOWN_SITES][SITE_TEXT];
    uint32_t count = 0;
    for (uint32_t i = 0; i < code->count; i++) {
        uint64_t at = where->start + (uint64_t)code->sites[i].distance;
        if (memory_pays(code, &code->sites[i]) && is_in(where, at) && at != caught)
            chosen[count++] = &code->sites[i];
    }
    long got = read_sites(p->task, chosen, count, where->start, now);
    struct patching others = *p;
    others.instead = NULL; /* the one call that can be made instead of the caught one may have been */
    for (long i = 0; i < got; i++)
        chosen[i]->caught += change_known(&others, chosen[i], where->start + (uint64_t)chosen[i]->distance, now[i]);
}

void text_caught(struct patching *p, const struct text *where, const struct site *site, const uint8_t *text)
{
    struct known_code *code = memory_of_text(p->tracer, key_of(p->task, where));
    if (!code)
        return;
    bool first = is_first(p->space, where, site);
    code->times += first;
    memory_add_to(code, (int64_t)(site->at - where->start), site->shape, text);
    if (first)
        change_others(p, code, where, site->at);
}
