/*
 * What a program inherits from the one that executed it (execve(2)), without what must differ from process to process.
 * Prints dispositions and masks, ids, limits, nice value, umask, descriptors with their flags, terminal and groups.
 */
#include "guest.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void print_signals(void)
{
	sigset_t blocked;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int number = 1; number < 65; number++) {
		struct sigaction action;
		if (sigaction(number, NULL, &action) < 0)
			continue;
		if (action.sa_handler != SIG_DFL || sigismember(&blocked, number))
			printf("signal %d:%s%s\n", number, action.sa_handler == SIG_IGN ? " ignored" : "",
			       sigismember(&blocked, number) ? " blocked" : "");
	}
}

static void print_limits(void)
{
	for (int resource = 0; resource < (int)RLIMIT_NLIMITS; resource++) {
		struct rlimit limit;
		getrlimit(resource, &limit);
		printf("limit %d: %ld %ld\n", resource, (long)limit.rlim_cur, (long)limit.rlim_max);
	}
}

static void print_descriptors(void)
{
	char name[64], target[256];
	for (int fd = 0; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags < 0)
			continue;
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		ssize_t length = readlink(name, target, sizeof target - 1);
		target[length < 0 ? 0 : length] = 0;
		printf("descriptor %d: %s close-on-exec=%d status=%o\n", fd, target, flags & FD_CLOEXEC, fcntl(fd, F_GETFL));
	}
}

int main(void)
{
	gid_t groups[64];
	char directory[256];
	cpu_set_t processors;
	mode_t mask = umask(0);
	umask(mask);
	print_signals();
	print_limits();
	print_descriptors();
	sched_getaffinity(0, sizeof processors, &processors);
	printf("umask %o, nice %d, scheduler %d, processors %d\n", mask, getpriority(PRIO_PROCESS, 0), sched_getscheduler(0),
	       CPU_COUNT(&processors));
	printf("uid %d %d, gid %d %d, groups %d\n", getuid(), geteuid(), getgid(), getegid(), getgroups(64, groups));
	printf("parent is %s, session %s, group %s\n", getenv("PARENT") && getppid() == atoi(getenv("PARENT")) ? "the same" : "another",
	       getsid(0) == getsid(getppid()) ? "the parent's" : "another", getpgrp() == getpgid(getppid()) ? "the parent's" : "another");
	printf("directory %s\n", getcwd(directory, sizeof directory));
	printf("personality %x, dumpable %d, keep capabilities %d\n", personality(0xffffffff),
	       prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS));
	printf("timer slack %d\n", prctl(PR_GET_TIMERSLACK));
	return 0;
}
