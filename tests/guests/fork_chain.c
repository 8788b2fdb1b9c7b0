/*
 * Forks TIMES times; each child executes the same program, which ends at once.
 */
#include "guest.h"

#include <sys/wait.h>

int main(int argc, char **argv)
{
	need_arguments(argc, 1, "fork_chain TIMES|end");
	for (int left = atoi(argv[1]); left > 0; left--) {
		int status = -1;
		pid_t child = fork();
		if (child == 0) {
			execl("/proc/self/exe", argv[0], "end", (char *)NULL);
			_exit(9);
		}
		waitpid(child, &status, 0);
		if (status)
			return 1;
	}
	return 0;
}
