/* From an upcall stop to a question in the queue. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include "../../vfs/index/lookup.h"
#include "../runtime/rows.h"
#include "core.h"

struct question *question_new(void)
{
    struct question *question = calloc(1, sizeof(struct question));
    if (question)
        question->socket = -1;
    return question;
}

void question_free(struct question *question)
{
    if (!question)
        return;
    free(question->path[0]);
    free(question->path[1]);
    free(question->start[0]);
    free(question->start[1]);
    free(question->argv);
    if (question->socket >= 0)
        close(question->socket);
    free(question);
}

void question_push(struct tracer *tracer, struct question *question)
{
    question->next = NULL;
    pthread_mutex_lock(&tracer->lock);
    *tracer->tail_of_queue = question;
    tracer->tail_of_queue = &question->next;
    pthread_cond_signal(&tracer->ready);
    pthread_mutex_unlock(&tracer->lock);
}

struct question *question_pop(struct tracer *tracer)
{
    pthread_mutex_lock(&tracer->lock);
    while (!tracer->head_of_queue && !tracer->closed)
        pthread_cond_wait(&tracer->ready, &tracer->lock);
    struct question *question = tracer->head_of_queue;
    if (question) {
        tracer->head_of_queue = question->next;
        if (!tracer->head_of_queue)
            tracer->tail_of_queue = &tracer->head_of_queue;
    }
    pthread_mutex_unlock(&tracer->lock);
    return question;
}

void questions_close(struct tracer *tracer)
{
    pthread_mutex_lock(&tracer->lock);
    tracer->closed = true;
    pthread_cond_broadcast(&tracer->ready);
    pthread_mutex_unlock(&tracer->lock);
}

static struct slot *slot_at(const struct tracer *tracer, uint32_t number)
{
    return (struct slot *)((char *)tracer->index + tracer->index->slots_at + (uint64_t)number * SLOT_BYTES);
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    return hash_word(hash, hash_text(data, size));
}

/* What the answer depends on: equal for a call that is made again after a signal.  Where its paths lie does not count. */
static uint64_t fingerprint(const struct question *question)
{
    const struct row *row = row_of(question->number);
    const char *texts[4] = {question->path[0], question->path[1], question->start[0], question->start[1]};
    uint64_t hash = hash_bytes(HASH_START, &question->why, sizeof question->why);
    hash = hash_bytes(hash, &question->number, sizeof question->number);
    hash = hash_bytes(hash, question->base, sizeof question->base);
    for (uint32_t i = 0; i < 6; i++)
        if (!row || (i != row->path && i != row->second_path))
            hash = hash_bytes(hash, &question->arguments[i], sizeof question->arguments[i]);
    for (int i = 0; i < 4; i++) /* the NUL too, and a mark for none */
        hash = texts[i] ? hash_bytes(hash, texts[i], strlen(texts[i]) + 1) : hash_word(hash, 1);
    return question->argv ? hash_bytes(hash, question->argv, question->argv_count * 8UL) : hash;
}

/* The unanswered mailbox at which the same task asked the same before a signal took it away: it waits there again, so
 * that a stalled fetch and a program full of alarms do not use up the server.  -1: there is none. */
static int64_t asked_before(const struct tracer *tracer, pid_t task, uint64_t print, uint32_t *word)
{
    for (uint32_t number = 0; number < SLOT_COUNT; number++) {
        if (tracer->asked[number].task != task || tracer->asked[number].print != print)
            continue;
        *word = __atomic_load_n(&slot_at(tracer, number)->word, __ATOMIC_ACQUIRE);
        if (!(*word & 1))
            return number;
    }
    return -1;
}

/* A mailbox nobody waits at.  Words are odd once answered; a slot is given away only then, round robin, so that the
 * last reader has long gone (and would notice: the word has moved on). */
static struct slot *take_slot(struct tracer *tracer, uint32_t *number)
{
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        *number = (tracer->next_slot + i) % SLOT_COUNT;
        struct slot *slot = slot_at(tracer, *number);
        if (__atomic_load_n(&slot->word, __ATOMIC_ACQUIRE) & 1) {
            tracer->next_slot = (*number + 1) % SLOT_COUNT;
            return slot;
        }
    }
    return NULL;
}

