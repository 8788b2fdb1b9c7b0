/*
 * close_range(2) with every edge around NUMBER, each in a child of its own; what is open then, and what FILE holds.
 * usage: closes_ranges NUMBER FILE
 */
#include "guest.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define UNSHARE 2u
#define CLOEXEC 4u

static const char *file;

static void shown(void)
{
	long size;
	char line[65536];
	int used = 0;
	for (int fd = 0; fd < 3000; fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags >= 0)
			used += snprintf(line + used, sizeof line - (size_t)used, " %d%s", fd, flags ? "!" : "");
	}
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	dprintf(1, "  open:%s\n  file %d %016llx\n", used ? line : "", fd >= 0, (unsigned long long)hash_descriptor(fd, &size));
}

static void try(unsigned first, unsigned last, unsigned flags)
{
	fflush(stdout);
	int child = fork();
	if (child == 0) {
		long r = syscall(SYS_close_range, first, last, flags);
		int error = errno;
		if (first < 2 && last > 0 && r == 0 && !(flags & CLOEXEC))
			_exit(0); /* nowhere to say it */
		dprintf(1, "close_range %u %u %u: %ld %s\n", first, last, flags, r, r ? error_name(error) : "");
		shown();
		_exit(0);
	}
	int status;
	waitpid(child, &status, 0);
	if (status)
		printf("close_range %u %u %u: status %d\n", first, last, flags, status);
}

int main(int count, char **words)
{
	need_arguments(count, 2, "closes_ranges NUMBER FILE");
	unsigned number = (unsigned)atoi(words[1]);
	file = words[2];
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max > number + 20)
		limit.rlim_cur = number + 20;
	setrlimit(RLIMIT_NOFILE, &limit);
	int host = open("/etc/passwd", O_RDONLY);
	for (int at = -3; at <= 3; at++)
		if (at)
			dup2(host, (int)number + at);
	dup2(host, 100);
	const unsigned edges[] = {3, 100, number - 2, number - 1, number, number + 1, number + 2, number + 3, 5000, ~0u >> 1, ~0u - 1, ~0u};
	const unsigned flags[] = {0, UNSHARE, CLOEXEC, UNSHARE | CLOEXEC, 1, 8, 1u << 31, ~0u};
	const unsigned n = sizeof edges / sizeof *edges;
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++)
			for (unsigned k = 0; k < sizeof flags / sizeof *flags; k++)
				try(edges[i], edges[j], flags[k]);
	return 0;
}
