/* The seccomp filter, made from syscalls.def.
 *
 * Order: architecture, then a binary search on the number (kernels before 5.11 run the filter on every call), then the
 * instruction pointer: what the runtime itself calls is allowed.  Never killed: calls that cannot be served say ENOSYS.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "../runtime/rows.h"
#include "core.h"

#define HIGHEST_AUDITED 469 /* file_setattr, Linux 6.17 */
#define X32_BIT 0x40000000U
#define MAX_CODE 1024
#define OFFSET(field) ((uint32_t)offsetof(struct seccomp_data, field))

enum action { CATCH, ALLOW, OPEN, REFUSE, CLONE, SIGNAL, KEEP, MOVE, PLACE, WANDER, REQUEST, LISTENER, HIDE };

/* What the filter is told of a launch: where the runtime lies, its bytes, and a descriptor of ours in every program, or
 * -1. */
struct ground {
    uint64_t base, bytes;
    int64_t directory;
};

struct code {
    struct sock_filter at[MAX_CODE];
    unsigned length;
};

static void emit(struct code *code, uint16_t op, uint8_t yes, uint8_t no, uint32_t k)
{
    code->at[code->length++] = (struct sock_filter){op, yes, no, k};
}
#define LOAD_WORD(code, offset) emit(code, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset)
#define RETURN(code, value) emit(code, BPF_RET | BPF_K, 0, 0, value)
#define SKIP_UNLESS(code, test, value, count) emit(code, BPF_JMP | (test) | BPF_K, 0, count, value)
#define SKIP_IF(code, test, value, count) emit(code, BPF_JMP | (test) | BPF_K, count, 0, value)

/* By treatment; what is not here is about paths or descriptors. */
static const enum action by_treatment[HANDLER_COUNT] = {
    [DO_nothing] = ALLOW, [DO_pass] = ALLOW, [DO_enosys] = REFUSE, [DO_keep] = KEEP,
    [DO_mounts] = WANDER, [DO_wander] = WANDER, [DO_unshare] = WANDER, [DO_clone] = CLONE,
    [DO_rt_sigaction] = SIGNAL, [DO_seccomp] = LISTENER, [DO_hide] = HIDE,
};

/* Where the treatment does not say what is to be looked at. */
static const enum action by_number[HIGHEST_AUDITED + 1] = {
    [SYS_open] = OPEN, [SYS_ioctl] = REQUEST, [SYS_mremap] = MOVE, [SYS_mmap] = PLACE,
};

static enum action action_of(uint32_t number)
{
    const struct row *row = row_of(number);
    if (!row)
        return ALLOW;
    return by_number[number] ? by_number[number] : by_treatment[row->handler];
}

/* `error` where that argument is an address in the 4 GiB in which nothing but ours lies.  The runtime may do it. */
#define KEEP_LENGTH 5
static void emit_keep(struct code *code, unsigned argument, uint32_t error, const struct ground *ground)
{
    LOAD_WORD(code, OFFSET(args) + argument * 8 + 4);
    SKIP_UNLESS(code, BPF_JEQ, (uint32_t)(ground->base >> 32), 3);
    LOAD_WORD(code, OFFSET(instruction_pointer) + 4); /* the runtime's own page is made writable by itself */
    SKIP_IF(code, BPF_JEQ, (uint32_t)(ground->base >> 32), 1);
    RETURN(code, SECCOMP_RET_ERRNO | error);
}

