/*
 * What the rows of the benchmark share.  A row is one operation that is done again and again; it returns an answer, a
 * number made of all that it saw.  Answers are compared: within a run with those of the first pass, and by the harness
 * between columns.  So nothing may go into an answer that differs between two copies of a tree: no inode numbers, no
 * owners, no sizes of directories.  The program knows nothing of hepwrap.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* Where things are; written once, by main(). */
struct world {
    const char *root; /* the tree as this column has it */
    const char *host; /* the same tree on the machine's own disk, for the rows about host files */
    long files;       /* how many the many-files rows use */
    const char *save; /* spawn: the first output is kept here, and what goes to stderr in SAVE.err */
    char **command;   /* spawn: what is run, ... */
    char **variables; /* ... with these in its environment, ended by NULL, ... */
    char *directory;  /* ... and where */
};
extern struct world world;

struct row {
    const char *name;
    /* Once before anything is measured; returns after how many operations they begin again. */
    long (*prepare)(const struct row *row);
    /* Operation number `i`, below that; `thorough` looks at every byte, and is not measured. */
    uint64_t (*once)(long i, int thorough);
    const char *path;    /* below the root, or below the host's tree */
    const char *working; /* the working directory of relative rows, likewise */
    int on_host;
    long size; /* bytes that are read or touched */
};
extern const struct row path_rows[], file_rows[], task_rows[];

#define HASH_START 14695981039346656037u

/* FNV-1a, continued from `hash`. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *byte = data;
    while (size--)
        hash = (hash ^ *byte++) * 1099511628211u;
    return hash;
}

static inline uint64_t hash_number(uint64_t hash, uint64_t number)
{
    return hash_bytes(hash, &number, sizeof number);
}

/* One line, and the end. */
static inline void fail(const char *what, const char *path)
{
    fprintf(stderr, "bench: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

/* `result` where it is no error. */
static inline long must(long result, const char *what, const char *path)
{
    if (result < 0)
        fail(what, path);
    return result;
}

static inline const char *top_of(const struct row *row)
{
    return row->on_host ? world.host : world.root;
}

/* "TOP/PATH"; never freed. */
static inline char *below(const char *top, const char *path)
{
    char *text = NULL;
    if (asprintf(&text, "%s/%s", top, path) < 0)
        fail("asprintf", path);
    return text;
}

#endif
