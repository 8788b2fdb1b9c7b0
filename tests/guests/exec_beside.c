/*
 * A thread executes while the others, the first among them, wait in calls: `exec_beside PATH NUMBER PROGRAM [ARGUMENT...]`.
 * NUMBER threads open PATH, which blocks; when a line comes on standard input another executes PROGRAM.
 */
#include "guest.h"

#include <pthread.h>

static char **words;

static void *opens(void *unused)
{
	(void)unused;
	int fd = open(words[1], O_RDONLY | O_CLOEXEC);
	report_success("open came back", fd);
	return NULL;
}

static void *executes(void *unused)
{
	char byte;
	(void)unused;
	while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
		continue;
	execv(words[3], words + 3);
	_exit(9);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	need_arguments(argc, 3, "exec_beside PATH NUMBER PROGRAM [ARGUMENT...]");
	words = argv;
	pthread_create(&thread, NULL, executes, NULL);
	for (int i = 1; i < atoi(argv[2]); i++)
		pthread_create(&thread, NULL, opens, NULL);
	opens(NULL);
	fflush(stdout);
	pthread_join(thread, NULL);
	return 8;
}
