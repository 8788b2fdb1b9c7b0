/*
 * Where descriptors of DIRECTORY and of FILE in it get to: duplicates, children, programs that are executed, other
 * processes over a socket, and names in /proc; and whether identities agree wherever they are seen.
 * FILE is a name in DIRECTORY.
 */
#include "guest.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

struct entry64 {
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};
static const char *directory, *file;

static const char *yes(int so)
{
	return so ? "yes" : "no";
}

/* How many names are read from here to the end, with a buffer of so many bytes. */
static int count_rest(int fd, size_t size)
{
	char buffer[4096] __attribute__((aligned(8)));
	int count = 0;
	long got;
	while ((got = syscall(SYS_getdents64, fd, buffer, size)) > 0)
		for (long at = 0; at < got; count++)
			at += ((struct entry64 *)(buffer + at))->length;
	return got < 0 ? -errno : count;
}

static int same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_nlink == b->st_nlink &&
	       a->st_uid == b->st_uid && a->st_gid == b->st_gid && a->st_rdev == b->st_rdev && a->st_size == b->st_size &&
	       a->st_blocks == b->st_blocks && a->st_blksize == b->st_blksize && !memcmp(&a->st_mtim, &b->st_mtim, 16) &&
	       !memcmp(&a->st_ctim, &b->st_ctim, 16);
}

static int same_x(const struct statx *x, const struct stat *s)
{
	return makedev(x->stx_dev_major, x->stx_dev_minor) == s->st_dev && x->stx_ino == s->st_ino && x->stx_mode == s->st_mode &&
	       x->stx_nlink == s->st_nlink && x->stx_uid == s->st_uid && x->stx_gid == s->st_gid &&
	       (long)x->stx_size == s->st_size && (long)x->stx_blocks == s->st_blocks && x->stx_blksize == (unsigned)s->st_blksize &&
	       x->stx_mtime.tv_sec == s->st_mtim.tv_sec && x->stx_mtime.tv_nsec == s->st_mtim.tv_nsec &&
	       x->stx_ctime.tv_sec == s->st_ctim.tv_sec && x->stx_atime.tv_sec == s->st_atim.tv_sec;
}

/* Every way to ask for the attributes of one object. */
static void identity(const char *name)
{
	char path[4096];
	struct stat by_path, by_fd, by_link;
	struct statx x, y;
	struct statfs one, two;
	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC), only = open(path, O_PATH | O_CLOEXEC);
	stat(path, &by_path);
	printf("identity of %s\n", name);
	printf("  by descriptor: %s\n", yes(fstat(fd, &by_fd) == 0 && same(&by_path, &by_fd)));
	printf("  by path only: %s\n", yes(fstat(only, &by_fd) == 0 && same(&by_path, &by_fd)));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	printf("  by its name in /proc: %s\n", yes(stat(path, &by_link) == 0 && same(&by_path, &by_link)));
	printf("  by statx: %s\n", yes(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &x) == 0 && same_x(&x, &by_path)));
	printf("  by statx of the other: %s\n", yes(statx(only, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &y) == 0 && same_x(&y, &by_path)));
	printf("  by statx of its name in /proc: %s\n", yes(statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_MNT_ID, &y) == 0 && same_x(&y, &by_path)));
	printf("  on the same mount: %s\n", yes(x.stx_mnt_id == y.stx_mnt_id));
	printf("  statx tells: basic %x, mount %x\n", x.stx_mask & STATX_BASIC_STATS, x.stx_mask & STATX_MNT_ID);
	printf("  the root of a mount: %s\n", yes((x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0));
	printf("  the same file system: %s\n", yes(fstatfs(fd, &one) == 0 && statfs(path, &two) == 0 && !memcmp(&one, &two, sizeof one)));
	close(fd);
	close(only);
}