static long copy_text(pid_t task, uint64_t address, char **to)
{
    char buffer[TEXT_LIMIT];
    if (!address)
        return 0;
    long length = remote_text(task, address, buffer, sizeof buffer);
    if (length < 0)
        return length;
    *to = strdup(buffer);
    return *to ? 0 : -ENOMEM;
}

/* The path inside of a socket's address, which ends where that does (unix(7)). */
static long copy_address(pid_t task, uint64_t path, uint64_t address_length, char **to)
{
    char buffer[sizeof(((struct sockaddr_un *)0)->sun_path) + 1] = "";
    size_t length = (uint32_t)address_length - offsetof(struct sockaddr_un, sun_path);
    if (length >= sizeof buffer || remote_read(task, path, buffer, length) != (long)length)
        return -EFAULT;
    *to = strdup(buffer);
    return *to ? 0 : -ENOMEM;
}

/* argv's pointers, without the NULL at the end. */
static long copy_argv(pid_t task, uint64_t address, struct question *question)
{
    uint32_t room = 64;
    if (!address)
        return 0;
    for (;;) {
        uint64_t *bigger = realloc(question->argv, (size_t)room * 8);
        if (!bigger)
            return -ENOMEM;
        question->argv = bigger;
        while (question->argv_count < room) {
            uint64_t *next = &bigger[question->argv_count];
            if (remote_read(task, address + question->argv_count * 8UL, next, 8) != 8)
                return -EFAULT;
            if (!*next)
                return 0;
            question->argv_count++;
        }
        if (room >= ARGV_LIMIT)
            return -E2BIG;
        room *= 2;
    }
}

/* What readlink says of a directory that has no name any more: a stand-in too, by whose name in /proc the server knows it. */
#define LOST " (deleted)"

/* The host directory that a relative path starts from.  The link is read here, in the stop, with the tracer's rights. */
static void copy_start(pid_t task, const struct row *row, struct question *question, int which)
{
    char name[64], target[TEXT_LIMIT];
    uint32_t place = which ? row->second_dirfd : row->dirfd;
    int dirfd = place < 6 ? (int)question->arguments[place] : AT_FDCWD;
    bool in_root = question->why >> 16 & RESOLVE_IN_ROOT; /* then an absolute path starts there as well */
    const char *path = question->path[which];
    if (!path || (path[0] == '/' && !in_root) || question->base[which])
        return;
    if (dirfd == AT_FDCWD)
        snprintf(name, sizeof name, "/proc/%d/cwd", task);
    else
        snprintf(name, sizeof name, "/proc/%d/fd/%d", task, dirfd);
    ssize_t length = readlink(name, target, sizeof target - sizeof LOST);
    if (length <= 0)
        return;
    target[length] = 0;
    bool lost = length >= (ssize_t)strlen(LOST) && !strcmp(target + length - strlen(LOST), LOST);
    question->start[which] = strdup(lost ? name : target);
}

/* The other end of the socket that the task waits at. */
static long take_socket(struct tracer *tracer, pid_t task, struct question *question)
{
    question->socket = gift_take(task, (int)question->base[1]);
    if (question->socket >= 0)
        return 0;
    snprintf(tracer->failure, sizeof tracer->failure, "process %d cannot be handed files: %s", task,
             strerror(-question->socket));
    return -EIO;
}

static long fill(pid_t task, struct question *question)
{
    const struct row *row = row_of(question->number);
    if (!row)
        return -ENOSYS;
    uint32_t places[2] = {row->path, row->second_path};
    if (row->handler == DO_address) {
        long r = copy_address(task, question->arguments[1], question->arguments[2], &question->path[0]);
        copy_start(task, row, question, 0);
        return r;
    }
    for (int i = (question->why >> 8 & 0xff) == THE_BASE_ITSELF; i < 2; i++) {
        long r = places[i] < 6 ? copy_text(task, question->arguments[places[i]], &question->path[i]) : 0;
        if (r < 0)
            return r;
    }
    copy_start(task, row, question, 0);
    copy_start(task, row, question, 1); /* the second is no path where it comes below */
    if (row->handler == DO_execve || row->handler == DO_execveat)
        return copy_argv(task, question->arguments[row->path + 1], question);
    if (row->handler >= DO_getxattr && row->handler <= DO_fgetxattr)
        return copy_text(task, question->arguments[1], &question->path[1]);
    if (row->handler == DO_getxattrat)
        return copy_text(task, question->arguments[3], &question->path[1]);
    return 0;
}

