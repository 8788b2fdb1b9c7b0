/*
 * What the kernel tells a program when it begins: arguments, the name it was executed by, its own name, its executable.
 * TOLD in the environment is shown too, and COUNT shows how many arguments came instead of the arguments.
 */
#include "guest.h"

#include <sys/auxv.h>
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	char comm[16] = "", shown[4096] = "";
	const char *name = (const char *)getauxval(AT_EXECFN), *told = getenv("TOLD");
	size_t bytes = 0;
	prctl(PR_GET_NAME, comm);
	if (readlink("/proc/self/exe", shown, sizeof shown - 1) < 0)
		strcpy(shown, error_name(errno));
	if (getenv("COUNT")) {
		for (int i = 0; i < argc; i++)
			bytes += strlen(argv[i]);
		printf("%d arguments of %zu bytes\n", argc, bytes);
	}
	for (int i = 0; i < argc && !getenv("COUNT"); i++)
		printf("argv[%d]=%s|\n", i, argv[i]);
	printf("AT_EXECFN=%s|\ncomm=%s|\nexe=%s|\nTOLD=%s|\n", name ? name : "", comm, shown, told ? told : "");
	return 0;
}
