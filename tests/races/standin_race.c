/*
 * The runtime's own open_standin() and native_on_standin() with a server that evicts between their look at the index and
 * the system call: the number of the descriptor is another file's by then.  Prints what was opened, and what another
 * call was made about: the file, "stale", or "another".
 * usage: standin_race FILE ANOTHER
 */
#include "../../interpose/runtime/abi.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct inode inode;
static int own, others, is_evicted;

static void evict(void)
{
    inode.sequence++;
    inode.descriptor = -1;
    dup2(others, own);
}

/* Each system call of the runtime; before an open, or the program's own call, the server is faster, if it shall be. */
static long meddled(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 g)
{
    if (number == NR_openat && is_evicted)
        evict();
    return raw6(number, a, b, c, d, e, g);
}

static long meddled_call(void)
{
    if (is_evicted)
        evict();
    return native();
}
#define raw6 meddled
#define native meddled_call
#include "../../interpose/runtime/standin.h"

__asm__(".bss\n.globl hepwrap_image\n.hidden hepwrap_image\n.balign 4096\nhepwrap_image: .zero 2097152\n.text\n");
_Static_assert(IMAGE_SPAN + sizeof(struct header) <= 2097152, "room for the header behind the image");

static const char *opened(void)
{
    struct stat found, right;
    long fd = open_standin(&inode, O_RDONLY);
    if (fd == STALE)
        return "stale";
    fstat((int)fd, &found);
    fstat(own, &right);
    return found.st_ino == (ino_t)inode.st_ino && right.st_ino == found.st_ino ? "the file" : "another";
}

static const char *called(void)
{
    static const struct row row = {.number = NR_newfstatat, .path = 1};
    struct kernel_stat found;
    f->row = &row;
    f->number = NR_newfstatat;
    f->a[0] = (u64)AT_FDCWD;
    f->a[2] = (u64)&found;
    long r = native_on_standin(&inode);
    return r == STALE ? "stale" : r == 0 && found.st_ino == inode.st_ino ? "the file" : "another";
}

int main(int count, char **words)
{
    static struct frame frame;
    struct stat status;
    if (count != 3)
        return 2;
    f = &frame;
    own = open(words[1], O_RDONLY);
    others = open(words[2], O_RDONLY);
    fstat(own, &status);
    inode.st_ino = status.st_ino;
    inode.descriptor = own;
    ((struct header *)(u64)index_of())->server = (u32)getpid();
    printf("%s\n", opened());
    printf("%s\n", called());
    is_evicted = 1;
    int lowest = dup(own);
    close(lowest);
    int kept = fcntl(own, F_DUPFD, 100);
    printf("%s\n", opened());
    printf("%s\n", dup(own) == lowest ? "nothing is left open" : "a descriptor is left open");
    dup2(kept, own);
    inode.descriptor = own;
    printf("%s\n", called());
    return 0;
}
