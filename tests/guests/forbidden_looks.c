/*
 * A program whose own filter answers the calls that say what a descriptor or a directory is with an errno, and looks at
 * names that are relative to them: forbidden_looks ERRNO few|all DIRECTORY FILE BELOW.  few: newfstatat, statx and openat2;
 * all: stat, lstat and fstat too.  FILE is in DIRECTORY, and in BELOW, which is in DIRECTORY.
 */
#include "guest.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define FORBID(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code)

static int forbid(int code, int all)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		FORBID(SYS_newfstatat),
		FORBID(SYS_statx),
		FORBID(SYS_openat2),
		FORBID(all ? SYS_stat : SYS_newfstatat),
		FORBID(all ? SYS_lstat : SYS_newfstatat),
		FORBID(all ? SYS_fstat : SYS_newfstatat),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static void look(const char *where, int start, const char *name)
{
	char buffer[4096];
	int fd = openat(start, name, O_RDONLY);
	printf("%s %s\n", where, name);
	report_success("open", fd);
	if (fd >= 0) {
		report("read", read(fd, buffer, 4));
		close(fd);
	}
	report("faccessat", faccessat(start, name, R_OK, 0));
	report("readlinkat", readlinkat(start, name, buffer, sizeof buffer));
	report("mkdirat", mkdirat(start, name, 0700));
	report("renameat", renameat(start, name, start, name));
}

int main(int argc, char **argv)
{
	need_arguments(argc, 5, "forbidden_looks ERRNO few|all DIRECTORY FILE BELOW");
	const char *const names[] = {argv[4], "missing", "missing/x", argv[5], "..", "."};
	int dir = open(argv[3], O_RDONLY | O_DIRECTORY), path_only = open(argv[3], O_PATH);
	if (chdir(argv[3]) < 0 || forbid(atoi(argv[1]), !strcmp(argv[2], "all")) < 0)
		return 2;
	for (int again = 0; again < 2; again++) {
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
			look("here:", AT_FDCWD, names[i]);
			look("by descriptor:", dir, names[i]);
			look("by path:", path_only, names[i]);
		}
		report("chdir", chdir(argv[5]));
	}
	return 0;
}
