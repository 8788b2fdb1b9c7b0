/* Patching: a call site that was caught once jumps to the runtime from then on.
 *
 * What makes it safe, whoever runs where (sites.h shows the two kinds).  In front of a call one instruction becomes one
 * jump: nobody can be inside of it, and the call and all behind it stay as they are, for threads that are in the kernel,
 * for those who jump to it, and for signal handlers that look where they have interrupted.  Where the call itself is
 * replaced, those who return or jump to the instruction behind it meet an int3, and the tracer sends them on to its copy.
 * While others run, int3 stands in all of these places before the rest is written, and all of it lies in one line of the
 * cache.  Code that a program makes for itself is not touched: it may rewrite it.  What is not known stays on the trap,
 * with the same answers.
 */
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include "patching.h"

static struct site *find_site(struct space *space, uint64_t at)
{
    for (uint32_t i = 0; i < space->site_count; i++)
        if (space->sites[i].at == at)
            return &space->sites[i];
    return NULL;
}

struct site *site_enter(struct space *space, uint64_t at)
{
    struct site *site = find_site(space, at);
    if (!site && space->site_count < SITE_LIMIT) {
        site = &space->sites[space->site_count++];
        site->at = at;
    }
    if (site)
        site->stub = 0;
    return site;
}

/* Where its calls return to. */
static uint64_t way_back(const struct site *site)
{
    return site->shape.front ? site->at + SYSCALL_BYTES : site->stub + STUB_BACK;
}

/* What an address in its stub stands for at the site itself; 0: it is not in it. */
static uint64_t at_site(const struct site *site, uint64_t address)
{
    uint64_t offset = address - site->stub;
    if (!site->stub || offset >= STUB_BYTES)
        return 0;
    if (site->shape.front)
        return offset < site->shape.front ? jump_of(site) + offset : site->at;
    return offset < STUB_BACK ? site->at : site->at + SYSCALL_BYTES + (offset - STUB_BACK);
}

static bool is_alone(const struct patching *p)
{
    return p->space->sharers == 1;
}

bool patch_is_safe(const struct patching *p, uint64_t jump)
{
    return is_alone(p) || in_one_line(jump);
}

/* Where others run: first int3 wherever one of them may come to an instruction, so that nobody meets half a jump. */
static int write_jump(const struct patching *p, const struct site *site)
{
    static const uint8_t breakpoint = BREAKPOINT;
    uint64_t at = jump_of(site);
    uint8_t jump[JUMP_BYTES];
    jump_text(jump, at, site->stub);
    if (is_alone(p))
        return remote_poke(p->task, at, jump, JUMP_BYTES);
    if (remote_poke(p->task, at, &breakpoint, 1) < 0)
        return -1;
    if (!site->shape.front && remote_poke(p->task, at + SYSCALL_BYTES, &breakpoint, 1) < 0)
        return -1;
    return remote_poke(p->task, at + 1, jump + 1, JUMP_BYTES - 1) < 0 ? -1 : remote_poke(p->task, at, jump, 1);
}

/* Where the jump will be; false: nothing is known of what stands there.  available: bytes of the text behind the call. */
static bool choose(const struct patching *p, struct site *site, const uint8_t *text, unsigned available)
{
    uint64_t stack[STACK_WORDS] = {0};
    remote_read(p->task, p->regs->rsp, stack, sizeof stack); /* it may end there */
    if (shape_in_front(&site->shape, text, p->regs->orig_rax, stack, is_alone(p) ? 0 : site->at))
        return true;
    return shape_behind(&site->shape, text, available) && patch_is_safe(p, site->at);
}

bool patch_write(struct patching *p, struct site *site, const uint8_t *text)
{
    memcpy(site->kept, text + LOOK_BEFORE - site->shape.front, kept_bytes(site->shape));
    if (stub_place(p, site) && (!stub_write(p, site) || write_jump(p, site) < 0))
        site->stub = 0;
    p->tracer->counters.patched += site->stub != 0;
    return site->stub != 0;
}

/* The same for a site that was caught; false: it is left alone, for good. */
static bool change(struct patching *p, struct site *site)
{
    uint8_t text[SITE_TEXT] = {0};
    struct text where;
    long got = remote_read(p->task, site->at - LOOK_BEFORE, text, sizeof text);
    if (got < SITE_BEHIND || !choose(p, site, text, (unsigned)got - SITE_BEHIND) ||
        !maps_text(p->task, jump_of(site), &where) || !patch_write(p, site, text))
        return false;
    memory_add(p->tracer, p->space, site, text);
    text_caught(p, &where, site, text);
    return true;
}

enum held { OTHER, ORIGINAL, TORN, WHOLE };

