/* From PTRACE_EVENT_EXEC to the first instruction of a new program: the runtime is mapped into it.
 *
 * Nobody waits here: a step sets registers and lets the task go on, the loop comes back at its next stop.  At the event
 * the registers are those of the new program already; only execve's own result (0 in rax) is still to come.  A routine
 * is written over the first instructions: it opens the image, maps it, and jumps to the image's bootstrap, which maps
 * the index and lets the program begin: the event was the only stop (the filter lets the open through).  What the tracer
 * has to do itself ends in the reserved system call, which always stops.  A new program has no handlers, so signals act
 * as always: they end it, stop it, or do nothing.
 *
 *     event: routine written -> the program begins
 *     its page can be written to, or stubs cannot be mapped: a second stop, and there all is made as it was
 *     not to be opened by name: socketpair, recvmsg, close, close (gift.c), then it goes on with mapping
 *     no descriptor or no room left: the limit is raised (limits.c), then the same once more
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include "../../vfs/index/lookup.h"
#include "inject.h"

/* The routine.  rax: SYS_open, by its own first instruction; rdi, rsi, rdx: its arguments; r8: SYS_mmap; r10, r9, and
 * rbx, rbp for the first two: arguments of that; r12: where to go on when it is mapped; r13: UPCALL_NUMBER.  At the end
 * r8 is what open said, r13 what the last call said.
 * ..._map is entered with a descriptor in rax, ..._call with a number in rax and arguments in their places. */
extern const unsigned char hepwrap_routine[], hepwrap_routine_map[], hepwrap_routine_call[], hepwrap_routine_out[],
    hepwrap_routine_end[];
__asm__(".section .rodata\n"
        ".globl hepwrap_routine, hepwrap_routine_map, hepwrap_routine_call, hepwrap_routine_out, hepwrap_routine_end\n"
        ".hidden hepwrap_routine, hepwrap_routine_map, hepwrap_routine_call, hepwrap_routine_out, hepwrap_routine_end\n"
        "hepwrap_routine:\n"
        "    mov $2, %eax\n"
        "    syscall\n"
        "hepwrap_routine_map:\n"
        "    xchg %rax, %r8\n"
        "    test %r8, %r8\n"
        "    js hepwrap_routine_out\n"
        "    mov %rbx, %rdi\n"
        "    mov %rbp, %rsi\n"
        "    xor %edx, %edx\n"
        "    mov $5, %dl\n" /* PROT_READ | PROT_EXEC */
        "hepwrap_routine_call:\n"
        "    syscall\n"
        "    cmp %rdi, %rax\n"
        "    jne hepwrap_routine_out\n"
        "    jmp *%r12\n"
        "hepwrap_routine_out:\n"
        "    xchg %rax, %r13\n"
        "    syscall\n"
        "    int3\n" /* only where a filter of the program's own has kept that call from us */
        "hepwrap_routine_end:\n"
        "    .quad 0\n"
        ".text\n");
#define ROUTINE_BYTES ((size_t)(hepwrap_routine_end - hepwrap_routine))
#define TEXT_BYTES ((ROUTINE_BYTES + 7) & ~7UL) /* whole words: there are zeros behind it */
#define AT_LABEL(in, label) ((in)->place + (uint64_t)((label) - hepwrap_routine))
#define USER32_CS 0x23
#define PAGE 4096UL

/* What a reader can do about it. */
static const char *advice(int64_t code)
{
    switch (code) {
    case -EMFILE:
        return "leave it a descriptor below its ulimit -n";
    case -ENOMEM:
        return "raise its ulimit -v";
    case -ENOSYS:
        return "that needs Linux 5.6; start it outside, or with its own hepwrap";
    default:
        return "start it outside, or with its own hepwrap";
    }
}

/* Whoever has been killed meanwhile failed at everything, and of that there is nothing to say. */
static bool is_gone(const struct injection *in)
{
    struct user_regs_struct regs;
    return ptrace(PTRACE_GETREGS, in->owner->id, NULL, &regs) < 0;
}

bool inject_refuse(struct injection *in, const char *what, int64_t code)
{
    if (is_gone(in))
        return true;
    snprintf(in->tracer->failure, sizeof in->tracer->failure, "process %d cannot be served: %s: %s; %s", in->owner->id,
             what, strerror((int)-code), advice(code));
    return false;
}

