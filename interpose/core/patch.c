/* Patching: a call site that was caught once jumps to the runtime from then on.
 *
 * What makes it safe.  A caught call at a site that will be patched returns to the stub from the first time on, so no
 * thread and no interrupted handler ever comes back to the bytes behind the call.  That holds for sites that make one
 * call only (`mov $number,%eax` stands before it): they never reach the kernel by themselves.  Any other site is
 * patched only where the address space has one task, and its stack holds no address behind the call (an interrupted
 * call that is not ours, with this one made by the handler).  With more tasks the first byte becomes int3 while the
 * others change; who runs into it is sent back to the site.  Code that a program makes for itself is not touched: it may
 * rewrite it.  What is not known stays on the trap, with the same answers.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "core.h"
#include "sites.h"

#define CACHE_LINE 64
#define BREAKPOINT 0xcc /* int3 */
#define STACK_LOOK (256UL << 10) /* bytes above the stack pointer: more, and a site of many calls is left alone */
#define LIBRARIES 0x700000000000UL /* the kernel itself puts a new mapping near to those */
#define BELOW_PROGRAM 0x1000000UL

struct patching {
    struct tracer *tracer;
    struct space *space;
    pid_t task;
    struct user_regs_struct *regs; /* of the caught call */
    int *ended;                    /* wait status, where the task did not survive a call made for it */
};

static struct site *find_site(struct space *space, uint64_t at)
{
    for (uint32_t i = 0; i < space->site_count; i++)
        if (space->sites[i].at == at)
            return &space->sites[i];
    return NULL;
}

struct site *patch_site(struct space *space, uint64_t at)
{
    struct site *site = find_site(space, at);
    if (!site && space->site_count < SITE_LIMIT) {
        site = &space->sites[space->site_count++];
        site->at = at;
    }
    if (site)
        site->back = 0;
    return site;
}

/* A call in the task, in place of the caught one; its result or -ESRCH. */
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
    if (ptrace(PTRACE_SETREGS, p->task, NULL, &regs) < 0 || ptrace(PTRACE_SYSCALL, p->task, NULL, NULL) < 0)
        return -ESRCH;
    pid_t r;
    do
        r = waitpid(p->task, &status, __WALL);
    while (r < 0 && errno == EINTR);
    if (r == p->task && WIFSTOPPED(status) && status >> 16 == 0 &&
        ptrace(PTRACE_GETREGS, p->task, NULL, &regs) == 0)
        return (int64_t)regs.rax;
    *p->ended = status;
    return -ESRCH;
}

/* Where the kernel would best put an area within reach; 0: as it likes. */
static uint64_t wish_for(uint64_t site)
{
    if (site >= LIBRARIES)
        return 0;
    return site > 2 * BELOW_PROGRAM ? (site - BELOW_PROGRAM) & ~(AREA_BYTES - 1) : AREA_BYTES;
}

/* Room for stubs within reach of the site, with the gate in front. */
static struct area *use_area(const struct patching *p, uint64_t at, uint64_t site)
{
    uint64_t gate = p->tracer->base + p->tracer->head->entry;
    struct area *area = &p->space->areas[p->space->area_count++];
    *area = (struct area){at, STUB_BYTES};
    if (!in_reach(at, site) || remote_poke(p->task, at, &gate, sizeof gate) < 0)
        return NULL; /* nobody's, but remembered, so that there are not ever more of them */
    return area;
}

