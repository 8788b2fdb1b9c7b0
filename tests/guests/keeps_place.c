/*
 * How often the kernel is asked about a working directory: `keeps_place DIRECTORY FILE`.  FILE in DIRECTORY is looked at by
 * its name alone; then a filter of the program's own forbids all calls that say what a descriptor or directory is, and it
 * is looked at again.
 */
#include "guest.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static void look(const char *file)
{
	struct stat s;
	char buffer[4096];
	report("stat", stat(file, &s));
	report("stat of what is missing", stat("missing", &s));
	report("access", access(file, R_OK));
	report_success("getcwd", getcwd(buffer, sizeof buffer) ? 0 : -1);
}

int main(int argc, char **argv)
{
	need_arguments(argc, 2, "keeps_place DIRECTORY FILE");
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fstat, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_stat, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_access, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getcwd, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
	if (chdir(argv[1]) < 0)
		return 2;
	for (int warm = 0; warm < 2; warm++)
		look(argv[2]);
	fflush(stdout);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return 1;
	puts("filtered");
	look(argv[2]);
	if (chdir("..") < 0 || chdir(argv[1]) < 0)
		return 3;
	puts("moved");
	look(argv[2]);
	return 0;
}
