/* The tracer: follows a process tree, sends caught system calls into the runtime, carries questions to Python.
 *
 * Owns ptrace.  Has no file-system meaning at all.  Everything that calls ptrace runs in one thread (ptrace(2): a tracee
 * belongs to a thread); questions leave by a queue and are answered through the mailboxes of the index, without ptrace.
 */
#ifndef HEPWRAP_CORE_H
#define HEPWRAP_CORE_H
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/user.h>
#include "../../vfs/index/layout.h"
#include "../runtime/protocol.h"
#include "sites.h"

#define TEXT_LIMIT 4096
#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
#define ARGV_LIMIT (1U << 20) /* pointers: more than the kernel takes (MAX_ARG_STRINGS is larger, memory is not) */

/* One caught call that the runtime could not answer. */
struct question {
    struct question *next;
    pid_t task;
    uint32_t slot;
    uint64_t why;       /* reason, follow and flags as protocol.h packs them */
    uint64_t number, arguments[6], base[2];
    char *path[2];      /* NUL-terminated copies; NULL: the call has no such path, or the pointer is NULL */
    char *start[2];     /* where relative paths on the host start: the link in /proc, or NULL */
    uint64_t *argv;     /* argv pointers of an exec, argv_count of them */
    uint32_t argv_count;
    int socket;         /* ours, through which a descriptor is to be sent; -1: none */
};

/* Counters; written by the tracer's thread only, read by anyone. */
#define COUNTERS(X) X(stops) X(redirects) X(upcalls) X(execs) X(tasks) X(faults) X(signals) X(lost) X(patched) X(known) X(unpatched) X(lent) X(directed)
struct counters {
#define DECLARE(name) uint64_t name;
    COUNTERS(DECLARE)
#undef DECLARE
};

#define KNOWN_SITES 32
#define PROGRAM_LIMIT 32
#define TEXT_BUCKETS 256
#define PROGRAM_REACH (16L << 20)
#define LEAST_KNOWN 24          /* bytes at the entry that tell one program from another */

/* What was patched in code that was seen before: in programs that begin alike, or in a file's text as one program maps it. */
struct known_code {
    uint64_t key;               /* hash of their first instructions, or of the two files; 0: none */
    uint64_t slot;              /* of the file of stubs, counted from 1; 0: none yet, or a file's text */
    int64_t distance;           /* from the first instruction to where that slot is mapped */
    uint32_t times, count;      /* execs, or address spaces in which a site of that text was caught */
    struct known_site {
        int64_t distance;       /* from the first instruction, or from the beginning of the text */
        uint32_t caught;        /* in how many of the times */
        uint32_t stub;          /* place in the slot; 0, which is the gate's: none yet */
        struct shape shape;
        uint8_t text[SITE_TEXT];
    } sites[KNOWN_SITES];
};

#define SITE_LIMIT 256
#define AREA_LIMIT 8
#define STUB_LIMIT (AREA_BYTES / STUB_BYTES) /* the gate has the first place */

/* A call site that was caught, in one address space. */
struct site {
    uint64_t at;                /* of the syscall instruction */
    uint64_t stub;              /* where its jump leads; 0: it is left alone */
    struct shape shape;
    uint8_t kept[MOST_KEPT];    /* what stood at the jump, which has replaced JUMP_BYTES of it */
};

/* Shared by CLONE_VM: one address space, and what was changed in it.  A copy goes to a fork, as the memory does. */
struct space {
    uint32_t sharers;
    bool copied;                /* by a fork, perhaps while a site was being written */
    uint32_t site_count, area_count;
    uint64_t program, entry;    /* key of its struct known_code, and its first instruction; 0: not known */
    uint64_t executes_at;       /* site at which a fork's child was caught executing; 0: none, or it has been looked at */
    struct area {               /* of stubs, the gate in front */
        uint64_t at;
        uint64_t taken[STUB_LIMIT / 64]; /* bits: places */
    } areas[AREA_LIMIT];
    struct site sites[SITE_LIMIT];
};

enum { DEFAULT = 0, IGNORED = 1 }; /* SIG_DFL and SIG_IGN as numbers */
#define SIGNAL_BIT(signal) (1UL << ((signal) - 1)) /* in masks of the kernel's */
#define FAULT_SIGNALS 2

/* What a program has set for a signal that bad pointers raise. */
struct disposition {
    uint64_t handler;           /* its sa_handler */
    bool once;                  /* SA_RESETHAND */
    bool unknown;               /* a handler that was set before we could see it */
};

/* Shared by CLONE_SIGHAND: dispositions of signals. */
struct handlers {
    uint32_t sharers;
    struct disposition of[FAULT_SIGNALS];
};

