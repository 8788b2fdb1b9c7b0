/*
 * COUNT threads open one file each, all at once: `many_opens DIRECTORY/f%05d.dat COUNT`, or the same file where there is
 * no %.  Prints how many could be opened, the sum of their bytes and a hash over all contents in order.
 */
#include "guest.h"

#include <pthread.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static const char *pattern;
static pthread_barrier_t together;
static struct {
	pthread_t thread;
	uint64_t hash;
	long size;
	int number, error;
} rows[1024];

static void *open_one(void *argument)
{
	char name[4096];
	int number = *(int *)argument;
	snprintf(name, sizeof name, pattern, number);
	pthread_barrier_wait(&together);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	rows[number].error = fd < 0 ? errno : 0;
	if (fd >= 0)
		rows[number].hash = hash_descriptor(fd, &rows[number].size);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t hash = HASH_START;
	long bytes = 0;
	int opened = 0, count;
	need_arguments(argc, 2, "many_opens PATTERN COUNT");
	pattern = argv[1];
	count = atoi(argv[2]);
	pthread_barrier_init(&together, NULL, (unsigned)count);
	for (int i = 0; i < count; i++) {
		rows[i].number = i;
		if (pthread_create(&rows[i].thread, NULL, open_one, &rows[i].number))
			return 3;
	}
	for (int i = 0; i < count; i++) {
		pthread_join(rows[i].thread, NULL);
		opened += !rows[i].error;
		bytes += rows[i].size;
		hash = hash_bytes(hash, &rows[i].hash, sizeof hash);
	}
	printf("opened %d, bytes %ld, hash %016lx\n", opened, bytes, (unsigned long)hash);
	for (int i = 0; i < count; i++)
		if (rows[i].error)
			printf("%d: %s\n", i, error_name(rows[i].error));
	return 0;
}
