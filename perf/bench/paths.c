/* Rows about names: stat, access, readlink, open and close, directories. */
#include "bench.h"

#include <dirent.h>

static char **paths;

/* One name: absolute, or relative in a working directory. */
static long one_path(const struct row *row)
{
    paths = calloc(1, sizeof *paths);
    if (row->working)
        must(chdir(below(top_of(row), row->working)), "chdir", row->working);
    paths[0] = row->working ? strdup(row->path) : below(top_of(row), row->path);
    return 1;
}

/* A hundred files to a directory, as the harness makes them; a row with a path has it appended: names that are missing. */
static long many_paths(const struct row *row)
{
    long count = row->path && world.files > 1000 ? 1000 : world.files;
    char name[64];
    paths = calloc((size_t)count, sizeof *paths);
    for (long i = 0; i < count; i++) {
        snprintf(name, sizeof name, "files/%03ld/%02ld%s", i / 100, i % 100, row->path ? row->path : "");
        paths[i] = below(top_of(row), name);
    }
    return count;
}

static long two_directories(const struct row *row)
{
    paths = calloc(2, sizeof *paths);
    paths[0] = below(top_of(row), "small");
    paths[1] = below(top_of(row), "files");
    return 2;
}

static uint64_t hash_stat(const struct stat *s)
{
    uint64_t hash = hash_number(HASH_START, s->st_mode);
    if (S_ISDIR(s->st_mode))
        return hash;
    hash = hash_number(hash, (uint64_t)s->st_size);
    return hash_number(hash, (uint64_t)s->st_mtim.tv_sec);
}

static uint64_t stat_once(long i, int thorough)
{
    struct stat s;
    must(stat(paths[i], &s), "stat", paths[i]);
    return thorough ? hash_stat(&s) : (uint64_t)s.st_size ^ s.st_mode;
}

static uint64_t missing_once(long i, int thorough)
{
    struct stat s;
    (void)thorough;
    return stat(paths[i], &s) < 0 ? (uint64_t)errno : 0;
}

static int opened = -1;

static long one_opened(const struct row *row)
{
    one_path(row);
    opened = (int)must(open(paths[0], O_RDONLY | O_CLOEXEC), "open", paths[0]);
    return 1;
}

static uint64_t fstat_once(long i, int thorough)
{
    struct stat s;
    must(fstat(opened, &s), "fstat", paths[i]);
    return thorough ? hash_stat(&s) : (uint64_t)s.st_size ^ s.st_mode;
}

static uint64_t access_once(long i, int thorough)
{
    uint64_t answer = (uint64_t)must(access(paths[i], R_OK), "access", paths[i]);
    return thorough && access(paths[i], W_OK | X_OK) < 0 ? (uint64_t)(errno == EACCES || errno == EROFS) : answer;
}

static uint64_t readlink_once(long i, int thorough)
{
    char target[4096];
    long length = must(readlink(paths[i], target, sizeof target), "readlink", paths[i]);
    return thorough ? hash_bytes(HASH_START, target, (size_t)length) : (uint64_t)length;
}

static uint64_t open_once(long i, int thorough)
{
    int fd = (int)must(open(paths[i], O_RDONLY | O_CLOEXEC), "open", paths[i]);
    uint64_t answer = thorough ? (uint64_t)lseek(fd, 0, SEEK_END) : 0;
    close(fd);
    return answer;
}

/* The sum does not depend on the order. */
static uint64_t readdir_once(long i, int thorough)
{
    DIR *directory = opendir(paths[i]);
    uint64_t answer = 0;
    const struct dirent *entry;
    if (!directory)
        fail("opendir", paths[i]);
    while ((entry = readdir(directory)))
        answer += thorough ? hash_bytes(HASH_START, entry->d_name, strlen(entry->d_name)) ^ entry->d_type : 1;
    closedir(directory);
    return answer;
}

static uint64_t chdir_once(long i, int thorough)
{
    struct stat s;
    must(chdir(paths[i]), "chdir", paths[i]);
    return thorough ? (uint64_t)(stat("4k", &s) == 0) : 0;
}

static uint64_t getcwd_once(long i, int thorough)
{
    char name[4096];
    (void)i;
    (void)thorough;
    if (!getcwd(name, sizeof name))
        fail("getcwd", "small");
    return hash_bytes(HASH_START, strrchr(name, '/'), 6);
}

const struct row path_rows[] = {
    {"stat", one_path, stat_once, "small/4k", NULL, 0, 0},
    {"stat-many", many_paths, stat_once, NULL, NULL, 0, 0},
    {"stat-missing", many_paths, missing_once, ".missing", NULL, 0, 0},
    {"stat-link", one_path, stat_once, "link", NULL, 0, 0},
    {"stat-deep", one_path, stat_once, "deep/a/b/c/d/e/f/g/h/file", NULL, 0, 0},
    {"stat-directory", one_path, stat_once, "small", NULL, 0, 0},
    {"fstat", one_opened, fstat_once, "small/4k", NULL, 0, 0},
    {"access", one_path, access_once, "small/4k", NULL, 0, 0},
    {"readlink", one_path, readlink_once, "link", NULL, 0, 0},
    {"open-close", one_path, open_once, "small/4k", NULL, 0, 0},
    {"readdir-1000", one_path, readdir_once, "directories/1000", NULL, 0, 0},
    {"readdir-10000", one_path, readdir_once, "directories/10000", NULL, 0, 0},
    {"chdir", two_directories, chdir_once, NULL, NULL, 0, 0},
    {"getcwd", one_path, getcwd_once, "4k", "small", 0, 0},
    {"stat-relative", one_path, stat_once, "4k", "small", 0, 0},
    {"stat-missing-relative", one_path, missing_once, "missing", "small", 0, 0},
    {"open-relative", one_path, open_once, "4k", "small", 0, 0},
    {"stat-host", one_path, stat_once, "small/4k", NULL, 1, 0},
    {"stat-many-host", many_paths, stat_once, NULL, NULL, 1, 0},
    {"stat-missing-host", many_paths, missing_once, ".missing", NULL, 1, 0},
    {"fstat-host", one_opened, fstat_once, "small/4k", NULL, 1, 0},
    {"access-host", one_path, access_once, "small/4k", NULL, 1, 0},
    {"readlink-host", one_path, readlink_once, "link", NULL, 1, 0},
    {"open-close-host", one_path, open_once, "small/4k", NULL, 1, 0},
    {"readdir-1000-host", one_path, readdir_once, "directories/1000", NULL, 1, 0},
    {"stat-relative-host", one_path, stat_once, "4k", "small", 1, 0},
    {"open-relative-host", one_path, open_once, "4k", "small", 1, 0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0},
};