/* Shared by CLONE_THREAD. */
struct process {
    uint32_t sharers;           /* threads that have not passed their exit */
    pid_t leader;
    bool first;                 /* the command's */
    bool threaded;              /* there were several at some time */
};

/* What a task is to be called after the exec that it makes: addresses in the index, 0: as the kernel says. */
struct fame {
    uint64_t execfn, comm;
};

#define TASK_BUCKETS 1024
struct task {
    struct task *next;          /* in its bucket */
    pid_t id;
    bool parked;                /* stopped until its maker's event arrives */
    bool ended;                 /* without that event, which is still to come */
    bool only;                  /* past its exit: the one thread of its process */
    pid_t doubted;              /* parked: the parent that was told to stop, to show whether it is the maker */
    pid_t maker;                /* 0: the first, or unknown */
    bool tells_exit;            /* it stops at its exit: options are inherited with ptrace(2), and go with a thread that executes */
    struct space *space;        /* NULL, as the two below: parked, past its exit, or no memory */
    struct handlers *handlers;
    struct process *process;
    struct fame fame;           /* of the plan that it is executing */
    uint64_t executes_at;       /* the site where it executed: in vain, if it comes there again; 0: none */
    struct injection *injection; /* from an exec to the program's first instruction, or to the first stop after it */
    struct redirected {         /* the last call that came by a trap: stack pointer, way back, signal mask */
        uint64_t stack, back, mask;
    } last;
    struct loan *loan;          /* NULL: it is not lent */
    struct directed *directed;  /* signals that another thread of its process had got */
    struct passed {             /* where it was when a signal was passed on to it in the runtime; zeros: elsewhere */
        uint64_t at, stack;
    } passed;
};

/* A task that another one of the job is about to trace, or traces. */
struct loan {
    enum { WANTED, LENT, RETURNING } state;
    pid_t holder;               /* the thread that is its tracer */
    uint64_t started;           /* start time of the task, which tells it from another with its number */
    long request;               /* PTRACE_ATTACH or PTRACE_SEIZE; 0: another way */
    bool was_stopped;           /* by a signal, with its process */
    bool held;                  /* in the runtime, and what follows is not in its registers */
    struct user_regs_struct regs;
    uint64_t mask;
};

/* What somebody is told once in a job. */
enum telling { TELL_TRACEME, TELL_RUNS, TELL_LOST, TELL_YAMA, TELL_LISTENER, TELL_SETID, TELL_NUMBERS };

struct tracer {
    struct header *index;
    uint64_t base;              /* address of the image in every program */
    const struct image_head *head;
    int image_fd;
    pid_t first;                /* the command's process; 0 once it has ended */
    int first_status;
    bool first_told;            /* at_first_exit has been called */
    bool first_unclear;         /* its leader has ended, perhaps without it */
    struct counters counters;
    uint32_t next_slot;
    struct asked {              /* by slot: who asked what; only while the slot's word is even */
        pid_t task;
        uint64_t print;
    } asked[SLOT_COUNT];
    pthread_mutex_t lock;       /* of the queue, below everything else */
    pthread_cond_t ready;
    struct question *head_of_queue, **tail_of_queue;
    bool closed;
    void (*at_first_exit)(struct tracer *); /* once, if it can be while the first process still has its descriptors */
    void (*tell)(struct tracer *, enum telling, pid_t who, pid_t whom);
    uint32_t told;              /* bits: enum telling */
    char failure[256];          /* why a program could not be served; "" */
    struct task *tasks[TASK_BUCKETS];
    uint32_t parked;            /* tasks among them that are */
    bool new_parked;            /* of some of them nobody has asked yet who shall announce them */
    bool doubts;                /* some of them doubt their parent */
    bool strangers;             /* there was a task of which we do not know whose memory it shares: nothing is patched any more */
    bool lost_home;             /* names may mean other things to everybody */
    bool patching;
    struct known_code programs[PROGRAM_LIMIT];
    uint32_t next_program;
    struct known_code *texts[TEXT_BUCKETS]; /* by key: the last one of each bucket */
    int stubs_fd;               /* the file of stubs, all of it writable at `stubs` */
    uint8_t *stubs;
    uint64_t slots_used;
};

static inline bool in_runtime(const struct tracer *tracer, uint64_t address)
{
    return address >= tracer->base && address < tracer->base + tracer->head->size;
}

/* filter.c */
int install_filter(uint64_t base, uint64_t image_bytes, int64_t directory);

