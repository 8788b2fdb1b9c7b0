/* Reading and writing a tracee's memory, reading what /proc tells of it, and waiting for it alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core.h"

#define PAGE 4096UL
#define STAT_TEXT 1024 /* bytes of /proc/PID/stat: 52 numbers and a name */
#define POLLS 50  /* some 20 us, in which most calls are made */
#define PAUSE 50  /* microseconds between later looks */

/* Only a refusal is a reason to peek: that reads through pages which the program itself may not touch. */
static bool is_refused(ssize_t got)
{
    return got < 0 && errno != EFAULT;
}

/* PTRACE_PEEKDATA works where process_vm_readv does not: for tasks that changed their credentials (ptrace(2): the
 * tracer's rights count as they were when it attached). */
static long peek(pid_t task, uint64_t address, char *to, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        uint64_t start = (address + done) & ~7UL, skip = address + done - start;
        errno = 0;
        long word = ptrace(PTRACE_PEEKDATA, task, (void *)start, NULL);
        if (errno)
            return done ? (long)done : -EFAULT;
        size_t part = 8 - skip < bytes - done ? 8 - skip : bytes - done;
        memcpy(to + done, (char *)&word + skip, part);
        done += part;
    }
    return (long)done;
}

long remote_read(pid_t task, uint64_t address, void *to, size_t bytes)
{
    struct iovec local = {to, bytes}, remote = {(void *)address, bytes};
    ssize_t got = process_vm_readv(task, &local, 1, &remote, 1, 0);
    return is_refused(got) ? peek(task, address, to, bytes) : got < 0 ? -EFAULT : got;
}

/* A NUL-terminated text, page by page: the next page may be missing. */
long remote_text(pid_t task, uint64_t address, char *to, size_t limit)
{
    size_t have = 0;
    while (have < limit) {
        size_t room = PAGE - ((address + have) & (PAGE - 1));
        if (room > limit - have)
            room = limit - have;
        struct iovec local = {to + have, room}, remote = {(void *)(address + have), room};
        ssize_t got = process_vm_readv(task, &local, 1, &remote, 1, 0);
        if (is_refused(got))
            got = peek(task, address + have, to + have, room);
        if (got <= 0)
            return -EFAULT;
        char *nul = memchr(to + have, 0, (size_t)got);
        if (nul)
            return nul - to;
        have += (size_t)got;
    }
    return -ENAMETOOLONG;
}

int remote_write(pid_t task, uint64_t address, const void *from, size_t bytes)
{
    struct iovec local = {(void *)(uintptr_t)from, bytes}, remote = {(void *)address, bytes};
    ssize_t got = process_vm_writev(task, &local, 1, &remote, 1, 0);
    return got == (ssize_t)bytes ? 0 : remote_poke(task, address, from, bytes);
}

int remote_poke(pid_t task, uint64_t address, const void *from, size_t bytes)
{
    for (size_t done = 0; done < bytes; done += 8) {
        uint64_t word = 0;
        size_t part = bytes - done < 8 ? bytes - done : 8;
        if (part < 8 && remote_read(task, address + done, &word, 8) != 8)
            return -1;
        memcpy(&word, (const char *)from + done, part);
        if (ptrace(PTRACE_POKEDATA, task, (void *)(address + done), (void *)word) < 0)
            return -1;
    }
    return 0;
}

uint64_t number_in_status(pid_t task, const char *field, int base)
{
    char name[64], *line = NULL;
    size_t size = 0, length = strlen(field);
    uint64_t found = 0;
    snprintf(name, sizeof name, "/proc/%d/status", task);
    FILE *file = fopen(name, "re");
    while (file && getline(&line, &size, file) > 0)
        if (!strncmp(line, field, length) && line[length] == ':') {
            found = strtoull(line + length + 1, NULL, base);
            break;
        }
    free(line);
    if (file)
        fclose(file);
    return found;
}

/* A field of /proc/PID/stat, the third or a later one: the name before them may hold anything.  The text is the caller's. */
static const char *field_of_stat(pid_t task, int field, char (*text)[STAT_TEXT])
{
    snprintf(*text, sizeof *text, "/proc/%d/stat", task);
    FILE *file = fopen(*text, "re");
    size_t got = file ? fread(*text, 1, sizeof *text - 1, file) : 0;
    if (file)
        fclose(file);
    (*text)[got] = '\0';
    const char *at = strrchr(*text, ')'); /* the end of the second */
    for (int i = 2; at && i < field; i++)
        at = strchr(at + 1, ' ');
    return at ? at + 1 : "";
}

uint64_t number_in_stat(pid_t task, int field)
{
    char text[STAT_TEXT];
    return strtoull(field_of_stat(task, field, &text), NULL, 10);
}

char state_of(pid_t task)
{
    char text[STAT_TEXT], state = *field_of_stat(task, 3, &text);
    return state ? state : 'X';
}

bool is_alive(pid_t task)
{
    char state = state_of(task);
    return state != 'X' && state != 'Z';
}

bool wait_for(pid_t task, int *status)
{
    for (unsigned looks = 0;; looks++) {
        pid_t r = waitpid(task, status, __WALL | WNOHANG);
        if (r)
            return r == task;
        if (looks < POLLS)
            continue;
        if (!is_alive(task))
            return waitpid(task, status, __WALL | WNOHANG) == task;
        usleep(PAUSE);
    }
}
