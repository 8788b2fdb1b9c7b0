/* Mapping the runtime into a program that has just been executed.
 *
 * At PTRACE_EVENT_EXEC the task is still inside execve: it is first run to the end of that call.  Then `syscall` is
 * written over the first instruction of the program, the image is opened and mapped with it, and the bytes are restored.
 * From there the runtime's own bootstrap maps the index.  Signals are blocked meanwhile.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core.h"

#define SCRATCH 256 /* bytes borrowed from the new program's stack: argc, argv, environment and more lie there */
#define SYSCALL_STOP (SIGTRAP | 0x80)

struct injection {
    struct tracer *tracer;
    pid_t task;
    struct user_regs_struct saved;
    struct fame fame;
    int stopped_by; /* SIGSTOP that arrived meanwhile, to be delivered afterwards */
};

/* Waits for the next stop of this one task; everything else stays in the kernel's queue.  -1: it is gone. */
static int next_stop(struct injection *in, int *status)
{
    for (;;) {
        pid_t r = waitpid(in->task, status, __WALL);
        if (r < 0 && errno == EINTR)
            continue;
        return r == in->task && WIFSTOPPED(*status) ? 0 : -1;
    }
}

static int resume(struct injection *in, enum __ptrace_request how)
{
    return (int)ptrace(how, in->task, NULL, NULL);
}

/* Lets the task go on until `wanted` says so; passes seccomp stops through. */
static int run_until(struct injection *in, enum __ptrace_request how, int wanted)
{
    int status;
    for (;;) {
        if (resume(in, how) < 0 || next_stop(in, &status) < 0)
            return -1;
        int event = status >> 16, signal = WSTOPSIG(status);
        if (!event && signal == wanted)
            return 0;
        if (event == PTRACE_EVENT_EXIT)
            return -1;
        if (!event && (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE))
            return -1; /* a program that we do not understand: it would fault for ever */
        if (!event && signal == SIGSTOP)
            in->stopped_by = SIGSTOP;
    }
}

/* One system call in the task through the `syscall; int3` at its entry point. */
static int64_t call(struct injection *in, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    struct user_regs_struct regs = in->saved;
    regs.rax = number;
    regs.orig_rax = (uint64_t)-1; /* not inside a call: nothing to restart */
    regs.rdi = a;
    regs.rsi = b;
    regs.rdx = c;
    regs.r10 = d;
    regs.r8 = e;
    regs.r9 = f;
    if (ptrace(PTRACE_SETREGS, in->task, NULL, &regs) < 0 || run_until(in, PTRACE_CONT, SIGTRAP) < 0 ||
        ptrace(PTRACE_GETREGS, in->task, NULL, &regs) < 0)
        return -ESRCH;
    return (int64_t)regs.rax;
}

static int64_t open_by_name(struct injection *in)
{
    char name[64] = {0};
    snprintf(name, sizeof name, "/proc/%u/fd/%d", in->tracer->index->server, in->tracer->image_fd);
    if (remote_poke(in->task, in->saved.rsp, name, sizeof name) < 0)
        return -EFAULT;
    return call(in, SYS_open, in->saved.rsp, O_RDONLY | O_CLOEXEC, 0, 0, 0, 0);
}

/* What recvmsg needs, as it will lie in the task's memory. */
struct parcel {
    struct msghdr message;
    struct iovec part;
    struct { uint64_t length; int32_t level, type, fd, pad; } rights;
    char byte[8];
};
_Static_assert(sizeof(struct parcel) <= SCRATCH, "the parcel fits into what is borrowed");

static int64_t receive_image(struct injection *in, int64_t socket)
{
    uint64_t place = in->saved.rsp;
    if (remote_poke(in->task, place, in->tracer->address, sizeof in->tracer->address) < 0)
        return -EFAULT;
    int64_t r = call(in, SYS_connect, (uint64_t)socket, place, in->tracer->address_length, 0, 0, 0);
    if (r == 0)
        r = gift_send(in->tracer, in->task);
    if (r < 0)
        return r;
    struct parcel parcel = {.rights = {.fd = -1}};
    parcel.message.msg_iov = (struct iovec *)(place + offsetof(struct parcel, part));
    parcel.message.msg_iovlen = 1;
    parcel.message.msg_control = (void *)(place + offsetof(struct parcel, rights));
    parcel.message.msg_controllen = sizeof parcel.rights;
    parcel.part = (struct iovec){(void *)(place + offsetof(struct parcel, byte)), 1};
    if (remote_poke(in->task, place, &parcel, sizeof parcel) < 0)
        return -EFAULT;
    r = call(in, SYS_recvmsg, (uint64_t)socket, place, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0, 0, 0);
    if (r < 0 || remote_read(in->task, place, &parcel, sizeof parcel) != sizeof parcel)
        return r < 0 ? r : -EFAULT;
    return parcel.rights.fd < 0 ? -EBADF : parcel.rights.fd;
}

