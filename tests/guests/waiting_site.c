/*
 * Threads wait in calls that are nobody's business, made at the site of all calls, syscall(3), while the first path call
 * is made there; then they go on: with what they have read, or interrupted by a handler that makes a path call there too.
 * usage: waiting_site THREADS PRESENT
 */
#include "guest.h"

#include <pthread.h>
#include <signal.h>

static const char *present;
static int ends[64][2], traps, wrong;
static pthread_t threads[64];
static pid_t ids[64];

static void trapped(int signal)
{
	(void)signal;
	__atomic_fetch_add(&traps, 1, __ATOMIC_RELAXED);
}

static void look(void)
{
	struct stat s;
	memset(&s, 0, sizeof s);
	int bad = syscall(SYS_stat, present, &s) != 0 || !S_ISREG(s.st_mode) || syscall(SYS_stat, NULL, &s) != -1;
	__atomic_fetch_add(&wrong, bad, __ATOMIC_RELAXED);
}

static void interrupts(int signal)
{
	(void)signal;
	look();
}

static void *waits(void *number)
{
	char byte = 0;
	__atomic_store_n(&ids[(long)number], gettid(), __ATOMIC_RELEASE);
	long got = syscall(SYS_read, ends[(long)number][0], &byte, 1L);
	if (got == -1 && errno == EINTR)
		got = syscall(SYS_read, ends[(long)number][0], &byte, 1L);
	__atomic_fetch_add(&wrong, got != 1 || byte != 'x', __ATOMIC_RELAXED);
	look();
	return NULL;
}

/* Until it waits in read(2): its number is the first field of /proc/self/task/TID/syscall. */
static void await(pid_t id)
{
	char name[64], text[16] = "";
	snprintf(name, sizeof name, "/proc/self/task/%d/syscall", id);
	while (strncmp(text, "0 ", 2)) {
		int fd = open(name, O_RDONLY);
		if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
			text[0] = 0;
		close(fd);
		usleep(1000);
	}
}

int main(int count, char **words)
{
	need_arguments(count, 2, "waiting_site THREADS PRESENT");
	int number = atoi(words[1]);
	struct sigaction on_trap = {.sa_handler = trapped}, on_alarm = {.sa_handler = interrupts};
	present = words[2];
	sigaction(SIGTRAP, &on_trap, NULL);
	sigaction(SIGUSR1, &on_alarm, NULL);
	for (long i = 0; i < number; i++)
		if (pipe(ends[i]) < 0 || pthread_create(&threads[i], NULL, waits, (void *)i) != 0)
			return 1;
	for (int i = 0; i < number; i++) {
		while (!__atomic_load_n(&ids[i], __ATOMIC_ACQUIRE))
			usleep(1000);
		await(ids[i]);
	}
	look();
	look();
	for (int i = 0; i < number; i++) {
		if (i % 2)
			pthread_kill(threads[i], SIGUSR1);
		if (write(ends[i][1], "x", 1) != 1)
			return 1;
		pthread_join(threads[i], NULL);
	}
	printf("wrong: %d, traps: %d\n", wrong, traps);
	return wrong != 0;
}
