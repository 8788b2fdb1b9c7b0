/*
 * Threads are cancelled: some that wait in a read() that would never end, others at just about the moment when they
 * begin it.  Each must end, as cancelled; one that does not is waited for until the alarm.
 * usage: cancelled_calls ROUNDS PATH
 */
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

static const char *path;
static int ends[2];
static volatile int begun;

static void open_and_close(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
}

static void *waits(void *unused)
{
	char byte;
	open_and_close();
	begun = 1;
	while (read(ends[0], &byte, 1) >= 0)
		continue;
	return unused;
}

static void spin(int turns)
{
	for (volatile int i = 0; i < turns; i++)
		continue;
}

static void *begins(void *turns)
{
	char byte;
	begun = 1;
	spin((int)(intptr_t)turns);
	while (read(ends[0], &byte, 1) >= 0)
		continue;
	return NULL;
}

/* How many of the threads ended as cancelled. */
static int cancel(void *(*what)(void *), int rounds, long nanoseconds)
{
	int ended = 0;
	for (int i = 0; i < rounds; i++) {
		pthread_t thread;
		void *result = NULL;
		begun = 0;
		pthread_create(&thread, NULL, what, (void *)(intptr_t)(i % 97));
		while (!begun)
			sched_yield();
		if (nanoseconds)
			nanosleep(&(struct timespec){0, nanoseconds}, NULL);
		else
			spin(i % 89);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		ended += result == PTHREAD_CANCELED;
	}
	return ended;
}

int main(int count, char **words)
{
	need_arguments(count, 2, "cancelled_calls ROUNDS PATH");
	int rounds = atoi(words[1]);
	path = words[2];
	alarm(60);
	if (pipe(ends) < 0)
		return 1;
	open_and_close(); /* the first calls, before there are threads */
	printf("waiting: %d of %d\n", cancel(waits, rounds, 1000000), rounds);
	printf("beginning: %d of %d\n", cancel(begins, 20 * rounds, 0), 20 * rounds);
	return 0;
}