/* All that a program is given is its stack pointer; anything else, should a kernel give it one day, we put there. */
static bool begins_with_nothing(const struct user_regs_struct *r)
{
    return !(r->rbx | r->rcx | r->rdx | r->rsi | r->rdi | r->rbp | r->r8 | r->r9 | r->r10 | r->r11 | r->r12 | r->r13 |
             r->r14 | r->r15);
}

/* Where setting registers fails the task has been killed, which the loop will hear. */
static bool set(struct injection *in, struct user_regs_struct *regs)
{
    regs->orig_rax = (uint64_t)-1; /* the call that has stopped is not made, and none is restarted */
    ptrace(PTRACE_SETREGS, in->owner->id, NULL, regs);
    return true;
}

bool inject_call(struct injection *in, then_do *then, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct user_regs_struct regs = in->saved;
    in->then = then;
    regs.rip = AT_LABEL(in, hepwrap_routine_call);
    regs.rax = number;
    regs.rdi = a;
    regs.rsi = b;
    regs.rdx = c;
    regs.r10 = d;
    regs.r12 = AT_LABEL(in, hepwrap_routine_out);
    regs.r13 = UPCALL_NUMBER;
    return set(in, &regs);
}

int64_t inject_result(const struct user_regs_struct *regs)
{
    return (int64_t)regs->r13;
}

/* Registers for mapping, whatever comes before. */
static struct user_regs_struct ready_to_map(const struct injection *in)
{
    struct user_regs_struct regs = in->saved;
    regs.rdx = PROT_READ; /* of the index */
    regs.r10 = MAP_PRIVATE | MAP_FIXED_NOREPLACE; /* of the image: its last page becomes the process's own (runtime/own.h) */
    regs.r8 = SYS_mmap;
    regs.r9 = 0;
    regs.rbx = in->tracer->base;
    regs.rbp = IMAGE_SPAN;
    regs.r12 = in->tracer->base + in->tracer->head->bootstrap;
    regs.r13 = UPCALL_NUMBER;
    regs.r14 = in->window;
    regs.r15 = in->fame.comm;
    return regs;
}

/* The stack of a new program (System V ABI): argc, argv, 0, environment, 0, then pairs of type and value. */
static void set_execfn(const struct injection *in)
{
    uint64_t words[128], at = in->saved.rsp + 8;
    long count;
    for (int zeros = 0; (count = remote_read(in->owner->id, at, words, sizeof words) / 8) > 1;) {
        long i = 0;
        while (zeros < 2 && i < count)
            zeros += !words[i++];
        for (; zeros == 2 && i + 1 < count; i += 2) {
            if (words[i] == AT_EXECFN)
                remote_poke(in->owner->id, at + 8 * (uint64_t)i + 8, &in->fame.execfn, 8);
            if (words[i] == AT_EXECFN || words[i] == AT_NULL)
                return;
        }
        at += 8 * (uint64_t)i;
    }
}

/* Everything as the kernel had made it. */
static void restore(struct injection *in)
{
    remote_poke(in->owner->id, in->place, in->kept, TEXT_BYTES);
    limits_restore(in);
    in->saved.rax = 0;
    set(in, &in->saved);
    inject_free(in->owner);
}

static bool in_image(const struct injection *in, const struct user_regs_struct *regs)
{
    return regs->rip - in->tracer->base < in->tracer->head->size;
}

static bool map_index(struct injection *in)
{
    struct user_regs_struct regs = ready_to_map(in);
    regs.rip = regs.r12;
    regs.r8 = (uint64_t)in->fd;
    return set(in, &regs);
}

/* The stubs cannot be mapped: sites are caught as they come. */
static void unprepare(const struct injection *in)
{
    struct space *space = in->owner->space;
    patch_take_back(space, in->owner->id, &space->areas[0]);
    space->site_count = space->area_count = 0;
}

