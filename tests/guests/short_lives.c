/*
 * Many tasks that live for one look: `short_lives MAKERS PROCESSES THREADS PRESENT MISSING`: MAKERS processes at once, each
 * of which makes so many children, every fourth by vfork, and so many threads, four at a time.  Prints how many answers
 * were wrong.
 */
#include "guest.h"

#include <pthread.h>
#include <sys/wait.h>

static const char *present, *missing;

static int look(void)
{
	struct stat s;
	return (stat(present, &s) != 0) + (stat(missing, &s) != -1 || errno != ENOENT) + (access(present, R_OK) != 0);
}

static void *look_in_thread(void *unused)
{
	(void)unused;
	return (void *)(long)look();
}

static int children(int count)
{
	volatile int wrong = 0;
	int status = -1;
	for (volatile int i = 0; i < count; i++) {
		pid_t child = i % 4 ? fork() : vfork();
		if (child == 0)
			_exit(look());
		wrong += waitpid(child, &status, 0) != child || status != 0;
	}
	return wrong;
}

static int threads(int count)
{
	pthread_t all[4];
	int wrong = 0;
	for (int i = 0; i < count; i += 4) {
		for (int j = 0; j < 4; j++)
			wrong += pthread_create(&all[j], NULL, look_in_thread, NULL) != 0;
		for (int j = 0; j < 4; j++) {
			void *result = (void *)1L;
			pthread_join(all[j], &result);
			wrong += result != NULL;
		}
	}
	return wrong;
}

int main(int argc, char **argv)
{
	int wrong = 0, status;
	need_arguments(argc, 5, "short_lives MAKERS PROCESSES THREADS PRESENT MISSING");
	present = argv[4];
	missing = argv[5];
	for (int i = 0; i < atoi(argv[1]); i++)
		if (fork() == 0)
			_exit(children(atoi(argv[2])) + threads(atoi(argv[3])) != 0);
	while (wait(&status) > 0)
		wrong += status != 0;
	printf("%d wrong\n", wrong);
	return 0;
}
