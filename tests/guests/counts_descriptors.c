/*
 * Which descriptors are open, by every way to look: of itself, in a thread, of its parent, after an exec; then how many
 * FILE can be opened.  usage: counts_descriptors FILE
 */
#include "guest.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define MOST 1100 /* of those that are asked for one by one */

struct old_entry {
	unsigned long inode, next;
	unsigned short length;
	char name[];
};
struct new_entry {
	uint64_t inode, next;
	unsigned short length;
	unsigned char type;
	char name[];
};

static int ascending(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void show(const char *what, int *numbers, int count)
{
	qsort(numbers, (size_t)count, sizeof *numbers, ascending);
	printf("%s: %d", what, count);
	for (int i = 0; i < count && i < 20; i++)
		printf(" %d", numbers[i]);
	puts("");
}

static void listed(const char *path, int is_old, unsigned size)
{
	static int numbers[MOST];
	char buffer[4096], what[200];
	int count = 0, fd = open(path, O_RDONLY | O_DIRECTORY);
	long got = 0;
	while (fd >= 0 && (got = syscall(is_old ? SYS_getdents : SYS_getdents64, fd, buffer, size)) > 0)
		for (char *at = buffer; at < buffer + got;) {
			const struct old_entry *old = (void *)at;
			const struct new_entry *new = (void *)at;
			const char *name = is_old ? old->name : new->name;
			if (name[0] != '.' && count < MOST)
				numbers[count++] = atoi(name);
			at += is_old ? old->length : new->length;
		}
	snprintf(what, sizeof what, "%s by %s in %u", strncmp(path, "/proc/self", 10) && path[6] > '0' && path[6] <= '9' ? "of the parent" : path,
		 is_old ? "getdents" : "getdents64", size);
	show(what, numbers, count);
	report_success("  the end", got);
	if (fd >= 0)
		close(fd);
}

static void asked(void)
{
	static int by_flags[MOST], by_mode[MOST], by_status[MOST], by_poll[MOST], by_name[MOST];
	int flags = 0, modes = 0, statuses = 0, polls = 0, names = 0;
	char path[64], text[64];
	struct stat s;
	for (int fd = 0; fd < MOST; fd++) {
		struct pollfd one = {fd, POLLIN, 0};
		if (fcntl(fd, F_GETFD) >= 0)
			by_flags[flags++] = fd;
		if (fcntl(fd, F_GETFL) >= 0)
			by_mode[modes++] = fd;
		if (fstat(fd, &s) == 0)
			by_status[statuses++] = fd;
		else if (errno != EBADF)
			printf("%d: %s\n", fd, error_name(errno));
		if (poll(&one, 1, 0) >= 0 && !(one.revents & POLLNVAL))
			by_poll[polls++] = fd;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (readlink(path, text, sizeof text) > 0 || stat(path, &s) == 0)
			by_name[names++] = fd;
		else if (errno != ENOENT)
			printf("%s: %s\n", path, error_name(errno));
	}
	show("by F_GETFD", by_flags, flags);
	show("by F_GETFL", by_mode, modes);
	show("by fstat", by_status, statuses);
	show("by poll", by_poll, polls);
	show("by name", by_name, names);
}

static void sizes(const char *path)
{
	struct stat s;
	struct statx x;
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	printf("%s: stat %ld,", path, stat(path, &s) ? -1 : (long)s.st_size);
	printf(" lstat %ld,", lstat(path, &s) ? -1 : (long)s.st_size);
	printf(" fstat %ld,", fstat(fd, &s) ? -1 : (long)s.st_size);
	printf(" fstatat %ld,", fstatat(fd, ".", &s, 0) ? -1 : (long)s.st_size);
	printf(" statx %ld\n", statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x) ? -1 : (long)x.stx_size);
	close(fd);
}

static void *look(void *unused)
{
	static const char *const places[] = {"/proc/self/fd", "/proc/thread-self/fd", "/dev/fd", "/dev/fd/", "/proc/self/fdinfo",
					     "/proc/thread-self/fdinfo"};
	for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
		listed(places[i], 0, 4096);
		listed(places[i], 1, 4096);
		listed(places[i], 0, 24);
		listed(places[i], 1, 24);
		listed(places[i], 0, 23);
	}
	asked();
	sizes("/proc/self/fd");
	sizes("/dev/fd/.");
	return unused;
}

static void of_parent(int parent)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/fd", parent);
	listed(path, 0, 4096);
	snprintf(path, sizeof path, "/proc/%d/fdinfo", parent);
	listed(path, 0, 4096);
}

static void fill(const char *file)
{
	int count = 0, last = -1, fd;
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	printf("limits %ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
	while ((fd = open(file, O_RDONLY)) >= 0 && fd < 30000) {
		count++;
		last = fd;
	}
	printf("filled: %d, last %d, %s\n", count, last, fd < 0 ? error_name(errno) : "enough");
}

int main(int count, char **words)
{
	need_arguments(count, 1, "counts_descriptors FILE");
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	pthread_t thread;
	look(NULL);
	puts("in a thread");
	pthread_create(&thread, NULL, look, NULL);
	pthread_join(thread, NULL);
	puts("in a child");
	fflush(stdout);
	if (fork() == 0) {
		look(NULL);
		of_parent(getppid());
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	if (count == 2) {
		fflush(stdout);
		execl("/proc/self/exe", words[0], words[1], "executed", NULL);
	}
	fill(words[1]);
	return 0;
}