/* What to do once the number is known; every branch returns. */
static void emit_action(struct code *code, enum action action, const struct ground *ground)
{
    switch (action) {
    case ALLOW:
        RETURN(code, SECCOMP_RET_ALLOW);
        return;
    case REFUSE:
        RETURN(code, SECCOMP_RET_ERRNO | ENOSYS);
        return;
    case CLONE:
        LOAD_WORD(code, OFFSET(args[0]));
        SKIP_UNLESS(code, BPF_JSET, CLONE_UNTRACED | CLONE_NEWNS | CLONE_NEWPID, 1);
        RETURN(code, SECCOMP_RET_TRACE);
        emit(code, BPF_ALU | BPF_AND | BPF_K, 0, 0, CLONE_FS | CLONE_THREAD); /* a fork has neither, a thread both */
        SKIP_IF(code, BPF_JEQ, CLONE_FS, 1);
        SKIP_UNLESS(code, BPF_JEQ, CLONE_THREAD, 1);
        RETURN(code, SECCOMP_RET_TRACE);
        RETURN(code, SECCOMP_RET_ALLOW);
        return;
    case WANDER: /* the runtime's own are seen too */
        RETURN(code, SECCOMP_RET_TRACE);
        return;
    case SIGNAL: /* the runtime's own are caught too */
        LOAD_WORD(code, OFFSET(args[0]));
        SKIP_IF(code, BPF_JEQ, SIGSEGV, 2);
        SKIP_IF(code, BPF_JEQ, SIGBUS, 1);
        RETURN(code, SECCOMP_RET_ALLOW);
        LOAD_WORD(code, OFFSET(args[1]));
        SKIP_UNLESS(code, BPF_JEQ, 0, 3); /* who only asks changes nothing */
        LOAD_WORD(code, OFFSET(args[1]) + 4);
        SKIP_UNLESS(code, BPF_JEQ, 0, 1);
        RETURN(code, SECCOMP_RET_ALLOW);
        RETURN(code, SECCOMP_RET_TRACE);
        return;
    case LISTENER:
        LOAD_WORD(code, OFFSET(args[1]));
        SKIP_UNLESS(code, BPF_JSET, SECCOMP_FILTER_FLAG_NEW_LISTENER, 1);
        RETURN(code, SECCOMP_RET_TRACE);
        RETURN(code, SECCOMP_RET_ALLOW);
        return;
    case KEEP: /* whoever unmaps what he does not know is told that it is done */
        emit_keep(code, 0, 0, ground);
        RETURN(code, SECCOMP_RET_ALLOW);
        return;
    case MOVE: /* ours stays where it is, and nothing comes in its place */
        emit_keep(code, 0, ENOMEM, ground);
        LOAD_WORD(code, OFFSET(args[3]));
        SKIP_UNLESS(code, BPF_JSET, MREMAP_FIXED, KEEP_LENGTH);
        emit_keep(code, 4, ENOMEM, ground);
        RETURN(code, SECCOMP_RET_ALLOW);
        return;
    case PLACE: /* all others go where there is room */
        LOAD_WORD(code, OFFSET(args[3]));
        SKIP_UNLESS(code, BPF_JSET, MAP_FIXED, KEEP_LENGTH);
        emit_keep(code, 0, ENOMEM, ground);
        RETURN(code, SECCOMP_RET_ALLOW);
        return;
    case OPEN: /* the injection's own, which no program makes: its mode means nothing to the kernel */
        LOAD_WORD(code, OFFSET(args[2]));
        SKIP_UNLESS(code, BPF_JEQ, UPCALL_NUMBER, 1);
        RETURN(code, SECCOMP_RET_ALLOW);
        emit_action(code, CATCH, ground);
        return;
    case HIDE: /* who looks through all numbers comes to this one; whether it is still ours only the runtime can tell */
        if (ground->directory < 0) {
            RETURN(code, SECCOMP_RET_ALLOW);
            return;
        }
        LOAD_WORD(code, OFFSET(args[0]));
        SKIP_IF(code, BPF_JEQ, (uint32_t)ground->directory, 1);
        RETURN(code, SECCOMP_RET_ALLOW);
        emit_action(code, CATCH, ground);
        return;
    case REQUEST: /* those of a file's attributes; all others are about other things */
        LOAD_WORD(code, OFFSET(args[1]));
        SKIP_IF(code, BPF_JEQ, FS_IOC_SETFLAGS, 2);
        SKIP_IF(code, BPF_JEQ, FS_IOC_FSSETXATTR, 1);
        RETURN(code, SECCOMP_RET_ALLOW);
        emit_action(code, CATCH, ground);
        return;
    case CATCH: /* base is aligned to 4 GiB and the image is small: one half decides the page, the other the place */
        LOAD_WORD(code, OFFSET(instruction_pointer) + 4);
        SKIP_UNLESS(code, BPF_JEQ, (uint32_t)(ground->base >> 32), 3);
        LOAD_WORD(code, OFFSET(instruction_pointer));
        SKIP_IF(code, BPF_JGT, (uint32_t)ground->bytes, 1);
        RETURN(code, SECCOMP_RET_ALLOW);
        RETURN(code, SECCOMP_RET_TRACE);
        return;
    }
}

struct range {
    uint32_t first; /* this action from here up to the next range */
    enum action action;
};

static unsigned make_ranges(struct range *ranges)
{
    unsigned count = 0;
    for (uint32_t number = 0; number <= HIGHEST_AUDITED; number++)
        if (!count || ranges[count - 1].action != action_of(number))
            ranges[count++] = (struct range){number, action_of(number)};
    ranges[count++] = (struct range){HIGHEST_AUDITED + 1, REFUSE};
    return count;
}

/* A binary search over ranges, the number in the accumulator; jumps of more than 255 go by an absolute jump. */
static void emit_search(struct code *code, const struct range *ranges, unsigned count, const struct ground *ground)
{
    if (count == 1) {
        emit_action(code, ranges[0].action, ground);
        return;
    }
    unsigned half = count / 2;
    emit(code, BPF_JMP | BPF_JGE | BPF_K, 0, 1, ranges[half].first);
    unsigned jump = code->length;
    emit(code, BPF_JMP | BPF_JA, 0, 0, 0);
    emit_search(code, ranges, half, ground);
    code->at[jump].k = code->length - jump - 1;
    emit_search(code, ranges + half, count - half, ground);
}

static int make_filter(struct code *code, const struct ground *ground)
{
    struct range ranges[HIGHEST_AUDITED + 2];
    code->length = 0;
    LOAD_WORD(code, OFFSET(arch));
    SKIP_IF(code, BPF_JEQ, AUDIT_ARCH_X86_64, 1);
    RETURN(code, SECCOMP_RET_ERRNO | ENOSYS);
    LOAD_WORD(code, OFFSET(nr));
    SKIP_UNLESS(code, BPF_JEQ, UPCALL_NUMBER, 1);
    RETURN(code, SECCOMP_RET_TRACE);
    SKIP_UNLESS(code, BPF_JSET, X32_BIT, 1);
    RETURN(code, SECCOMP_RET_ERRNO | ENOSYS);
    emit_search(code, ranges, make_ranges(ranges), ground);
    return code->length < MAX_CODE ? 0 : -1;
}

int install_filter(uint64_t base, uint64_t image_bytes, int64_t directory)
{
    const struct ground ground = {base, image_bytes, directory};
    struct code *code = malloc(sizeof *code);
    if (!code || make_filter(code, &ground) < 0) {
        free(code);
        errno = ENOMEM;
        return -1;
    }
    struct sock_fprog program = {(unsigned short)code->length, code->at};
    long r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!r) /* without SPEC_ALLOW a kernel before 5.16 slows all computation; before 4.17 it does not know the flag */
        r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
    if (r < 0 && errno == EINVAL)
        r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    int saved = errno;
    free(code);
    errno = saved;
    return (int)r;
}