/* The bootstrap has ended, or the image could not be mapped. */
static bool mapped(struct injection *in, const struct user_regs_struct *regs)
{
    bool image = in_image(in, regs);
    int64_t code = image ? (int64_t)regs->r12 : inject_result(regs);
    if (image && code >= 0) {
        if (in->prepared.area && regs->r14 != in->prepared.area)
            unprepare(in);
        restore(in);
        return true;
    }
    if (code >= 0)
        code = -EEXIST; /* a kernel before 4.17 takes MAP_FIXED_NOREPLACE for a wish */
    if (code != -ENOMEM || !(limits_raise_space(in, IMAGE_SPAN + in->window) || limits_narrow_window(in)))
        return inject_refuse(in, image ? "mapping the index" : "mapping the runtime", code);
    in->fd = (int64_t)regs->r8;
    return image ? map_index(in) : inject_map(in);
}

bool inject_map(struct injection *in)
{
    struct user_regs_struct regs = ready_to_map(in);
    in->then = mapped;
    regs.rip = AT_LABEL(in, hepwrap_routine_map);
    regs.rax = (uint64_t)in->fd;
    return set(in, &regs);
}

/* What lies below the new program's stack pointer, where nothing is yet: see protocol.h. */
struct below {
    char image[BELOW_IMAGE - BELOW_STUBS];
    char stubs[BELOW_STUBS - BELOW_AREA - 8];
    uint64_t unused, area, offset, entry;
};
_Static_assert(sizeof(struct below) == BELOW_IMAGE && BELOW_IMAGE - offsetof(struct below, stubs) == BELOW_STUBS &&
                   BELOW_IMAGE - offsetof(struct below, area) == BELOW_AREA &&
                   BELOW_IMAGE - offsetof(struct below, offset) == BELOW_OFFSET &&
                   BELOW_IMAGE - offsetof(struct below, entry) == BELOW_ENTRY, "as protocol.h has it");

static struct user_regs_struct ready_to_open(const struct injection *in)
{
    struct user_regs_struct regs = ready_to_map(in);
    regs.rip = in->place;
    regs.rdi = in->saved.rsp - BELOW_IMAGE;
    regs.rsi = O_RDONLY | O_CLOEXEC;
    regs.rdx = UPCALL_NUMBER; /* for the filter */
    regs.r14 |= in->prepared.area ? WANT_AREA : 0;
    regs.r14 |= begins_with_nothing(&in->saved) && !in->descriptors_raised ? ALONE : 0;
    return regs;
}

static bool opened_and_mapped(struct injection *in, const struct user_regs_struct *regs)
{
    in->fd = (int64_t)regs->r8;
    if (in_image(in, regs) || in->fd >= 0)
        return mapped(in, regs);
    if (in->fd == -EMFILE && limits_raise_descriptors(in)) {
        struct user_regs_struct again = ready_to_open(in);
        return set(in, &again);
    }
    if (in->fd == -EMFILE || in->fd == -ENFILE || in->fd == -ENOMEM)
        return inject_refuse(in, "opening the runtime", in->fd);
    return gift_begin(in);
}

/* Writes the routine where the program begins, or a little before: it must not reach into the next page.  Where nothing
 * can be executed there the program's own first step is a fault, which it will have. */
static bool write_routine(struct injection *in)
{
    uint64_t last = (in->saved.rip & ~(PAGE - 1)) + PAGE - sizeof in->kept;
    pid_t task = in->owner->id;
    in->place = in->saved.rip < last ? in->saved.rip : last;
    return remote_read(task, in->place, in->kept, sizeof in->kept) == sizeof in->kept &&
           remote_poke(task, in->place, hepwrap_routine, TEXT_BYTES) == 0;
}

static bool write_below(const struct injection *in)
{
    struct below below = {.entry = in->saved.rip, .area = in->prepared.area, .offset = in->prepared.offset};
    if (in->certain) /* else the name may lead to anything: no name, and it comes by socket */
        snprintf(below.image, sizeof below.image, "/proc/%u/fd/%d", in->tracer->index->server, in->tracer->image_fd);
    snprintf(below.stubs, sizeof below.stubs, "/proc/%u/fd/%d", in->tracer->index->server, in->tracer->stubs_fd);
    return remote_write(in->owner->id, in->saved.rsp - sizeof below, &below, sizeof below) == 0;
}