/* What stands at a site that has a stub.  Torn: a fork has copied it while it was being written. */
static enum held what_is_held(const struct space *space, pid_t id, const struct site *site)
{
    unsigned length = kept_bytes(site->shape);
    uint8_t now[MOST_KEPT], jump[JUMP_BYTES];
    if (remote_read(id, jump_of(site), now, length) != (long)length)
        return OTHER;
    jump_text(jump, jump_of(site), site->stub);
    if (!memcmp(now, jump, sizeof jump))
        return WHOLE;
    if (!memcmp(now, site->kept, length))
        return ORIGINAL;
    for (unsigned i = 1; i < JUMP_BYTES; i++)
        if (now[i] != jump[i] && now[i] != site->kept[i])
            return OTHER;
    return now[0] == BREAKPOINT && space->copied ? TORN : OTHER;
}

/* Is it still the site that the stub was made for?  Where the text is new, or a fork came before the end, what is missing
 * is written again: the stub too. */
static bool stands(const struct patching *p, const struct site *site)
{
    enum held held = what_is_held(p->space, p->task, site);
    if (held == OTHER || held == WHOLE)
        return held == WHOLE;
    return stub_write(p, site) && (!patch_is_safe(p, jump_of(site)) || write_jump(p, site) == 0);
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
    if (!space || !space->executes_at || !space->area_count || tracer->strangers)
        return; /* an area cannot be had now */
    struct user_regs_struct regs;
    struct patching p = {tracer, space, id, &regs, NULL};
    struct site *site = site_enter(space, space->executes_at);
    space->executes_at = 0;
    if (!site || ptrace(PTRACE_GETREGS, id, NULL, &regs) < 0)
        return;
    regs.orig_rax = SYS_execve; /* what is called there */
    change(&p, site);
}

uint64_t patch(struct tracer *tracer, pid_t id, struct user_regs_struct *regs, int *instead)
{
    struct task *task = task_of(tracer, id);
    uint64_t at = regs->rip - SYSCALL_BYTES;
    *instead = NO_STATUS;
    if (!tracer->patching || !task || !task->space)
        return 0;
    if ((regs->orig_rax == SYS_execve || regs->orig_rax == SYS_execveat) && task->space->sharers == 1 &&
        task->executes_at != at) {
        task->executes_at = at;
        tell_maker(tracer, task, at);
        return 0; /* what would be changed is about to be gone */
    }
    struct patching p = {tracer, task->space, id, regs, instead};
    struct site *site = find_site(task->space, at);
    if (site && !site->stub)
        return 0;
    if (site && stands(&p, site))
        return way_back(site);
    if (tracer->strangers || !(site = site_enter(task->space, at)))
        return 0;
    if (change(&p, site))
        return way_back(site);
    tracer->counters.unpatched++;
    return 0;
}

bool patch_breakpoint(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    struct space *space = task ? task->space : NULL;
    struct patching p = {.tracer = tracer, .space = space, .task = id};
    uint64_t at = regs->rip - 1;
    for (uint32_t i = 0; space && i < space->site_count; i++) {
        const struct site *site = &space->sites[i];
        bool behind = !site->shape.front && at == site->at + SYSCALL_BYTES;
        if (!site->stub || (at != jump_of(site) && !behind) || !stands(&p, site))
            continue; /* else it is a breakpoint of the program's own */
        regs->rip = behind ? way_back(site) : jump_of(site);
        return true;
    }
    return false;
}

void patch_take_back(struct space *space, pid_t id, struct area *area)
{
    memset(area->taken, -1, sizeof area->taken);
    for (uint32_t i = 0; i < space->site_count; i++) {
        struct site *site = &space->sites[i];
        if (site->stub - area->at >= AREA_BYTES)
            continue;
        enum held held = what_is_held(space, id, site);
        if (held == WHOLE || held == TORN)
            remote_poke(id, jump_of(site), site->kept, JUMP_BYTES);
        site->stub = 0;
    }
}

bool patch_lost(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    struct space *space = task ? task->space : NULL;
    for (uint32_t i = 0; space && i < space->site_count; i++) {
        uint64_t stub = space->sites[i].stub, instead = at_site(&space->sites[i], regs->rip);
        for (uint32_t j = 0; instead && j < space->area_count; j++)
            if (stub - space->areas[j].at < AREA_BYTES) {
                regs->rip = instead;
                patch_take_back(space, id, &space->areas[j]);
                return true;
            }
    }
    return false;
}

/* Where the runtime has not done anything yet, or will not, rcx tells the site. */
static uint64_t at_door(const struct tracer *tracer, const struct site *site, const struct user_regs_struct *regs)
{
    uint64_t offset = regs->rip - tracer->base;
    const struct image_head *head = tracer->head;
    bool enters = offset >= head->entry && offset <= head->begun, leaves = offset >= head->others && offset < head->mend;
    return (enters || leaves) && (regs->rcx == site->at || regs->rcx == way_back(site)) ? site->at : 0;
}

void patch_retreat(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    struct space *space = task ? task->space : NULL;
    for (uint32_t i = 0; space && i < space->site_count; i++) {
        const struct site *site = &space->sites[i];
        if (!site->stub || !site->shape.front)
            continue;
        uint64_t in_stub = at_site(site, regs->rip), instead = in_stub ? in_stub : at_door(tracer, site, regs);
        if (!instead)
            continue;
        regs->rip = instead;
        ptrace(PTRACE_SETREGS, id, NULL, regs);
        return;
    }
}
