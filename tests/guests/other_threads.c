/*
 * One thread opens PATH, which blocks; meanwhile another works on host files and then creates MARK.
 * Whoever lets the open go on waits for MARK, so the order of the lines shows that the other thread was not held up.
 */
#include "guest.h"

#include <pthread.h>

static const char *mark;

static void *other(void *unused)
{
	struct stat s;
	int good = 0;
	(void)unused;
	for (int i = 0; i < 1000; i++) {
		int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
		good += stat("/", &s) == 0 && fd >= 0;
		close(fd);
	}
	printf("the other thread did %d rounds\n", good);
	fflush(stdout);
	close(open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int fd, error;
	need_arguments(argc, 2, "other_threads PATH MARK");
	mark = argv[2];
	pthread_create(&thread, NULL, other, NULL);
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	error = errno;
	if (fd < 0)
		printf("open returned -1 %s\n", error_name(error));
	else
		puts("open returned");
	fflush(stdout);
	pthread_join(thread, NULL);
	return 0;
}
