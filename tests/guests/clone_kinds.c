/*
 * clone(2) with every sharing and with flags that are about tracing: `clone_kinds PRESENT MISSING`.  Each child looks both up,
 * and so does a child of its own.  A line for each: its status, and whether it was waited for as it should be.
 */
#include "guest.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#ifndef CLONE_UNTRACED
#define CLONE_UNTRACED 0x00800000
#endif

static const char *present, *missing;
static char stack[262144];

static int look(void)
{
	struct stat s;
	return (stat(present, &s) != 0) + (stat(missing, &s) != -1 || errno != ENOENT);
}

static int in_child(void *deep)
{
	int wrong = look(), status = 0;
	if (deep) {
		pid_t child = fork();
		if (child == 0)
			_exit(look());
		wrong += waitpid(child, &status, 0) != child || status != 0;
	}
	return wrong;
}

static const struct { const char *name; int flags; void *deep; } kinds[] = {
    {"as fork", SIGCHLD, stack},
    {"untraced", CLONE_UNTRACED | SIGCHLD, stack},
    {"to be traced", CLONE_PTRACE | SIGCHLD, stack},
    {"as vfork", CLONE_VM | CLONE_VFORK | SIGCHLD, NULL},
    {"as vfork, untraced", CLONE_VM | CLONE_VFORK | CLONE_UNTRACED | SIGCHLD, NULL},
    {"same memory", CLONE_VM | SIGCHLD, stack},
    {"same memory and handlers", CLONE_VM | CLONE_SIGHAND | SIGCHLD, stack},
    {"same files and directory", CLONE_FILES | CLONE_FS | SIGCHLD, stack},
    {"all but a thread", CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | CLONE_UNTRACED | SIGCHLD, stack},
    {"no signal at its end", 0, stack},
    {"no signal, untraced", CLONE_UNTRACED, stack},
    {"another signal at its end", SIGURG, stack},
};

int main(int argc, char **argv)
{
	int status;
	need_arguments(argc, 2, "clone_kinds PRESENT MISSING");
	present = argv[1];
	missing = argv[2];
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
			pid_t child = clone(in_child, stack + sizeof stack, kinds[i].flags, kinds[i].deep);
			printf("%s: %s", kinds[i].name, child > 0 ? "made" : error_name(errno));
			if (child > 0 && waitpid(child, &status, __WALL) == child)
				printf(", status %x", status);
			puts("");
		}
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) { /* its own child becomes ours */
		clone(in_child, stack + sizeof stack, CLONE_PARENT | SIGCHLD, stack);
		_exit(look());
	}
	int count = 0, bad = 0;
	for (; wait(&status) > 0; count++)
		bad += status != 0;
	printf("of the same parent: %d, wrong %d\n", count, bad);
	return 0;
}