/* remote.c */
long remote_text(pid_t task, uint64_t address, char *to, size_t limit); /* bytes without NUL, -errno */
long remote_read(pid_t task, uint64_t address, void *to, size_t bytes);
int remote_poke(pid_t task, uint64_t address, const void *from, size_t bytes); /* also where the task may not write */
int remote_write(pid_t task, uint64_t address, const void *from, size_t bytes); /* cheaper, where it may */
uint64_t number_in_status(pid_t task, const char *field, int base); /* of /proc/PID/status; 0 where there is none */
#define STAT_START_TIME 22 /* fields of /proc/PID/stat (proc_pid_stat(5)): in ticks (10 ms) since the boot */
#define STAT_MEMORY 23 /* bytes of its address space */
#define STAT_START_OF_STACK 28
uint64_t number_in_stat(pid_t task, int field);                     /* 0 where there is none, or it is hidden */
char state_of(pid_t task);                                          /* as ps(1) shows it; 'X' where there is none */
bool is_alive(pid_t task);                                          /* not a zombie, either */
/* The next stop of that task alone, or its end; false: it is dead, and cannot be waited for.  The end of who leads a process
 * is told once its other threads have been waited for (delay_group_leader() of the kernel), which is up to us. */
bool wait_for(pid_t task, int *status);
#define NO_STATUS (-1) /* where a wait status could stand: nothing came.  0 is one, of who has ended with exit code 0 */

/* questions.c */
struct question *question_new(void);
void question_free(struct question *question);
void question_push(struct tracer *tracer, struct question *question);
struct question *question_pop(struct tracer *tracer); /* waits; NULL once closed */
void questions_close(struct tracer *tracer);
/* Handles an upcall stop: changes the registers as protocol.h says. */
void upcall(struct tracer *tracer, pid_t task, struct user_regs_struct *regs);

/* inject.c: maps the runtime into a new program.  false: it cannot be served, tracer->failure says why. */
bool inject_begin(struct tracer *tracer, struct task *task, const struct stat *program); /* at PTRACE_EVENT_EXEC */
/* At a seccomp stop: is it one of ours, before the program has begun? */
bool inject_is_at(struct task *task, const struct user_regs_struct *regs);
bool inject_stopped(struct task *task, const struct user_regs_struct *regs); /* at such a stop */
bool inject_has_fault(struct task *task); /* at a fault: has it come before the program? */
bool inject_fault(struct task *task); /* at such a one, which is delivered */
void inject_free(struct task *task);

/* private_mount.c: two descriptors of its directory, and one of its namespace, or -1.  0, or a negative errno. */
struct private_mount {
    int writable, readable, namespace;
};
int private_mount(const char *options, struct private_mount *made);

/* whereabouts.c */
bool names_are_certain(const struct tracer *tracer, pid_t task); /* does /proc/<server>/fd/N lead it to us? */
void wanders(struct tracer *tracer, pid_t task, uint64_t number); /* is about to make a call that may change that */

bool has_our_numbers(pid_t task); /* does a number mean to it what it means to us? */

/* lending.c, and handover.c below it */
/* A call of ptrace, at its stop: true, and the task stays as it is, or has gone on; false: go on with these registers. */
bool lending_call(struct tracer *tracer, pid_t task, struct user_regs_struct *regs);
bool lending_stopped(struct tracer *tracer, pid_t task, bool by_group); /* PTRACE_EVENT_STOP: true, that was for lending it */
void lending_reminds(struct tracer *tracer, pid_t task); /* after a stop: any clears the one that was asked for */
void lending_executed(struct tracer *tracer, pid_t former, pid_t id); /* before task_executed */
void lending_ended(struct tracer *tracer, pid_t task);

void tell(struct tracer *tracer, enum telling what, pid_t who, pid_t whom);

bool gains_nothing(pid_t task, const struct stat *program); /* setid.c: from its file's mode, as it would natively */

/* gift.c: a copy of a descriptor of that task, or a negative errno. */
int gift_take(pid_t task, int fd);

/* tasks.c */
struct task *task_of(struct tracer *tracer, pid_t id); /* NULL: never seen */
struct task *task_begins(struct tracer *tracer, pid_t id); /* a task that shares nothing; NULL: no memory */
bool task_appears(struct tracer *tracer, pid_t id); /* its first stop; false: it must stay stopped until task_made says so */
pid_t task_made(struct tracer *tracer, pid_t maker); /* fork, vfork or clone event; a parked task to be let go, or 0 */
struct task *task_executed(struct tracer *tracer, pid_t former, pid_t id); /* all its own now; handlers are a copy */
bool task_leaves(struct tracer *tracer, pid_t id); /* exit event: the program's code is over; true: the first process's */
bool task_ended(struct tracer *tracer, pid_t id, int status); /* true: it may have been killed while it made a task */
void task_is_strange(struct tracer *tracer, struct task *task); /* parked, and let go unannounced: nothing is known of it */
void tasks_free(struct tracer *tracer);

