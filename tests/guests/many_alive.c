/*
 * Processes that are alive at once, with threads that are: `many_alive PROCESSES THREADS PRESENT MISSING`.  All look both
 * paths up when they begin, and again when the last has begun.  Prints how many looked, and how many answers were wrong.
 */
#include "guest.h"

#include <limits.h>
#include <pthread.h>
#include <sys/wait.h>

static const char *present, *missing;
static int begun[2], go[2], ends[2];

static int look(void)
{
	struct stat s;
	int fd = open(present, O_RDONLY | O_CLOEXEC), wrong = fd < 0 || fstat(fd, &s) != 0 || !S_ISREG(s.st_mode);
	if (fd >= 0)
		close(fd);
	return wrong + (stat(missing, &s) != -1 || errno != ENOENT);
}

static void *live(void *unused)
{
	char wrong = (char)look(), byte;
	if (write(begun[1], "x", 1) != 1 || read(go[0], &byte, 1) != 0) /* at the end of file they all go on */
		wrong++;
	wrong = (char)(wrong + look());
	return write(ends[1], &wrong, 1) == 1 ? unused : NULL;
}

static void be_process(int threads)
{
	pthread_t thread[1000];
	pthread_attr_t small;
	close(go[1]);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN > 32768 ? PTHREAD_STACK_MIN : 32768);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], &small, live, NULL) != 0)
			_exit(1);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	_exit(0);
}

int main(int argc, char **argv)
{
	char byte;
	int wrong = 0, status;
	need_arguments(argc, 4, "many_alive PROCESSES THREADS PRESENT MISSING");
	int processes = atoi(argv[1]), threads = atoi(argv[2]), all = processes * threads;
	present = argv[3];
	missing = argv[4];
	if (threads > 1000 || pipe(begun) || pipe(go) || pipe(ends))
		return 2;
	for (int i = 0; i < processes; i++)
		if (fork() == 0)
			be_process(threads);
	close(begun[1]);
	close(ends[1]);
	for (int i = 0; i < all; i++)
		wrong += read(begun[0], &byte, 1) != 1;
	close(go[1]);
	for (int i = 0; i < all; i++)
		wrong += read(ends[0], &byte, 1) != 1 || byte;
	while (wait(&status) > 0)
		wrong += status != 0;
	printf("%d alive at once, %d wrong\n", all, wrong);
	return 0;
}