static void upcall_refuse(struct user_regs_struct *regs, int64_t code)
{
    regs->orig_rax = (uint64_t)-1;
    regs->rax = (uint64_t)code;
    regs->r8 = (uint64_t)-1;
    regs->r14 = UPCALL_TAKEN;
}

/* The stopped call becomes futex(FUTEX_WAIT): a signal that is pending already ends or restarts it as the kernel does. */
static void wait_instead(const struct tracer *tracer, struct user_regs_struct *regs, uint32_t slot, uint32_t word)
{
    regs->orig_rax = SYS_futex;
    regs->rdi = tracer->base + IMAGE_SPAN + tracer->index->slots_at + (uint64_t)slot * SLOT_BYTES +
                offsetof(struct slot, word);
    regs->rsi = FUTEX_WAIT;
    regs->rdx = word;
    regs->r10 = 0;
    regs->r8 = (uint64_t)word << 32 | slot;
    regs->r14 = UPCALL_TAKEN;
}

enum { WAITS_AGAIN = 0, ASKED = 1 };

/* ASKED: the question is the queue's now; WAITS_AGAIN: it was there already; negative errno: no mailbox is free. */
static long ask_or_wait_again(struct tracer *tracer, struct user_regs_struct *regs, struct question *question)
{
    uint64_t print = fingerprint(question);
    uint32_t word;
    int64_t former = question->socket < 0 ? asked_before(tracer, question->task, print, &word) : -1;
    if (former >= 0) {
        wait_instead(tracer, regs, (uint32_t)former, word);
        return WAITS_AGAIN;
    }
    struct slot *slot = take_slot(tracer, &question->slot);
    if (!slot)
        return -EAGAIN;
    word = __atomic_load_n(&slot->word, __ATOMIC_RELAXED) + 1;
    word &= 0x7fffffffU; /* the ticket must stay positive */
    __atomic_store_n(&slot->word, word, __ATOMIC_RELEASE);
    tracer->asked[question->slot] = (struct asked){question->task, print};
    wait_instead(tracer, regs, question->slot, word);
    tracer->counters.upcalls++;
    question_push(tracer, question);
    return ASKED;
}

/* The call that executes is made of the stopped one; whether it succeeds is seen at the next event. */
static void execute(struct tracer *tracer, pid_t id, struct user_regs_struct *regs)
{
    struct task *task = task_of(tracer, id);
    uint64_t index = tracer->base + IMAGE_SPAN;
    if (task)
        task->fame = regs->rbx == (uint64_t)-1 ? (struct fame){0} : (struct fame){index + regs->r12, index + regs->r13};
    regs->orig_rax = regs->rbx;
    regs->rax = 0;
}

void upcall(struct tracer *tracer, pid_t task, struct user_regs_struct *regs)
{
    if ((regs->r14 & 0xff) == REASON_EXECUTE) {
        execute(tracer, task, regs);
        return;
    }
    if ((regs->r14 & 0xff) == REASON_LISTED) {
        __atomic_or_fetch(&tracer->index->flags, HEADER_ROOT_LISTED, __ATOMIC_RELEASE); /* nobody takes it back */
        upcall_refuse(regs, 0);
        return;
    }
    struct question *question = question_new();
    if (!question) {
        upcall_refuse(regs, -ENOMEM);
        return;
    }
    *question = (struct question){
        .task = task,
        .why = regs->r14,
        .number = regs->rbx,
        .arguments = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9},
        .base = {regs->r12, regs->r13},
        .socket = -1,
    };
    uint64_t reason = question->why & 0xff;
    long r = reason == REASON_GIVE || reason == REASON_SHOW ? take_socket(tracer, task, question) : fill(task, question);
    if (r == 0)
        r = ask_or_wait_again(tracer, regs, question);
    if (r != ASKED)
        question_free(question);
    if (r < 0)
        upcall_refuse(regs, r);
}