static int64_t open_by_socket(struct injection *in)
{
    int64_t socket = call(in, SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (socket < 0)
        return socket;
    int64_t fd = receive_image(in, socket);
    call(in, SYS_close, (uint64_t)socket, 0, 0, 0, 0, 0);
    return fd;
}

/* By name where /proc lets us, else by socket. */
static int64_t open_image(struct injection *in)
{
    char kept[SCRATCH];
    if (remote_read(in->task, in->saved.rsp, kept, sizeof kept) != sizeof kept)
        return -EFAULT;
    int64_t fd = open_by_name(in);
    if (fd == -EACCES || fd == -ENOENT || fd == -EPERM || fd == -ENOTDIR)
        fd = open_by_socket(in);
    remote_poke(in->task, in->saved.rsp, kept, sizeof kept);
    return fd;
}

static int64_t map_image(struct injection *in, int64_t fd)
{
    return call(in, SYS_mmap, in->tracer->base, IMAGE_SPAN, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE,
                (uint64_t)fd, 0);
}

/* The rest in one go inside the image: the index, closing the descriptor, the task's name. */
static int64_t bootstrap(struct injection *in, int64_t fd, uint64_t name)
{
    struct user_regs_struct regs = in->saved;
    regs.orig_rax = (uint64_t)-1;
    regs.rip = in->tracer->base + in->tracer->head->bootstrap;
    regs.rdi = in->tracer->base + IMAGE_SPAN;
    regs.rsi = in->tracer->window;
    regs.rdx = PROT_READ;
    regs.r10 = MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE;
    regs.r8 = (uint64_t)fd;
    regs.r9 = IMAGE_SPAN;
    regs.rbx = (uint64_t)fd;
    regs.rbp = name;
    if (ptrace(PTRACE_SETREGS, in->task, NULL, &regs) < 0 || run_until(in, PTRACE_CONT, SIGTRAP) < 0 ||
        ptrace(PTRACE_GETREGS, in->task, NULL, &regs) < 0)
        return -ESRCH;
    return (int64_t)regs.r12;
}

static int refuse(struct injection *in, const char *what, int64_t code)
{
    if (code == -ESRCH)
        return -1;
    snprintf(in->tracer->failure, sizeof in->tracer->failure, "process %d cannot be served: %s: %s; start it outside, or with its own hepwrap", in->task, what,
             strerror((int)-code));
    return -1;
}

/* The stack of a new program (System V ABI): argc, argv, 0, environment, 0, then pairs of type and value. */
static void set_execfn(struct injection *in, uint64_t address)
{
    uint64_t at = in->saved.rsp, word[2];
    if (remote_read(in->task, at, word, 8) != 8)
        return;
    at += 8 * (word[0] + 2);
    do {
        if (remote_read(in->task, at, word, 8) != 8)
            return;
        at += 8;
    } while (word[0]);
    for (; remote_read(in->task, at, word, 16) == 16 && word[0] != AT_NULL; at += 16)
        if (word[0] == AT_EXECFN)
            remote_poke(in->task, at + 8, &address, 8);
}

static int inject(struct injection *in)
{
    static const unsigned char trap[8] = {0x0f, 0x05, 0xcc}; /* syscall; int3 */
    unsigned char kept[8];
    if (remote_read(in->task, in->saved.rip, kept, sizeof kept) != sizeof kept ||
        remote_poke(in->task, in->saved.rip, trap, sizeof trap) < 0)
        return refuse(in, "its first instruction", -EFAULT);
    int64_t fd = open_image(in);
    if (fd < 0)
        return refuse(in, "opening the runtime", fd);
    int64_t image = map_image(in, fd);
    if (remote_poke(in->task, in->saved.rip, kept, sizeof kept) < 0)
        return -1;
    if (image < 0)
        return refuse(in, "mapping the runtime", image);
    if (in->fame.execfn)
        set_execfn(in, in->fame.execfn);
    int64_t index = bootstrap(in, fd, in->fame.comm);
    return index < 0 ? refuse(in, "mapping the index", index) : 0;
}

int inject_runtime(struct tracer *tracer, pid_t task, struct fame fame)
{
    struct injection in = {.tracer = tracer, .task = task, .fame = fame};
    uint64_t mask, blocked = ~((1UL << (SIGTRAP - 1)) | (1UL << (SIGKILL - 1)) | (1UL << (SIGSTOP - 1)));
    if (run_until(&in, PTRACE_SYSCALL, SYSCALL_STOP) < 0 ||
        ptrace(PTRACE_GETREGS, task, NULL, &in.saved) < 0 ||
        ptrace(PTRACE_GETSIGMASK, task, sizeof mask, &mask) < 0 ||
        ptrace(PTRACE_SETSIGMASK, task, sizeof blocked, &blocked) < 0)
        return -1;
    int r = inject(&in);
    if (r == 0 && (ptrace(PTRACE_SETREGS, task, NULL, &in.saved) < 0 ||
                   ptrace(PTRACE_SETSIGMASK, task, sizeof mask, &mask) < 0))
        r = -1;
    if (r == 0 && in.stopped_by)
        syscall(SYS_tgkill, task, task, in.stopped_by);
    return r;
}