/* What a listing says of each entry is what stat says, "." and ".." too. */
static void listed(void)
{
	char path[8192];
	struct stat s;
	struct dirent *entry;
	DIR *stream = opendir(directory);
	int inodes = 0, types = 0, all = 0;
	while ((entry = readdir(stream))) {
		snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		if (lstat(path, &s) < 0)
			continue;
		all++;
		if (s.st_ino == entry->d_ino)
			inodes++;
		else
			printf("  %s is listed as another\n", entry->d_name);
		types += IFTODT(s.st_mode) == entry->d_type;
	}
	printf("listed: all inodes agree: %s, all types: %s\n", yes(inodes == all), yes(types == all));
	closedir(stream);
}

/* The offset beside an entry is where the next one is found, in any order of asking. */
static void offsets(void)
{
	char buffer[4096] __attribute__((aligned(8)));
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), all = count_rest(fd, 4096), right = 0, seen = 0;
	long offset[64];
	lseek(fd, 0, SEEK_SET);
	for (; seen < 64 && syscall(SYS_getdents64, fd, buffer, 280) > 0; seen++) {
		const struct entry64 *entry = (const void *)buffer; /* only the first counts: go back behind it */
		offset[seen] = entry->offset;
		lseek(fd, entry->offset, SEEK_SET);
	}
	printf("one at a time: %s\n", yes(seen == all || seen == 64));
	for (int i = seen; i-- > 0;) {
		lseek(fd, offset[i], SEEK_SET);
		right += count_rest(fd, 4096) == all - i - 1;
	}
	printf("from each offset the rest: %s\n", yes(right == seen));
	printf("where it is, is told: %s\n", yes(lseek(fd, offset[0], SEEK_SET) == offset[0] && lseek(fd, 0, SEEK_CUR) == offset[0]));
	report("before the start", lseek(fd, -1, SEEK_SET));
	lseek(fd, 0, SEEK_SET);
	for (size_t size = 16; size <= 32; size += 4) { /* from too small for anything to enough for the shortest */
		int got = count_rest(fd, size);
		printf("buffer of %zu: %s\n", size, got == -EINVAL ? "EINVAL" : got < 0 ? "another error" : "some");
		lseek(fd, 0, SEEK_SET);
	}
	close(fd);
}

static void send_descriptor(int to, int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	sendmsg(to, &message, 0);
}

