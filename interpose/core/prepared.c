/* Call sites that are known of a program, changed at its exec: the jumps are written before it begins, and the stubs lie
 * ready in a file, which the bootstrap maps (runtime/entry_<arch>.S).
 *
 * The text of a stub depends on where it lies from its site, and that is the same in every process: so each program has
 * a slot of the file, to be mapped at the same distance from its first instruction.  A slot only grows; what is in it
 * stays as it is, since processes have it mapped.
 */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>
#include "../../vfs/index/memfd.h"
#include "patching.h"

#define SLOTS 512UL          /* programs; later ones are caught as they come */
#define PAGE 4096UL
#define ABOVE 0x10000000UL   /* where first instructions are not near to the lowest address */
#define DISTANCE 0x1000000UL /* of the slot from there, downwards: nothing is there yet */

bool prepared_open(struct tracer *tracer)
{
    int fd = memfd_create("hepwrap-stubs", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create("hepwrap-stubs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    tracer->stubs_fd = fd;
    if (fd < 0 || ftruncate(fd, (off_t)(SLOTS * AREA_BYTES)) < 0)
        return false;
    tracer->stubs = mmap(NULL, SLOTS * AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (tracer->stubs == MAP_FAILED)
        return false;
    fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return true;
}

void prepared_close(struct tracer *tracer)
{
    if (!tracer->stubs || tracer->stubs == MAP_FAILED)
        return;
    munmap(tracer->stubs, SLOTS * AREA_BYTES);
    close(tracer->stubs_fd);
}

static uint64_t place_for(uint64_t entry)
{
    return entry > ABOVE ? (entry & ~(PAGE - 1)) - DISTANCE : AREA_BYTES;
}

/* A slot with the gate in front; false: there is none left. */
static bool give_slot(struct tracer *tracer, struct known_code *program, uint64_t entry)
{
    uint64_t gate = gate_of(tracer);
    if (program->slot)
        return true;
    if (tracer->slots_used + 1 >= SLOTS)
        return false;
    program->slot = ++tracer->slots_used;
    program->distance = (int64_t)(place_for(entry) - entry);
    memcpy(tracer->stubs + program->slot * AREA_BYTES, &gate, sizeof gate);
    return true;
}

/* Its places, as the sites that are known of the program have them. */
static struct area places_of(const struct known_code *program, uint64_t at)
{
    struct area area = {.at = at};
    take_place(&area, 0);
    for (uint32_t i = 0; i < program->count; i++)
        take_place(&area, program->sites[i].stub);
    return area;
}

/* The stub of a known site, made where there is none; its place in the slot, 0: there can be none. */
static uint32_t stub_of(struct tracer *tracer, struct known_code *program, struct known_site *site)
{
    uint64_t at = (uint64_t)site->distance; /* as the area: from the first instruction */
    struct area area = places_of(program, (uint64_t)program->distance);
    if (site->stub || !in_reach(area.at, at))
        return site->stub;
    for (uint32_t i = 1; i < STUB_LIMIT && !site->stub; i++)
        if (!(area.taken[i / 64] & 1UL << i % 64) && stub_fits(site->shape, at, area.at + i * STUB_BYTES))
            site->stub = i;
    struct stub_text text = stub_for(site->shape, area.at + site->stub * STUB_BYTES, area.at, at,
                                     site->text + LOOK_BEFORE - site->shape.front);
    if (site->stub)
        memcpy(tracer->stubs + program->slot * AREA_BYTES + site->stub * STUB_BYTES, &text, sizeof text);
    return site->stub;
}

long read_sites(pid_t task, struct known_site *const *sites, uint32_t count, uint64_t from, uint8_t (*to)[SITE_TEXT])
{
    struct iovec local = {to, count * SITE_TEXT}, remote[KNOWN_SITES] = {{0}};
    for (uint32_t i = 0; i < count; i++)
        remote[i] = (struct iovec){(void *)(from + (uint64_t)sites[i]->distance - LOOK_BEFORE), SITE_TEXT};
    long got = process_vm_readv(task, &local, 1, remote, count, 0) / SITE_TEXT;
    while (got >= 0 && got < count && remote_read(task, (uint64_t)remote[got].iov_base, to[got], SITE_TEXT) == SITE_TEXT)
        got++;
    return got;
}

/* Nothing has run yet, so any site may be changed whose bytes are those that were seen before. */
static bool write_jump(struct tracer *tracer, struct task *task, struct known_site *known, uint64_t area, const uint8_t *now)
{
    struct space *space = task->space;
    uint64_t at = space->entry + (uint64_t)known->distance, jump = at - known->shape.front;
    uint64_t stub = area + known->stub * STUB_BYTES;
    uint8_t word[8];
    if (!same_site(known->shape, now, known->text))
        return false;
    memcpy(word, now + LOOK_BEFORE - known->shape.front, sizeof word);
    jump_text(word, jump, stub);
    if (remote_poke(task->id, jump, word, sizeof word) < 0)
        return false;
    struct site *site = site_enter(space, at);
    site->stub = stub;
    site->shape = known->shape;
    memcpy(site->kept, known->text + LOOK_BEFORE - known->shape.front, kept_bytes(known->shape));
    known->caught++;
    tracer->counters.known++;
    tracer->counters.patched++;
    return true;
}

/* The sites that are worth it.  The page of the first instruction is given back to the file: none there. */
static uint32_t choose(struct tracer *tracer, struct known_code *program, uint64_t entry, struct known_site **chosen)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < program->count; i++) {
        struct known_site *site = &program->sites[i];
        uint64_t jump = entry + (uint64_t)site->distance - site->shape.front;
        if (memory_pays(program, site) && (jump + 7) / PAGE != entry / PAGE && jump / PAGE != entry / PAGE &&
            give_slot(tracer, program, entry) && stub_of(tracer, program, site))
            chosen[count++] = site;
    }
    return count;
}

struct prepared prepare(struct tracer *tracer, struct task *task, uint64_t entry, uint64_t key, bool certain)
{
    struct known_site *chosen[KNOWN_SITES];
    uint8_t now[KNOWN_SITES][SITE_TEXT];
    struct known_code *program = tracer->patching && task->space ? memory_of_program(tracer, key) : NULL;
    struct prepared none = {0};
    if (!program)
        return none;
    task->space->program = key;
    task->space->entry = entry;
    certain = certain && !tracer->strangers; /* of who shares, too */
    uint32_t count = !certain ? 0 : choose(tracer, program, entry, chosen), written = 0;
    uint64_t area = place_for(entry);
    if (!count || (int64_t)(area - entry) != program->distance)
        return none;
    long got = read_sites(task->id, chosen, count, entry, now);
    for (long i = 0; i < got; i++)
        written += write_jump(tracer, task, chosen[i], area, now[i]);
    if (!written)
        return none;
    task->space->areas[task->space->area_count++] = places_of(program, area);
    return (struct prepared){area, program->slot * AREA_BYTES};
}
