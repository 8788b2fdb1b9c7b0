/* Call sites that were patched in a program before: the next one that begins with the same instructions gets them at its
 * exec.  Most of them are the dynamic loader's, which every short program runs through.
 *
 * Not by name or build-id: the program is known by its first instructions, a site by its distance from there and by its
 * own bytes.  A wrong guess finds other bytes, and patches nothing.
 */
#include <string.h>
#include "core.h"

#define PAYS 2 /* caught so often, and in half of the execs: worth the writing */

static struct program *program_of(struct tracer *tracer, uint64_t key)
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

struct program *memory_of_program(struct tracer *tracer, uint64_t key)
{
    struct program *program = key ? program_of(tracer, key) : NULL;
    if (key && !program) { /* round robin: who is forgotten is learned again */
        program = &tracer->programs[tracer->next_program++ % PROGRAM_LIMIT];
        *program = (struct program){.key = key};
    }
    if (program)
        program->execs++;
    return program;
}

void memory_add(struct tracer *tracer, const struct space *space, const struct site *site, const uint8_t *text)
{
    struct program *program = space->program ? program_of(tracer, space->program) : NULL;
    int64_t distance = (int64_t)(site->at - space->entry);
    if (!program || distance > PROGRAM_REACH || distance < -PROGRAM_REACH)
        return;
    for (uint32_t i = 0; i < program->count; i++)
        if (program->sites[i].distance == distance) {
            program->sites[i].caught += same_site(program->sites[i].shape, program->sites[i].text, text);
            return;
        }
    if (program->count == KNOWN_SITES)
        return;
    struct known_site *known = &program->sites[program->count++];
    *known = (struct known_site){.distance = distance, .caught = 1, .shape = site->shape};
    memcpy(known->text, text, SITE_TEXT);
}

bool memory_pays(const struct program *program, const struct known_site *site)
{
    return site->caught >= PAYS && site->caught * 2 >= program->execs;
}
