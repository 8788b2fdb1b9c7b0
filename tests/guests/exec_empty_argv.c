/*
 * Executes PROGRAM with no arguments at all, not even its name (the kernel gives it an empty one since 5.18).
 */
#include "guest.h"

int main(int argc, char **argv)
{
	char *none[] = {NULL}, *environment[] = {NULL};
	need_arguments(argc, 1, "exec_empty_argv PROGRAM");
	execve(argv[1], none, environment);
	printf("-1 %s\n", error_name(errno));
	return 1;
}