/* memory.c */
uint64_t memory_key(const uint8_t *first, size_t bytes); /* 0: too few to tell */
struct known_code *memory_of_program(struct tracer *tracer, uint64_t key); /* at an exec, which is counted; NULL: key 0 */
struct known_code *memory_of_text(struct tracer *tracer, uint64_t key); /* NULL: no memory */
void memory_free(struct tracer *tracer);
/* Was caught in a program, in a text.  text: SITE_TEXT bytes around it. */
void memory_add(struct tracer *tracer, const struct space *space, const struct site *site, const uint8_t *text);
void memory_add_to(struct known_code *code, int64_t distance, struct shape shape, const uint8_t *text);
bool memory_pays(const struct known_code *code, const struct known_site *site);

/* maps.c: code of a file, mapped for this address space alone, that the program may not write to. */
struct text {
    uint64_t start, end, offset, device, inode;
};
bool maps_text(pid_t task, uint64_t address, struct text *text); /* false: it is no such code */

/* parked.c: a task to be let go, or 0; call them again until they say 0. */
pid_t parked_orphan(struct tracer *tracer); /* one that nobody will announce */
pid_t parked_cleared(struct tracer *tracer, pid_t stopped); /* after any stop: one that was not made by this task */

/* patch.c: of a task in a seccomp stop, where its call returns to if the site is patched, maybe now, else 0.  *instead: a
 * wait status that came instead of what was waited for, which the loop has yet to handle, or NO_STATUS. */
uint64_t patch(struct tracer *tracer, pid_t task, struct user_regs_struct *regs, int *instead);
/* At the event of a fork: the site at which children of that task execute is changed, for those to come. */
void patch_for_children(struct tracer *tracer, pid_t maker);
/* The area is gone, or was never there: its sites become again what they were, and it gets no more stubs. */
void patch_take_back(struct space *space, pid_t task, struct area *area);
/* SIGTRAP at a site that was being patched, or behind its call: true, and rip is where to go on. */
bool patch_breakpoint(struct tracer *tracer, pid_t task, struct user_regs_struct *regs);
/* SIGSEGV in a stub that the program has unmapped: true, the site is as it was, and rip is there. */
bool patch_lost(struct tracer *tracer, pid_t task, struct user_regs_struct *regs);
/* Before a signal is delivered: a call that has not begun yet is at its site again, where a handler expects it. */
void patch_retreat(struct tracer *tracer, pid_t task, struct user_regs_struct *regs);

/* prepared.c: at an exec, the sites that are known of the program.  Their jumps are written; what must be mapped where, 0:
 * nothing.  certain: names lead it to us. */
struct prepared {
    uint64_t area, offset;      /* AREA_BYTES of the file of stubs */
};
bool prepared_open(struct tracer *tracer);
void prepared_close(struct tracer *tracer);
struct prepared prepare(struct tracer *tracer, struct task *task, uint64_t entry, uint64_t key, bool certain);

/* dispositions.c */
struct disposition *disposition_of(struct handlers *handlers, int signal); /* NULL: not remembered */
void dispositions_look(struct handlers *handlers, pid_t task); /* of a task whose past we have not seen */
void dispositions_executed(struct handlers *handlers); /* what an exec makes of them */
void disposition_delivered(struct tracer *tracer, pid_t task, int signal); /* its handler is about to be called */
void on_sigaction(struct tracer *tracer, pid_t task, struct user_regs_struct *regs); /* a caught one, to its end */

/* faults.c */
void redirected(struct tracer *tracer, pid_t task, const struct user_regs_struct *regs); /* regs as the trap found them */
void signal_passed(struct tracer *tracer, pid_t task, const struct user_regs_struct *regs); /* any, before it is delivered */
#define SENT_BY_SOMEBODY(code) ((code) <= 0) /* si_code: kill, tgkill, sigqueue ... (sigaction(2)) */
bool fault_in_runtime(struct tracer *tracer, pid_t task, int signal); /* true: it was one, and the task goes on */

/* calls.c: at the seccomp stop of a call that is the program's own, or the runtime's. */
void call_caught(struct tracer *tracer, pid_t task, struct user_regs_struct *regs);

/* directed.c */
/* At the stop for a signal: true, it is its process's, and on its way to the leader; this task shall not get it. */
bool directed_elsewhere(struct tracer *tracer, pid_t task, int signal);
void directed_arrives(struct tracer *tracer, pid_t task, int signal); /* at such a stop, first: told as its sender's */
void directed_free(struct task *task);

/* loop.c */
int tracer_attach(struct tracer *tracer, pid_t first);
bool loop_seize(struct tracer *tracer, pid_t task);
void loop_handle(struct tracer *tracer, pid_t task, int status); /* what a wait has brought */
void tracer_run(struct tracer *tracer);

#endif