static struct area *new_area(struct patching *p, uint64_t site)
{
    if (p->space->area_count == AREA_LIMIT)
        return NULL;
    int64_t at = call_instead(p, SYS_mmap, wish_for(site), AREA_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
    return at < 0 ? NULL : use_area(p, (uint64_t)at, site);
}

/* A fork that another thread made may have copied the memory before we wrote what we know of: then it is not there. */
static bool is_there(const struct patching *p, uint64_t at, const void *what, size_t bytes)
{
    uint8_t text[STUB_BYTES];
    return !p->space->copied || (remote_read(p->task, at, text, bytes) == (long)bytes && !memcmp(text, what, bytes));
}

static bool has_room(const struct patching *p, const struct area *area, uint64_t site)
{
    uint64_t gate = p->tracer->base + p->tracer->head->entry;
    return area->used + STUB_BYTES <= AREA_BYTES && in_reach(area->at, site) && is_there(p, area->at, &gate, sizeof gate);
}

/* One that has room, or NULL. */
static struct area *area_for(const struct patching *p, uint64_t site)
{
    for (uint32_t i = 0; i < p->space->area_count; i++)
        if (has_room(p, &p->space->areas[i], site))
            return &p->space->areas[i];
    return NULL;
}

static uint64_t room_for_stub(struct patching *p, uint64_t site, uint64_t *gate)
{
    struct area *area = area_for(p, site);
    if (!area)
        area = new_area(p, site);
    if (!area)
        return 0;
    *gate = area->at;
    area->used += STUB_BYTES;
    return area->at + area->used - STUB_BYTES;
}

/* Where others run: int3 first, so that nobody meets half a jump.  All of it lies in one line of the cache. */
static int write_jump(const struct patching *p, uint64_t site, const uint8_t *jump)
{
    static const uint8_t breakpoint = BREAKPOINT;
    if (p->space->sharers == 1)
        return remote_poke(p->task, site, jump, JUMP_BYTES);
    if (remote_poke(p->task, site, &breakpoint, 1) < 0)
        return -1;
    return remote_poke(p->task, site + 1, jump + 1, JUMP_BYTES - 1) < 0 ? -1 : remote_poke(p->task, site, jump, 1);
}

/* Does an interrupted call of this task's return behind the site? */
static bool is_on_stack(const struct patching *p, uint64_t address)
{
    uint64_t words[512];
    for (uint64_t done = 0; done < STACK_LOOK; done += sizeof words) {
        long got = remote_read(p->task, p->regs->rsp + done, words, sizeof words);
        for (long i = 0; i < got / 8; i++)
            if (words[i] == address)
                return true;
        if (got < (long)sizeof words)
            return false; /* the end of the stack */
    }
    return true;
}

/* Can the jump be written without anybody meeting half of it? */
static bool can_be_written(const struct patching *p, uint64_t at)
{
    return p->space->sharers == 1 || at / CACHE_LINE == (at + JUMP_BYTES - 1) / CACHE_LINE;
}

static bool may_be_changed(const struct patching *p, uint64_t at, const uint8_t *before)
{
    return can_be_written(p, at) && (makes_only(before, p->regs->orig_rax) ||
                                     (p->space->sharers == 1 && !is_on_stack(p, at + SYSCALL_BYTES)));
}

/* Writes stub and jump for the site, whose bytes are `text`; the stub's address behind the call, or 0. */
static uint64_t write_site(struct patching *p, uint64_t at, const uint8_t *text, unsigned length)
{
    uint64_t gate, stub = room_for_stub(p, at, &gate);
    if (!stub)
        return 0;
    struct stub_text stub_text = stub_for(stub, gate, at, text + NUMBER_BYTES + SYSCALL_BYTES, length);
    uint8_t jump[JUMP_BYTES];
    jump_text(jump, at, stub);
    struct site *site = find_site(p->space, at);
    site->length = (uint8_t)(SYSCALL_BYTES + length);
    memcpy(site->kept, text + NUMBER_BYTES, site->length);
    if (remote_poke(p->task, stub, &stub_text, sizeof stub_text) < 0 || write_jump(p, at, jump) < 0)
        return 0;
    p->tracer->counters.patched++;
    return stub + STUB_BACK;
}

/* The same for a site that was caught; 0: it is left alone, for good. */
static uint64_t change(struct patching *p, uint64_t at)
{
    uint8_t text[SITE_TEXT] = {0};
    long got = remote_read(p->task, at - NUMBER_BYTES, text, sizeof text);
    if (got < NUMBER_BYTES + SYSCALL_BYTES)
        return 0;
    unsigned length = displaced_length(text + NUMBER_BYTES + SYSCALL_BYTES, (unsigned)got - NUMBER_BYTES - SYSCALL_BYTES);
    if (!length || !may_be_changed(p, at, text) || !maps_is_text(p->task, at))
        return 0;
    uint64_t back = write_site(p, at, text, length);
    if (back && got == SITE_TEXT)
        memory_add(p->tracer, p->space, at, text);
    return back;
}

static bool has_stub(const struct patching *p, const struct site *site)
{
    uint64_t stub = site->back - STUB_BACK;
    for (uint32_t i = 0; i < p->space->area_count; i++)
        if (stub - p->space->areas[i].at < AREA_BYTES) {
            struct stub_text text = stub_for(stub, p->space->areas[i].at, site->at, site->kept + SYSCALL_BYTES,
                                             site->length - SYSCALL_BYTES);
            return is_there(p, stub, &text, sizeof text);
        }
    return false;
}

/* A site that has a stub was caught: by a thread that came before the jump did, or because the text is new again. */
static bool is_still_what_it_was(const struct patching *p, const struct site *site)
{
    uint8_t text[sizeof site->kept], jump[JUMP_BYTES];
    if (remote_read(p->task, site->at, text, site->length) != site->length)
        return false;
    jump_text(jump, site->at, site->back - STUB_BACK);
    if (!memcmp(text, jump, sizeof jump))
        return true;
    if (memcmp(text, site->kept, site->length) || !has_stub(p, site))
        return false;
    return can_be_written(p, site->at) ? write_jump(p, site->at, jump) == 0 : true;
}

/* The child of a fork executes: its maker has the same site, if it is still the same program. */
static void tell_maker(struct tracer *tracer, const struct task *child, uint64_t at)
{
    struct task *maker = task_of(tracer, child->maker);
    if (maker && maker->space && maker->space->entry == child->space->entry &&
        maker->space->program == child->space->program && !find_site(maker->space, at))
        maker->space->executes_at = at;
}

void patch_for_children(struct tracer *tracer, pid_t id)
{
    struct task *maker = task_of(tracer, id);
    struct space *space = maker ? maker->space : NULL;
    if (!space || !space->executes_at || tracer->strangers)
        return;
    uint64_t at = space->executes_at;
    struct user_regs_struct regs;
    struct patching p = {tracer, space, id, &regs, NULL};
    space->executes_at = 0;
    if (!area_for(&p, at) || ptrace(PTRACE_GETREGS, id, NULL, &regs) < 0 || regs.rip == at + SYSCALL_BYTES)
        return; /* no room, which cannot be had now; or the fork is made there too, and comes back to these bytes */
    struct site *site = patch_site(space, at);
    regs.orig_rax = SYS_execve; /* what is called there */
    if (site)
        site->back = change(&p, at);
}

uint64_t patch(struct tracer *tracer, pid_t id, struct user_regs_struct *regs, int *ended)
{
    struct task *task = task_of(tracer, id);
    uint64_t at = regs->rip - SYSCALL_BYTES;
    *ended = 0;
    if (!tracer->patching || !task || !task->space)
        return regs->rip;
    if ((regs->orig_rax == SYS_execve || regs->orig_rax == SYS_execveat) && task->space->sharers == 1) {
        tell_maker(tracer, task, at);
        return regs->rip; /* what would be changed is about to be gone */
    }
    struct patching p = {tracer, task->space, id, regs, ended};
    struct site *site = find_site(task->space, at);
    if (site && !site->back)
        return regs->rip;
    if (site && is_still_what_it_was(&p, site))
        return site->back;
    if (tracer->strangers || !(site = patch_site(task->space, at)))
        return regs->rip;
    site->back = change(&p, at);
    tracer->counters.unpatched += !site->back;
    return site->back ? site->back : regs->rip;
}

/* A fork of another thread has copied the site while it was being written.  The tracer has finished it in the original. */
static bool finish_copy(const struct patching *p, const struct site *site)
{
    uint8_t text[JUMP_BYTES], jump[JUMP_BYTES];
    jump_text(jump, site->at, site->back - STUB_BACK);
    return p->space->copied && remote_read(p->task, site->at, text, sizeof text) == sizeof text &&
           (!memcmp(text + 1, jump + 1, JUMP_BYTES - 1) || !memcmp(text + 1, site->kept + 1, JUMP_BYTES - 1)) &&
           write_jump(p, site->at, jump) == 0;
}

bool patch_breakpoint(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    struct site *site = task && task->space ? find_site(task->space, regs->rip - 1) : NULL;
    if (!site || !site->back)
        return false;
    struct patching p = {.tracer = tracer, .space = task->space, .task = id, .regs = regs};
    uint8_t now;
    if (remote_read(id, site->at, &now, 1) != 1 || (now == BREAKPOINT && !finish_copy(&p, site)))
        return false; /* the program's own */
    regs->rip = site->at;
    return true;
}

void patch_take_back(struct space *space, pid_t id, uint64_t area)
{
    for (uint32_t i = 0; i < space->site_count; i++) {
        struct site *site = &space->sites[i];
        uint8_t now[JUMP_BYTES], jump[JUMP_BYTES];
        if (site->back < area || site->back >= area + AREA_BYTES)
            continue;
        jump_text(jump, site->at, site->back - STUB_BACK);
        if (remote_read(id, site->at, now, sizeof now) == sizeof now && !memcmp(now, jump, sizeof now))
            remote_poke(id, site->at, site->kept, JUMP_BYTES);
        site->back = 0;
    }
}

bool patch_lost(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    struct space *space = task ? task->space : NULL;
    for (uint32_t i = 0; space && i < space->site_count; i++) {
        struct site *site = &space->sites[i];
        uint64_t stub = site->back - STUB_BACK;
        if (!site->back || (regs->rip != stub && regs->rip != site->back))
            continue;
        for (uint32_t j = 0; j < space->area_count; j++)
            if (site->back - space->areas[j].at < AREA_BYTES) {
                regs->rip = regs->rip == stub ? site->at : site->at + SYSCALL_BYTES;
                space->areas[j].used = AREA_BYTES; /* no more stubs there */
                patch_take_back(space, id, space->areas[j].at);
                return true;
            }
    }
    return false;
}
