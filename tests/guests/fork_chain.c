/*
 * Forks TIMES times; each child executes the same program, which ends at once, or PROGRAM.
 */
#include "guest.h"

#include <sys/wait.h>

int main(int argc, char **argv)
{
	need_arguments(argc, 1, "fork_chain TIMES|end [PROGRAM]");
	const char *program = argc > 2 ? argv[2] : "/proc/self/exe";
	for (int left = atoi(argv[1]); left > 0; left--) {
		int status = -1;
		pid_t child = fork();
		if (child == 0) {
			execl(program, argv[0], "end", (char *)NULL);
			_exit(9);
		}
		waitpid(child, &status, 0);
		if (status)
			return 1;
	}
	return 0;
}
