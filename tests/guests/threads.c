/*
 * Eight threads stat, open and read every PATH for ROUNDS rounds, all from the start and each in its own order, and in
 * the end must have seen the same.
 */
#include "guest.h"

#include <pthread.h>

enum { THREADS = 8, MOST_PATHS = 4096 };
struct seen {
	int error;
	mode_t mode;
	long size;
	uint64_t hash;
};
static struct seen seen[THREADS][MOST_PATHS];
static long changes[THREADS]; /* between rounds; each written by its thread alone */
static char **paths;
static int count, rounds;
static pthread_barrier_t start;

static struct seen look(const char *path)
{
	struct seen now = {0};
	struct stat s;
	int fd;
	if (stat(path, &s) == 0)
		now.mode = s.st_mode;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		now.error = errno;
		return now;
	}
	now.hash = hash_descriptor(fd, &now.size);
	close(fd);
	return now;
}

static int same(const struct seen *a, const struct seen *b)
{
	return a->error == b->error && a->mode == b->mode && a->size == b->size && a->hash == b->hash;
}

static void *body(void *argument)
{
	long me = (long)argument;
	pthread_barrier_wait(&start);
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < count; i++) {
			int which = (int)((i + me * 7) % count);
			struct seen now = look(paths[which]);
			changes[me] += round && !same(&now, &seen[me][which]);
			seen[me][which] = now;
		}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	long differences = 0;
	uint64_t hash = HASH_START;
	need_arguments(argc, 2, "threads ROUNDS PATH...");
	rounds = atoi(argv[1]);
	paths = argv + 2;
	count = argc - 2 < MOST_PATHS ? argc - 2 : MOST_PATHS;
	pthread_barrier_init(&start, NULL, THREADS);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, body, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		differences += changes[i];
		for (int p = 0; p < count; p++)
			differences += !same(&seen[0][p], &seen[i][p]);
	}
	for (int p = 0; p < count; p++)
		hash = hash_bytes(hash, &seen[0][p].hash, sizeof seen[0][p].hash);
	printf("%d threads, %d rounds, %d paths, %ld differences, hash %016llx\n", THREADS, rounds, count, differences,
	       (unsigned long long)hash);
	return differences != 0;
}
