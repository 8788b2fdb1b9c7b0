/* The index under a race: one writer enters directories while readers look up what is there, what is not, and what is
 * just being entered.
 *
 *     index_race threads|processes READERS DIRECTORIES CHILDREN
 *     index_race window ROUNDS            the window is narrowed while the writer takes of it
 *
 * The writer and the lookup are those of vfs/index, not copies.  As threads all share one mapping, so that a race
 * detector sees every access; as processes each reader maps the file read-only at an address of its own, as programs do,
 * and the file grows under them.  What must hold at every moment (the reader's laws):
 *   - a name that has been published is found, with the inode that is its own, whole;
 *   - a name that has not been published is unknown, or found whole; it is never "missing": it will exist;
 *   - a name that never exists is unknown, or missing in a directory that is complete;
 *   - a listing has every name; a stand-in's descriptor belongs to the inode as long as the sequence number stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sched.h>
#include <unistd.h>

/* Before a word is read that may change, others may run: what lies between two reads is where races are. */
static void let_others_run(void);
#define LOAD(field) (let_others_run(), __atomic_load_n(&(field), __ATOMIC_ACQUIRE))
#include "../../vfs/index/directory.h"
#include "../../vfs/index/window.h"

#define PREFIX "/cvmfs"
#define REPOSITORY PREFIX "/race.hep.example"
#define STANDINS 64
#define DEVICE 7UL
#define DIRECTORY_MODE 0040755U
#define FILE_MODE 0100644U
#define EVERYBODY (INODE_SEARCHED | INODE_EXEC_YES | INODE_READ_YES)

/* What writer and readers know of each other besides the index; in memory that is shared by processes too. */
struct shared {
    u64 directories, children;  /* to be entered */
    u64 begun, done;            /* directories; children of `begun` may be there, those below `done` are complete */
    u64 held_by[STANDINS];      /* "descriptor" -> number of the object that it stands for */
    u64 stood_in_by[STANDINS];  /* the inodes of those, for readers to start from */
    u64 looks, asked, found, missing, listed, evicted;
};

static struct shared *shared;
static __thread u32 reads;
static __thread int is_reader;

static void let_others_run(void)
{
    if (is_reader && ++reads % 61 == 0) /* prime: in the course of time at every one of them */
        sched_yield();
}

