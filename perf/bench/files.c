/* Rows about content: read from a file opened once, opened each time, or received from another process; mmap. */
#include "bench.h"

#include <sys/mman.h>
#include <sys/socket.h>

#define KIB 1024L
#define MIB (1024L * KIB)

static const char *path;
static long size;
static char *buffer;
static int opened = -1;

static long named(const struct row *row)
{
    path = below(top_of(row), row->path);
    size = row->size;
    buffer = malloc((size_t)size);
    return 1;
}

static long once_opened(const struct row *row)
{
    named(row);
    opened = (int)must(open(path, O_RDONLY | O_CLOEXEC), "open", path);
    return 1;
}

/* All of the file, whatever its size. */
static long whole_opened(const struct row *row)
{
    struct stat s;
    once_opened(row);
    must(fstat(opened, &s), "fstat", path);
    size = s.st_size;
    return 1;
}

/* All of the buffer when thorough, else the length and both ends. */
static uint64_t seen(const char *data, long length, int thorough)
{
    if (thorough)
        return hash_bytes(HASH_START, data, (size_t)length);
    return (uint64_t)length ^ ((uint64_t)(unsigned char)data[0] << 40) ^
           ((uint64_t)(unsigned char)data[length - 1] << 48);
}

static uint64_t read_from(int fd, int thorough)
{
    long length = 0;
    while (length < size) {
        long got = must(pread(fd, buffer + length, (size_t)(size - length), length), "read", path);
        if (got == 0)
            break;
        length += got;
    }
    if (length != size) {
        errno = EIO;
        fail("too short:", path);
    }
    return seen(buffer, length, thorough);
}

static uint64_t read_once(long i, int thorough)
{
    (void)i;
    return read_from(opened, thorough);
}

static uint64_t open_read_once(long i, int thorough)
{
    int fd = (int)must(open(path, O_RDONLY | O_CLOEXEC), "open", path);
    uint64_t answer = read_from(fd, thorough);
    (void)i;
    close(fd);
    return answer;
}

/* `byte` goes with the descriptor: how thoroughly the other side shall look. */
static void send_descriptor(int socket, int fd, char byte)
{
    char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    must(sendmsg(socket, &message, 0), "sendmsg", path);
}

/* -1 at the end of the conversation. */
static int receive_descriptor(int socket, char *byte)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec piece = {byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -1;
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static int pair[2];

/* Another process opens the file and hands it over: what is read from is never opened here. */
static long once_received(const struct row *row)
{
    char byte;
    named(row);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair", path);
    if (must(fork(), "fork", path) == 0) {
        send_descriptor(pair[0], (int)must(open(path, O_RDONLY | O_CLOEXEC), "open", path), 0);
        _exit(0);
    }
    opened = receive_descriptor(pair[1], &byte);
    return must(opened, "receiving", path) < 0 ? 0 : 1;
}

/* The other side of pass_once: receives, reads, closes, answers; ends when we do. */
static void reader(void)
{
    char thorough;
    int fd;
    close(pair[0]);
    while ((fd = receive_descriptor(pair[1], &thorough)) >= 0) {
        uint64_t answer = read_from(fd, thorough);
        close(fd);
        if (write(pair[1], &answer, sizeof answer) != sizeof answer)
            break;
    }
    _exit(0);
}

static long opened_with_reader(const struct row *row)
{
    once_opened(row);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair", path);
    if (must(fork(), "fork", path) == 0)
        reader();
    close(pair[1]);
    return 1;
}

static uint64_t pass_once(long i, int thorough)
{
    uint64_t answer = 0;
    (void)i;
    send_descriptor(pair[0], opened, (char)thorough);
    if (read(pair[0], &answer, sizeof answer) != sizeof answer)
        fail("the reader of", path);
    return answer;
}

static uint64_t mmap_once(long i, int thorough)
{
    char *data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, opened, 0);
    uint64_t answer = 0;
    (void)i;
    if (data == MAP_FAILED)
        fail("mmap", path);
    if (thorough)
        answer = hash_bytes(HASH_START, data, (size_t)size);
    else
        for (long at = 0; at < size; at += 4096)
            answer += (unsigned char)data[at];
    munmap(data, (size_t)size);
    return answer;
}

const struct row file_rows[] = {
    {"read-4k", once_opened, read_once, "small/4k", NULL, 0, 4 * KIB},
    {"read-128k", once_opened, read_once, "small/128k", NULL, 0, 128 * KIB},
    {"read-1m", once_opened, read_once, "small/1m", NULL, 0, MIB},
    {"open-read-4k", named, open_read_once, "small/4k", NULL, 0, 4 * KIB},
    {"open-read-128k", named, open_read_once, "small/128k", NULL, 0, 128 * KIB},
    {"open-read-1m", named, open_read_once, "small/1m", NULL, 0, MIB},
    {"received-4k", once_received, read_once, "small/4k", NULL, 0, 4 * KIB},
    {"received-128k", once_received, read_once, "small/128k", NULL, 0, 128 * KIB},
    {"received-1m", once_received, read_once, "small/1m", NULL, 0, MIB},
    {"pass-4k", opened_with_reader, pass_once, "small/4k", NULL, 0, 4 * KIB},
    {"pass-128k", opened_with_reader, pass_once, "small/128k", NULL, 0, 128 * KIB},
    {"pass-1m", opened_with_reader, pass_once, "small/1m", NULL, 0, MIB},
    {"mmap-50m", whole_opened, mmap_once, "large/50m", NULL, 0, 0},
    {"open-read-4k-host", named, open_read_once, "small/4k", NULL, 1, 4 * KIB},
    {NULL, NULL, NULL, NULL, NULL, 0, 0},
};