static int receive_descriptor(int from)
{
	int fd = -1;
	char byte, control[CMSG_SPACE(sizeof fd)];
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	if (recvmsg(from, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

/* What somebody can do with a descriptor of the directory, wherever it is from. */
static void use(const char *who, int fd)
{
	char name[4096], target[4096];
	struct stat s, t;
	int below = openat(fd, file, O_RDONLY | O_CLOEXEC);
	printf("%s\n", who);
	report_success("  openat", below);
	printf("  the same file: %s\n", yes(fstat(below, &s) == 0 && fstatat(fd, file, &t, 0) == 0 && same(&s, &t)));
	report("  faccessat to write", faccessat(fd, file, W_OK, 0));
	report("  openat of nothing", openat(fd, "no-such-name", O_RDONLY));
	report("  openat to make", openat(fd, "no-such-name", O_CREAT | O_WRONLY, 0600));
	report("  mkdirat", mkdirat(fd, "no-such-name", 0700));
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(name, target, sizeof target);
	printf("  named right: %s\n", yes(length == (ssize_t)strlen(directory) && !memcmp(target, directory, (size_t)length)));
	snprintf(name, sizeof name, "/proc/self/fd/%d/%s", fd, file);
	printf("  a path through it: %s\n", yes(stat(name, &t) == 0 && same(&s, &t)));
	snprintf(name, sizeof name, "/proc/%d/fd/%d/../.", getpid(), fd);
	snprintf(target, sizeof target, "%s/..", directory);
	printf("  and up from it: %s\n", yes(stat(name, &s) == 0 && stat(target, &t) == 0 && same(&s, &t)));
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	int again = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	report_success("  opened again by its name", again);
	printf("  which starts at the first entry: %s\n", yes(count_rest(again, 4096) >= 3));
	close(again);
	close(below);
}

static void over_a_socket(int fd)
{
	int pair[2], all;
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	lseek(fd, 0, SEEK_SET);
	all = count_rest(fd, 280);
	lseek(fd, 0, SEEK_SET);
	fflush(stdout);
	if (fork() == 0) {
		close(fd);
		fd = receive_descriptor(pair[1]);
		use("received over a socket", fd);
		printf("  read here: %s\n", yes(count_rest(fd, 280) == all));
		fflush(stdout);
		_exit(0);
	}
	send_descriptor(pair[0], fd);
	wait(NULL);
	printf("  and so it is at its end there: %s\n", yes(count_rest(fd, 280) == 0));
	close(pair[0]);
	close(pair[1]);
}

/* A child's descriptors by the parent's /proc. */
static void of_a_child(void)
{
	char name[4096], target[4096];
	int ready[2], over[2];
	struct stat s, t;
	if (pipe(ready) || pipe(over))
		abort();
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		int fd = open(directory, O_RDONLY | O_DIRECTORY);
		if (write(ready[1], &fd, sizeof fd) != sizeof fd || fchdir(fd) < 0)
			_exit(1);
		close(over[1]);
		_exit(read(over[0], &fd, 1) != 0);
	}
	int fd;
	if (read(ready[0], &fd, sizeof fd) != sizeof fd)
		abort();
	puts("of a child");
	snprintf(name, sizeof name, "/proc/%d/fd/%d", child, fd);
	ssize_t length = readlink(name, target, sizeof target);
	printf("  named right: %s\n", yes(length == (ssize_t)strlen(directory) && !memcmp(target, directory, (size_t)length)));
	printf("  the same: %s\n", yes(stat(name, &s) == 0 && stat(directory, &t) == 0 && same(&s, &t)));
	snprintf(name, sizeof name, "/proc/%d/fd/%d/%s", child, fd, file);
	report("  a path through it", access(name, R_OK));
	snprintf(name, sizeof name, "/proc/%d/cwd/%s", child, file);
	int below = open(name, O_RDONLY);
	report_success("  a path through its working directory", below);
	report("  to write", open(name, O_WRONLY));
	report("  chmod of it", chmod(name, 0600));
	snprintf(name, sizeof name, "/proc/%d/cwd", child);
	report("  chmod of its working directory", chmod(name, 0600));
	close(below);
	close(over[1]);
	int status;
	waitpid(child, &status, 0);
	printf("  it ended with %d\n", status);
}

static void executed(char **argv, int fd)
{
	char number[16];
	snprintf(number, sizeof number, "%d", fd);
	lseek(fd, 0, SEEK_SET);
	fflush(stdout);
	if (fork() == 0) {
		execl(argv[0], argv[0], directory, file, number, (char *)NULL);
		_exit(1);
	}
	wait(NULL);
	printf("after that it is at its end: %s\n", yes(count_rest(fd, 4096) == 0));
}

int main(int argc, char **argv)
{
	need_arguments(argc, 2, "descriptor_travels DIRECTORY FILE [DESCRIPTOR]");
	directory = argv[1];
	file = argv[2];
	if (argc > 3) {
		int fd = atoi(argv[3]);
		use("inherited by a program", fd);
		printf("  read here: %s\n", yes(count_rest(fd, 4096) >= 3));
		return 0;
	}
	identity(file);
	identity(".");
	listed();
	offsets();
	int fd = open(directory, O_RDONLY | O_DIRECTORY), only = open(directory, O_PATH | O_DIRECTORY), twin = dup(fd);
	use("opened", fd);
	use("by path only", only);
	use("a duplicate", twin);
	report("fchdir", fchdir(fd));
	report("a relative path from there", access(file, R_OK));
	over_a_socket(fd);
	of_a_child();
	executed(argv, fd);
	return 0;
}