static u64 load(const u64 *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static void store(u64 *word, u64 value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
static void count(u64 *word) { __atomic_fetch_add(word, 1, __ATOMIC_RELAXED); }

static void broken(const char *law, const char *path, u64 target)
{
    fprintf(stderr, "broken: %s: %s (target %#lx)\n", law, path, target);
    _exit(9);
}

static u64 random_below(u64 *state, u64 limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % limit;
}

/* Object `child` of directory `number`: what its attributes are, as a function of its place. */
static u64 size_of(u64 number, u64 child) { return number * 1000003 + child * 7 + 1; }

/* ---- the writer ---- */

static u64 enter_directory(struct writer *writer, const char *path, u64 parent_at, u64 mount_at)
{
    u64 length = strlen(path);
    if (writer_enter(writer, path, length, 0, 0, 0) < 0)
        return 0;
    struct inode inode = {.st_dev = 1,
                          .st_ino = ++writer->number,
                          .st_mode = DIRECTORY_MODE,
                          .st_nlink = 2,
                          .flags = EVERYBODY,
                          .path_at = writer_offset(writer, writer_find(writer, path, length)->key),
                          .path_hash = hash_words(path, length),
                          .path_length = (u32)length,
                          .mount_at = mount_at,
                          .parent_at = parent_at,
                          .descriptor = -1};
    u64 offset = writer_append(writer, &inode, sizeof inode, RECORD_ALIGN);
    u64 word = TARGET(TARGET_INODE, offset);
    return offset && writer_enter(writer, path, length, word, word, offset) >= 0 ? offset : 0;
}

static int enter_children(struct writer *writer, u64 number, u64 directory_at)
{
    struct draft draft = {.directory_at = directory_at, .limit = writer->window};
    for (u64 child = 0; child < shared->children; child++) {
        char name[64];
        struct described what = {.name = name,
                                 .length = (u32)snprintf(name, sizeof name, "file-%lu", child),
                                 .mode = FILE_MODE,
                                 .nlink = 1,
                                 .uid = (u32)number,
                                 .gid = (u32)child,
                                 .rights = INODE_READ_YES,
                                 .size = size_of(number, child),
                                 .mtime = (i64)number};
        if (child % 10 == 9) {
            what.mode = 0120777;
            what.link = "file-0";
            what.link_length = 6;
        }
        if (draft_enter(writer, &draft, &what) < 0)
            return -1;
        if (number % 64 == 0 && child % 16 == 0)
            sched_yield(); /* readers shall see it half done */
    }
    int r = draft_publish(writer, &draft, 1);
    draft_free(&draft);
    return r;
}

static void set_word(i32 *word, i32 value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

/* Book.set_standin and drop_standin: descriptor `fd` is taken from one inode and given to another. */
static int move_standin(struct writer *writer, u64 fd, u64 inode_at, u64 object)
{
    u64 before = shared->stood_in_by[fd];
    if (before) {
        struct inode *old = writer_pointer(writer, before);
        __atomic_store_n(&old->sequence, old->sequence + 1, __ATOMIC_RELEASE);
        set_word(&old->descriptor, -1);
        count(&shared->evicted);
    }
    store(&shared->held_by[fd], 0); /* closed; then the number is another's */
    store(&shared->held_by[fd], object);
    if (writer_identify(writer, DEVICE, object, inode_at) < 0)
        return -1;
    struct inode *inode = writer_pointer(writer, inode_at);
    __atomic_store_n(&inode->sequence, inode->sequence + 1, __ATOMIC_RELEASE);
    set_word(&inode->descriptor, (i32)fd);
    store(&shared->stood_in_by[fd], inode_at);
    return 0;
}

static int write_all(struct writer *writer)
{
    u64 top_at = enter_directory(writer, PREFIX, 0, 0);
    u64 root_at = top_at ? enter_directory(writer, REPOSITORY, top_at, 0) : 0;
    if (!root_at)
        return -1;
    store(&writer->header->top_at, top_at);
    for (u64 number = 0; number < shared->directories; number++) {
        char path[128];
        snprintf(path, sizeof path, REPOSITORY "/dir-%lu", number);
        store(&shared->begun, number + 1);
        u64 at_offset = enter_directory(writer, path, root_at, 0);
        if (!at_offset || enter_children(writer, number, at_offset) < 0)
            return -1;
        store(&shared->done, number + 1);
        const struct entry *entry = writer_find(writer, path, strlen(path));
        if (move_standin(writer, number % STANDINS, TARGET_VALUE(entry->follow), number + 1) < 0)
            return -1;
    }
    return 0;
}

/* ---- the readers ---- */

struct reader {
    const struct header *index;
    u64 random;
};

static const struct inode *inode_of(const struct reader *reader, u64 target)
{
    return at(reader->index, TARGET_VALUE(target));
}

/* Whole: every field is what the path says. */
static void check_file(const struct reader *reader, u64 target, u64 number, u64 child, const char *path)
{
    char own[128];
    const struct inode *inode = inode_of(reader, target);
    int length = snprintf(own, sizeof own, REPOSITORY "/dir-%lu/file-%lu", number, child);
    if (inode->st_size != size_of(number, child) || inode->st_mode != FILE_MODE || inode->st_uid != (u32)number ||
        inode->st_gid != (u32)child || inode->mtime != (i64)number || inode->path_length != (u32)length ||
        memcmp(at(reader->index, inode->path_at), own, (size_t)length + 1) != 0)
        broken("an inode that is found is whole", path, target);
}

/* A name that exists or will; `by`: how it is written. */
static void look_for_child(struct reader *reader, u64 number, u64 child, int published)
{
    static const char *const ways[] = {"", "/.", "/../dir-%lu", "//"};
    char path[256], way[64];
    snprintf(way, sizeof way, ways[random_below(&reader->random, 4)], number);
    snprintf(path, sizeof path, REPOSITORY "/dir-%lu%s/file-%lu", number, way, child);
    int link = child % 10 == 9, follow = (int)random_below(&reader->random, 2);
    u64 target = find_target(reader->index, 0, path, follow);
    count(&shared->looks);
    if (TARGET_KIND(target) == TARGET_ERRNO)
        broken("what exists, or will, is never missing", path, target);
    if (TARGET_KIND(target) != TARGET_INODE) {
        if (published)
            broken("what has been published is found", path, target);
        count(&shared->asked);
        return;
    }
    count(&shared->found);
    if (link && !follow) {
        if ((inode_of(reader, target)->st_mode & 0170000) != 0120000)
            broken("a link that is not followed is the link", path, target);
        return;
    }
    check_file(reader, target, number, link ? 0 : child, path);
}

static void look_for_nothing(struct reader *reader, u64 number, int complete)
{
    static const char *const names[] = {"missing", "missing/x", "file-%lu", "file-0/x", "missing/../file-0", "dir"};
    char path[256], name[64];
    u64 which = random_below(&reader->random, 6);
    snprintf(name, sizeof name, names[which], shared->children + random_below(&reader->random, 100));
    snprintf(path, sizeof path, REPOSITORY "/dir-%lu/%s", number, name);
    u64 target = find_target(reader->index, 0, path, 1), right = TARGET(TARGET_ERRNO, which == 3 ? ENOTDIR : ENOENT);
    count(&shared->looks);
    if (target == right)
        count(&shared->missing);
    else if (complete || (TARGET_KIND(target) != TARGET_UNKNOWN && TARGET_KIND(target) != TARGET_ASK))
        broken("what never exists is missing, or unknown", path, target);
}

static const struct inode *directory_of(struct reader *reader, u64 number)
{
    char path[128];
    snprintf(path, sizeof path, REPOSITORY "/dir-%lu", number);
    u64 target = find_target(reader->index, 0, path, 1);
    return TARGET_KIND(target) == TARGET_INODE ? inode_of(reader, target) : NULL;
}

/* As a program with a descriptor of the directory, and as getdents. */
static void look_from(struct reader *reader, u64 number, int complete)
{
    const struct inode *dir = directory_of(reader, number);
    if (!dir)
        return;
    char name[64];
    u64 child = random_below(&reader->random, shared->children) / 10 * 10;
    snprintf(name, sizeof name, "file-%lu", child);
    u64 target = find_target(reader->index, dir, name, 1);
    if (TARGET_KIND(target) == TARGET_INODE)
        check_file(reader, target, number, child, name);
    else if (complete || TARGET_KIND(target) == TARGET_ERRNO)
        broken("a name that is there is found from its directory", name, target);
    u64 listing_at = LOAD(dir->listing_at);
    if (!listing_at)
        return;
    const struct listing *listing = at(reader->index, listing_at);
    if (listing->count != shared->children + 2)
        broken("a listing has every name", name, listing->count);
    const struct child *one = &listing->children[2 + child];
    if (one->length != strlen(name) || memcmp(at(reader->index, one->name_at), name, one->length) != 0)
        broken("a listing has the names", name, one->name_at);
    count(&shared->listed);
}

/* open_standin: the descriptor is believed only if the sequence number is the same afterwards. */
static void look_at_standin(struct reader *reader)
{
    u64 inode_at = load(&shared->stood_in_by[random_below(&reader->random, STANDINS)]);
    if (!inode_at)
        return;
    const struct inode *inode = at(reader->index, inode_at);
    u32 sequence = LOAD(inode->sequence);
    i32 descriptor = LOAD(inode->descriptor);
    if (descriptor < 0)
        return;
    u64 object = load(&shared->held_by[descriptor]);
    if (LOAD(inode->sequence) != sequence)
        return;
    const struct inode *behind = object ? find_identity(reader->index, DEVICE, object) : NULL;
    if (behind != inode)
        broken("a descriptor belongs to the inode while the sequence stays", "stand-in", object);
}

static void read_along(struct reader *reader)
{
    is_reader = 1;
    while (!load(&shared->begun))
        sched_yield();
    for (u64 round = 0;; round++) {
        u64 done = load(&shared->done), begun = load(&shared->begun);
        u64 last = begun < 3 ? begun : 3, number = round & 1 ? begun - 1 - random_below(&reader->random, last)
                                                             : random_below(&reader->random, begun);
        look_for_child(reader, number, random_below(&reader->random, shared->children), number < done);
        look_for_nothing(reader, number, number < done);
        look_from(reader, number, number < done);
        look_at_standin(reader);
        if (done == shared->directories && round > 1000)
            return;
    }
}

static struct writer writer;

static void *read_in_thread(void *argument)
{
    struct reader reader = {writer.header, (u64)argument * 0x9e3779b97f4a7c15UL + 1};
    read_along(&reader);
    return NULL;
}

static void read_in_process(u64 number)
{
    munmap(writer.file, IMAGE_SPAN + writer.window);
    const char *file = mmap(NULL, IMAGE_SPAN + writer.window, PROT_READ, MAP_SHARED | MAP_NORESERVE, writer.fd, 0);
    if (file == MAP_FAILED)
        _exit(8);
    struct reader reader = {(const struct header *)(file + IMAGE_SPAN), number * 0x9e3779b97f4a7c15UL + 1};
    read_along(&reader);
    _exit(0);
}

static int run_threads(u64 readers)
{
    pthread_t threads[64];
    for (u64 i = 0; i < readers; i++)
        pthread_create(&threads[i], NULL, read_in_thread, (void *)i);
    int r = write_all(&writer);
    for (u64 i = 0; i < readers; i++)
        pthread_join(threads[i], NULL);
    return r;
}

static int run_processes(u64 readers)
{
    for (u64 i = 0; i < readers; i++)
        if (fork() == 0)
            read_in_process(i);
    int r = write_all(&writer);
    for (int status; wait(&status) > 0;)
        if (status)
            r = -2;
    return r;
}

/* How far names lie from where their hash points, on the average: cells that a hit looks at. */
static double probes(void)
{
    const struct table *table = at(writer.header, writer.header->names_at);
    u64 total = 0;
    for (u64 i = 0; i <= table->mask; i++)
        if (table->cells[i]) {
            const struct entry *entry = at(writer.header, CELL_VALUE(table->cells[i]));
            total += ((i - entry->hash) & table->mask) + 1;
        }
    return (double)total / (double)writer.names;
}

/* ---- the window ---- */

static struct header narrowing;
static int ready, refused;

static void *narrow(void *argument)
{
    (void)argument;
    __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
    for (u64 bytes = 4000; bytes; bytes -= 40) {
        if (bytes % 400 == 0)
            sched_yield();
        if (!window_narrow(&narrowing, bytes))
            return NULL;
        if (__atomic_load_n(&narrowing.used, __ATOMIC_SEQ_CST) > bytes + 64)
            broken("what has been narrowed is not used", "window", bytes);
    }
    return NULL;
}

/* Whoever was told "yes" can rely on it: in the end no more is used than there is. */
static int run_window(u64 rounds)
{
    for (u64 i = 0; i < rounds; i++) {
        pthread_t thread;
        memset(&narrowing, 0, sizeof narrowing);
        narrowing.window = 4096;
        __atomic_store_n(&ready, 0, __ATOMIC_RELEASE);
        pthread_create(&thread, NULL, narrow, NULL);
        while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
            sched_yield();
        u64 taken = 0;
        for (; taken < 4096 && window_take(&narrowing, taken + 64); taken += 64)
            if (taken % 512 == 0)
                sched_yield();
        refused += taken < 4096;
        pthread_join(thread, NULL);
        if (narrowing.used != taken || taken > narrowing.window)
            broken("no more is used than there is", "window", taken);
    }
    printf("rounds %lu\nrefused %d\n", rounds, refused);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return run_window(strtoul(argv[2], NULL, 10));
    if (argc != 5) {
        fprintf(stderr, "usage: index_race threads|processes READERS DIRECTORIES CHILDREN | window ROUNDS\n");
        return 2;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    u64 readers = strtoul(argv[2], NULL, 10);
    shared->directories = strtoul(argv[3], NULL, 10);
    shared->children = strtoul(argv[4], NULL, 10);
    writer.window = 1UL << 30;
    if (readers > 64 || writer_open(&writer, PREFIX, strlen(PREFIX), "", 0) < 0)
        return 3;
    u64 start = writer.header->used;
    int r = argv[1][0] == 't' ? run_threads(readers) : run_processes(readers);
    if (r < 0) {
        fprintf(stderr, "failed: %d: %s\n", r, strerror(errno));
        return 4;
    }
    printf("names %lu\nlooks %lu\nfound %lu\nasked %lu\nmissing %lu\nlisted %lu\nevicted %lu\n", writer.names,
           shared->looks, shared->found, shared->asked, shared->missing, shared->listed, shared->evicted);
    printf("bytes_each %.1f\nprobes %.3f\n", (double)(writer.header->used - start) / (double)writer.names, probes());
    writer_close(&writer);
    return 0;
}
