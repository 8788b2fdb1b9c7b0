/*
 * The runtime's own open_standin() with a server that evicts between its look at the index and its open(2): the number of
 * the descriptor is another file's by then.  Prints what was opened: the file, "stale", or "another".
 * usage: standin_race FILE ANOTHER
 */
#include "../../interpose/runtime/abi.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct inode inode;
static int own, others, is_evicted;

/* Each system call of the runtime; before an open the server is faster, if it shall be. */
static long meddled(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 g)
{
    if (number == NR_openat && is_evicted) {
        inode.sequence++;
        inode.descriptor = -1;
        dup2(others, own);
    }
    return raw6(number, a, b, c, d, e, g);
}
#define raw6 meddled
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
    is_evicted = 1;
    int lowest = dup(own);
    close(lowest);
    printf("%s\n", opened());
    printf("%s\n", dup(own) == lowest ? "nothing is left open" : "a descriptor is left open");
    return 0;
}
