/* Where stubs lie: areas that are mapped into the program within reach of its call sites, and who has which place there. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "patching.h"

#define LIBRARIES 0x700000000000UL /* the kernel itself puts a new mapping near to those */
#define BELOW_PROGRAM 0x1000000UL

/* A call in the task, in place of the caught one; its result, or -ESRCH: it is gone, or *p->instead came. */
static int64_t call_instead(struct patching *p, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct user_regs_struct regs = *p->regs;
    int status;
    regs.orig_rax = number;
    regs.rdi = a;
    regs.rsi = b;
    regs.rdx = c;
    regs.r10 = d;
    regs.r8 = (uint64_t)-1;
    regs.r9 = 0;
    if (ptrace(PTRACE_SETREGS, p->task, NULL, &regs) < 0 || ptrace(PTRACE_SYSCALL, p->task, NULL, NULL) < 0 ||
        !wait_for(p->task, &status))
        return -ESRCH;
    if (WIFSTOPPED(status) && status >> 16 == 0 && ptrace(PTRACE_GETREGS, p->task, NULL, &regs) == 0)
        return (int64_t)regs.rax;
    *p->instead = status;
    return -ESRCH;
}

/* Where the kernel would best put an area within reach; 0: as it likes. */
static uint64_t wish_for(uint64_t site)
{
    if (site >= LIBRARIES)
        return 0;
    return site > 2 * BELOW_PROGRAM ? (site - BELOW_PROGRAM) & ~(AREA_BYTES - 1UL) : AREA_BYTES;
}

/* Where it is of no use it is remembered too, so that there are not ever more of them. */
static void use_area(const struct patching *p, uint64_t at, uint64_t site)
{
    uint64_t gate = gate_of(p->tracer);
    struct area *area = &p->space->areas[p->space->area_count++];
    *area = (struct area){.at = at};
    take_place(area, 0);
    if (!in_reach(at, site) || remote_poke(p->task, at, &gate, sizeof gate) < 0)
        memset(area->taken, -1, sizeof area->taken);
}

/* Where areas lie already, the next one is wished for below them. */
static bool new_area(struct patching *p, uint64_t site)
{
    uint64_t wish = wish_for(site), below = p->space->area_count * (uint64_t)AREA_BYTES;
    if (p->space->area_count == AREA_LIMIT || !p->instead)
        return false;
    int64_t at = call_instead(p, SYS_mmap, wish > 2 * below ? wish - below : wish, AREA_BYTES, PROT_READ | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS);
    if (at >= 0)
        use_area(p, (uint64_t)at, site);
    return at >= 0;
}

/* The program may have unmapped it; and a fork that another thread made may have copied the memory before it was there. */
static bool is_there(const struct patching *p, const struct area *area)
{
    uint64_t gate = gate_of(p->tracer), now;
    return remote_read(p->task, area->at, &now, sizeof now) == sizeof now && now == gate;
}

/* A free place for the site's stub; 0: none. */
static uint64_t find_place(const struct patching *p, struct area *area, const struct site *site)
{
    if (!in_reach(area->at, site->at) || !is_there(p, area))
        return 0;
    for (uint64_t i = 0; i < STUB_LIMIT; i++) {
        uint64_t stub = area->at + i * STUB_BYTES;
        if (area->taken[i / 64] & 1UL << i % 64 || !stub_fits(site->shape, site->at, stub))
            continue;
        take_place(area, i);
        return stub;
    }
    return 0;
}

bool stub_place(struct patching *p, struct site *site)
{
    site->stub = 0;
    for (uint32_t i = 0, count = p->space->area_count; !site->stub && i <= count; i++)
        if (i < count || new_area(p, site->at))
            site->stub = find_place(p, &p->space->areas[i], site);
    return site->stub != 0;
}

bool stub_write(const struct patching *p, const struct site *site)
{
    const struct area *area = p->space->areas;
    while (site->stub - area->at >= AREA_BYTES)
        area++;
    struct stub_text text = stub_for(site->shape, site->stub, area->at, site->at, site->kept);
    return is_there(p, area) && remote_poke(p->task, site->stub, &text, sizeof text) == 0;
}
