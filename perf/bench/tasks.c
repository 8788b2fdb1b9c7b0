/* Rows about processes, threads and signals, and the one that runs a whole command. */
#include "bench.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *program;

static long a_program(const struct row *row)
{
    program = below(top_of(row), row->path);
    return 1;
}

static long nothing(const struct row *row)
{
    (void)row;
    return 1;
}

static int end_of(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static uint64_t exec_once(long i, int thorough)
{
    pid_t child = (pid_t)must(fork(), "fork", program);
    (void)i;
    (void)thorough;
    if (child == 0) {
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    return (uint64_t)end_of(child);
}

static void *pass_through(void *argument)
{
    return argument;
}

static uint64_t thread_once(long i, int thorough)
{
    pthread_t thread;
    void *result = NULL;
    (void)thorough;
    errno = pthread_create(&thread, NULL, pass_through, (void *)(i + 1));
    if (errno)
        fail("pthread_create", "");
    pthread_join(thread, &result);
    return (uint64_t)(uintptr_t)result;
}

static volatile sig_atomic_t caught;

static void catch(int number)
{
    caught = number;
}

static long a_handler(const struct row *row)
{
    struct sigaction action = {.sa_handler = catch};
    (void)row;
    must(sigaction(SIGUSR1, &action, NULL), "sigaction", "");
    return 1;
}

static uint64_t signal_once(long i, int thorough)
{
    (void)i;
    (void)thorough;
    caught = 0;
    must(kill(getpid(), SIGUSR1), "kill", "");
    return (uint64_t)caught;
}

static uint64_t getppid_once(long i, int thorough)
{
    (void)i;
    (void)thorough;
    return (uint64_t)(getppid() >= 0); /* from its own site, as programs do: that of syscall(3) makes caught calls too */
}

static uint64_t nothing_once(long i, int thorough)
{
    (void)i;
    (void)thorough;
    return 0;
}

static int runs_of_command;

/* SAVE with `ending`, opened for writing; in later runs /dev/null. */
static int output_file(const char *ending)
{
    char *name = NULL;
    int fd = -1;
    if (runs_of_command == 0 && asprintf(&name, "%s%s", world.save, ending) > 0)
        fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    free(name);
    return fd >= 0 ? fd : (int)must(open("/dev/null", O_WRONLY | O_CLOEXEC), "open", "/dev/null");
}

static void become_command(int output)
{
    int errors = output_file(".err");
    dup2(output, 1);
    dup2(errors, 2);
    for (char **variable = world.variables; *variable; variable++)
        putenv(*variable);
    if (world.directory && chdir(world.directory) < 0)
        dprintf(2, "%s: %s\n", world.directory, strerror(errno));
    execvp(world.command[0], world.command);
    dprintf(2, "%s: %s\n", world.command[0], strerror(errno));
    _exit(127);
}

/* All that comes out of `from` goes to `to`, and into the hash. */
static uint64_t drain(int from, int to)
{
    static char piece[1 << 16];
    uint64_t hash = HASH_START;
    ssize_t got;
    while ((got = read(from, piece, sizeof piece)) > 0) {
        hash = hash_bytes(hash, piece, (size_t)got);
        if (write(to, piece, (size_t)got) != got)
            fail("write", world.save);
    }
    return hash;
}

static void fail_command(int status)
{
    const char *how = WIFSIGNALED(status) ? "was killed by signal" : "ended with";
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    fprintf(stderr, "bench: %s %s %d in run %d\n", world.command[0], how, number, runs_of_command + 1);
    exit(1);
}

/* Runs the command; the answer is all it printed, which the first run also keeps. */
static uint64_t spawn_once(long i, int thorough)
{
    int ends[2], keep = output_file(""), status;
    uint64_t answer;
    pid_t child;
    (void)i;
    (void)thorough;
    must(pipe2(ends, O_CLOEXEC), "pipe", "");
    child = (pid_t)must(fork(), "fork", "");
    if (child == 0)
        become_command(ends[1]);
    close(ends[1]);
    answer = drain(ends[0], keep);
    close(ends[0]);
    close(keep);
    status = end_of(child);
    if (status != 0)
        fail_command(status);
    runs_of_command++;
    return answer;
}

const struct row task_rows[] = {
    {"exec-static", a_program, exec_once, "bin/true-static", NULL, 0, 0},
    {"exec-dynamic", a_program, exec_once, "bin/true-dynamic", NULL, 0, 0},
    {"exec-dynamic-host", a_program, exec_once, "bin/true-dynamic", NULL, 1, 0},
    {"thread", nothing, thread_once, NULL, NULL, 0, 0},
    {"signal", a_handler, signal_once, NULL, NULL, 0, 0},
    {"getppid", nothing, getppid_once, NULL, NULL, 0, 0},
    {"nothing", nothing, nothing_once, NULL, NULL, 0, 0},
    {"spawn", nothing, spawn_once, NULL, NULL, 0, 0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0},
};
