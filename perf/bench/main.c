/*
 * bench [-n ITERATIONS] [-j PROCESSES] [-f FILES] [-d DIRECTORY] [-e NAME=VALUE]... ROOT HOST ROW [SAVE COMMAND...]
 *
 * Prepares the row, does every operation of it once and thoroughly and once more, then ITERATIONS of them under the
 * clock, in PROCESSES processes at once.  Prints one line:
 *   ns=<all iterations, wall time> first=<the very first operation> checksum=<what was seen> changed=<answers that
 *   differ from the first pass>
 * Exit code 1, with a line on stderr, where an operation fails; 2 for usage.
 */
#include "bench.h"

#include <sys/wait.h>
#include <time.h>

struct world world;

struct outcome {
    int64_t begin, end, first; /* nanoseconds of CLOCK_MONOTONIC; `first` is a duration */
    uint64_t checksum;
    int64_t changed;
};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static const struct row *find_row(const char *name)
{
    const struct row *tables[] = {path_rows, file_rows, task_rows};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct row *row = tables[t]; row->name; row++)
            if (strcmp(row->name, name) == 0)
                return row;
    return NULL;
}

/* Every operation twice: for the checksum, and for the answers that the loop must see again.  A whole command runs once. */
static uint64_t *first_pass(const struct row *row, long period, struct outcome *outcome)
{
    uint64_t *expected = calloc((size_t)period, sizeof *expected);
    outcome->checksum = HASH_START;
    for (long i = 0; i < period; i++) {
        int64_t begin = now();
        expected[i] = row->once(i, 1);
        if (i == 0)
            outcome->first = now() - begin;
        outcome->checksum = hash_number(outcome->checksum, expected[i]);
    }
    for (long i = 0; !world.command && i < period; i++)
        expected[i] = row->once(i, 0);
    return expected;
}

/* Prepares, says so by a byte on `ready`, waits until `go` is closed, and measures. */
static struct outcome measure(const struct row *row, long iterations, int ready, int go)
{
    struct outcome outcome = {0};
    long period = row->prepare(row), at = 0;
    uint64_t *expected = first_pass(row, period, &outcome);
    char byte = 0;
    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 0)
        fail("the start signal of", row->name);
    outcome.begin = now();
    for (long i = 0; i < iterations; i++) {
        outcome.changed += row->once(at, 0) != expected[at];
        if (++at == period)
            at = 0;
    }
    outcome.end = now();
    return outcome;
}

/* From the first that begins to the last that ends; all must have seen the same. */
static struct outcome joined(const struct outcome *outcomes, int count)
{
    struct outcome all = outcomes[0];
    for (int i = 1; i < count; i++) {
        all.begin = outcomes[i].begin < all.begin ? outcomes[i].begin : all.begin;
        all.end = outcomes[i].end > all.end ? outcomes[i].end : all.end;
        all.changed += outcomes[i].changed + (outcomes[i].checksum != all.checksum);
    }
    return all;
}

/* The same row in `count` processes, which begin together. */
static struct outcome measure_at_once(const struct row *row, long iterations, int count)
{
    struct outcome *outcomes = calloc((size_t)count, sizeof *outcomes);
    int ready[2], go[2], results[2], bad = 0;
    char byte;
    must(pipe(ready), "pipe", "");
    must(pipe(go), "pipe", "");
    must(pipe(results), "pipe", "");
    for (int i = 0; i < count; i++) {
        if (must(fork(), "fork", "") == 0) {
            struct outcome outcome;
            close(go[1]);
            outcome = measure(row, iterations, ready[1], go[0]);
            _exit(write(results[1], &outcome, sizeof outcome) != sizeof outcome);
        }
    }
    close(ready[1]);
    close(results[1]);
    for (int i = 0; i < count; i++)
        bad |= read(ready[0], &byte, 1) != 1;
    close(go[1]);
    for (int i = 0; i < count; i++)
        bad |= read(results[0], &outcomes[i], sizeof *outcomes) != sizeof *outcomes;
    while (wait(NULL) > 0)
        ;
    if (bad)
        exit(1); /* whoever failed has said why */
    return joined(outcomes, count);
}

static struct outcome measure_alone(const struct row *row, long iterations)
{
    int ready[2], go[2];
    must(pipe2(ready, O_CLOEXEC), "pipe", "");
    must(pipe2(go, O_CLOEXEC), "pipe", "");
    close(go[1]);
    return measure(row, iterations, ready[1], go[0]);
}

static int usage(void)
{
    fputs("usage: bench [-n ITERATIONS] [-j PROCESSES] [-f FILES] [-d DIRECTORY] [-e NAME=VALUE]... ROOT HOST ROW "
          "[SAVE COMMAND...]\n",
          stderr);
    return 2;
}

struct options {
    long iterations;
    int processes;
};

/* How many words are options; -1 for a mistake. */
static int read_options(int argc, char **argv, struct options *options)
{
    int option, variables = 0;
    world.variables = calloc((size_t)argc + 1, sizeof *world.variables);
    while ((option = getopt(argc, argv, "+n:j:f:d:e:")) != -1) {
        if (option == 'n')
            options->iterations = atol(optarg);
        else if (option == 'j')
            options->processes = atoi(optarg);
        else if (option == 'f')
            world.files = atol(optarg);
        else if (option == 'd')
            world.directory = optarg;
        else if (option == 'e')
            world.variables[variables++] = optarg;
        else
            return -1;
    }
    return optind;
}

int main(int argc, char **argv)
{
    struct options options = {0, 1};
    struct outcome outcome;
    const struct row *row;
    int taken = read_options(argc, argv, &options);
    if (taken < 0 || argc - taken < 3)
        return usage();
    argv += taken;
    world.root = argv[0];
    world.host = argv[1];
    row = find_row(argv[2]);
    if (!row) {
        fprintf(stderr, "bench: there is no row %s\n", argv[2]);
        return 2;
    }
    if (argc - taken > 4) {
        world.save = argv[3];
        world.command = argv + 4;
    }
    if (options.processes == 1)
        outcome = measure_alone(row, options.iterations);
    else
        outcome = measure_at_once(row, options.iterations, options.processes);
    printf("ns=%lld first=%lld checksum=%016llx changed=%lld\n", (long long)(outcome.end - outcome.begin),
           (long long)outcome.first, (unsigned long long)outcome.checksum, (long long)outcome.changed);
    return 0;
}
