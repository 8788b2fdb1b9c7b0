/*
 * A program that sandboxes itself as many do: a filter that answers every number which it does not know with an errno,
 * or with SIGSYS, whose handler answers.  Before and after it says what it sees.
 * usage: own_filter ERRNO|0 KNOWN PATH...; 0: by the handler.  KNOWN is looked at before the filter is set.
 */
#include "guest.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

#define HIGHEST 600 /* numbers of calls are lower */

static void answers(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context; /* rax stays what it was: a number that is no errno */
}

static void look(const char *path)
{
	struct stat s;
	char buffer[64];
	printf("%s\n", path);
	report("stat", stat(path, &s));
#ifdef STATX_BASIC_STATS
	struct statx x;
	report("statx", statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &x));
#endif
	report("access", access(path, R_OK));
	report("getxattr", (int)getxattr(path, "user.none", buffer, sizeof buffer));
	int fd = open(path, O_RDONLY);
	report_success("open", fd);
	if (fd >= 0)
		close(fd);
	report("mkdir", mkdir(path, 0700));
	report("linkat", linkat(AT_FDCWD, path, AT_FDCWD, path, 0));
}

int main(int count, char **words)
{
	need_arguments(count, 4, "own_filter ERRNO|0 KNOWN PATH...");
	unsigned code = (unsigned)atoi(words[1]);
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, HIGHEST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, code ? SECCOMP_RET_ERRNO | code : SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
	struct sigaction action = {.sa_sigaction = answers, .sa_flags = SA_SIGINFO};
	sigaction(SIGSYS, &action, NULL);
	look(words[2]);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return 1;
	for (int i = 2; i < count; i++)
		look(words[i]);
	return 0;
}