/* What a program is called that nobody has said that of: 0, as the kernel says, unless it is one of ours.  Then it goes
 * by the name that it was first called by, and of that the end is the task's. */
static struct fame first_name(const struct tracer *tracer, const struct stat *program)
{
    const struct inode *inode =
        find_standin(tracer->index, program->st_dev, program->st_ino, (u32)program->st_nlink, program->st_mtime);
    uint64_t offset = inode ? LOAD(inode->link_at) : 0, base = tracer->base + IMAGE_SPAN + offset;
    if (!offset)
        return (struct fame){0};
    const char *name = at(tracer->index, offset), *slash = strrchr(name, '/');
    return (struct fame){base, slash ? base + (uint64_t)(slash + 1 - name) : base};
}

bool inject_begin(struct tracer *tracer, struct task *task, const struct stat *program)
{
    struct injection *in = calloc(1, sizeof *in);
    inject_free(task);
    task->injection = in;
    if (!in)
        return false;
    *in = (struct injection){.tracer = tracer, .owner = task, .fame = task->fame, .then = opened_and_mapped};
    in->window = __atomic_load_n(&tracer->index->window, __ATOMIC_ACQUIRE);
    if (!in->fame.execfn)
        in->fame = first_name(tracer, program);
    task->fame = (struct fame){0};
    if (ptrace(PTRACE_GETREGS, task->id, NULL, &in->saved) < 0)
        return true; /* killed */
    if (in->saved.cs == USER32_CS)
        return inject_refuse(in, "it is a 32-bit program", -ENOEXEC);
    if (!write_routine(in)) {
        uint64_t argc;
        if (remote_read(task->id, in->saved.rsp, &argc, sizeof argc) != sizeof argc)
            return inject_refuse(in, "reading and writing its memory", -EACCES);
        inject_free(task); /* it begins where it has no memory */
        return true;
    }
    if (in->fame.execfn)
        set_execfn(in);
    size_t skip = in->saved.rip - in->place;
    uint64_t key = memory_key(in->kept + skip, sizeof in->kept - skip);
    in->certain = names_are_certain(tracer, task->id);
    in->prepared = prepare(tracer, task, in->saved.rip, key, in->certain);
    if (!write_below(in))
        return inject_refuse(in, "writing to its stack", -EFAULT);
    struct user_regs_struct regs = ready_to_open(in);
    return set(in, &regs);
}

static bool in_bootstrap(const struct injection *in, uint64_t address)
{
    const struct image_head *head = in->tracer->head;
    return address - in->tracer->base >= head->bootstrap && address - in->tracer->base < head->code;
}

bool inject_is_at(struct task *task, const struct user_regs_struct *regs)
{
    struct injection *in = task->injection;
    if (regs->orig_rax == UPCALL_NUMBER &&
        (regs->rip == AT_LABEL(in, hepwrap_routine_end) - 1 || in_bootstrap(in, regs->rip)))
        return true;
    inject_free(task); /* the program has begun */
    return false;
}

bool inject_stopped(struct task *task, const struct user_regs_struct *regs)
{
    return task->injection->then(task->injection, regs);
}

/* Once the program has begun there are other bytes where the routine was. */
bool inject_has_fault(struct task *task)
{
    struct injection *in = task->injection;
    struct user_regs_struct regs;
    unsigned char now[PAGE];
    if (ptrace(PTRACE_GETREGS, task->id, NULL, &regs) == 0 &&
        (in_bootstrap(in, regs.rip) ||
         (regs.rip - in->place < ROUTINE_BYTES &&
          remote_read(task->id, in->place, now, ROUTINE_BYTES) == (long)ROUTINE_BYTES &&
          !memcmp(now, hepwrap_routine, ROUTINE_BYTES))))
        return true;
    inject_free(task);
    return false;
}

bool inject_fault(struct task *task)
{
    struct injection *in = task->injection;
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, task->id, NULL, &regs) < 0)
        return true;
    if (regs.rip != in->place)
        return inject_refuse(in, "its first steps (has it a seccomp filter of its own?)", -EACCES);
    restore(in); /* its own first step would have been a fault too */
    return true;
}

void inject_free(struct task *task)
{
    free(task->injection);
    task->injection = NULL;
}
