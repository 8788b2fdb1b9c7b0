/* Call sites that were patched before.  The next program that begins with the same instructions gets them at its exec:
 * most of those are the dynamic loader's, which every short program runs through.  A library, which is mapped later, gets
 * them when the first of its sites is caught (texts.c).
 *
 * Not by name or build-id: a program is known by its first instructions, a library by the file and the program's, a site by
 * its distance from the beginning and by its own bytes.  A wrong guess finds other bytes, and patches nothing.
 */
#include <stdlib.h>
#include <string.h>
#include "core.h"

#define PAYS 2 /* caught so often, and in half of the times: worth the writing */

static struct known_code *program_of(struct tracer *tracer, uint64_t key)
{
    for (uint32_t i = 0; i < PROGRAM_LIMIT; i++)
        if (tracer->programs[i].key == key)
            return &tracer->programs[i];
    return NULL;
}

uint64_t memory_key(const uint8_t *first, size_t bytes)
{
    uint64_t key = 14695981039346656037UL; /* FNV-1a */
    if (bytes < LEAST_KNOWN)
        return 0;
    while (bytes--)
        key = (key ^ *first++) * 1099511628211UL;
    return key ? key : 1;
}

struct known_code *memory_of_program(struct tracer *tracer, uint64_t key)
{
    struct known_code *program = key ? program_of(tracer, key) : NULL;
    if (key && !program) { /* round robin: who is forgotten is learned again */
        program = &tracer->programs[tracer->next_program++ % PROGRAM_LIMIT];
        *program = (struct known_code){.key = key};
    }
    if (program)
        program->times++;
    return program;
}

struct known_code *memory_of_text(struct tracer *tracer, uint64_t key)
{
    struct known_code **at = &tracer->texts[key % TEXT_BUCKETS];
    if (!*at)
        *at = calloc(1, sizeof **at);
    if (*at && (*at)->key != key)
        **at = (struct known_code){.key = key};
    return *at;
}

void memory_free(struct tracer *tracer)
{
    for (size_t i = 0; i < TEXT_BUCKETS; i++)
        free(tracer->texts[i]);
}

void memory_add_to(struct known_code *code, int64_t distance, struct shape shape, const uint8_t *text)
{
    for (uint32_t i = 0; i < code->count; i++)
        if (code->sites[i].distance == distance) {
            code->sites[i].caught += same_site(code->sites[i].shape, code->sites[i].text, text);
            return;
        }
    if (code->count == KNOWN_SITES)
        return;
    struct known_site *known = &code->sites[code->count++];
    *known = (struct known_site){.distance = distance, .caught = 1, .shape = shape};
    memcpy(known->text, text, SITE_TEXT);
}

void memory_add(struct tracer *tracer, const struct space *space, const struct site *site, const uint8_t *text)
{
    struct known_code *program = space->program ? program_of(tracer, space->program) : NULL;
    int64_t distance = (int64_t)(site->at - space->entry);
    if (program && distance <= PROGRAM_REACH && distance >= -PROGRAM_REACH)
        memory_add_to(program, distance, site->shape, text);
}

bool memory_pays(const struct known_code *code, const struct known_site *site)
{
    return site->caught >= PAYS && site->caught * 2 >= code->times;
}
