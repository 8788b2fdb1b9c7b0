/*
 * Crashes, and has a handler as ROOT, Athena and CMSSW have: it starts gdb on its own process and waits for what that
 * finds.  Then it looks at files as before.
 * usage: crashes FILE MISSING
 */
#include "guest.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static char **words;

static void on_crash(int signal)
{
	char process[32];
	int status;
	struct stat s;
	(void)signal;
	snprintf(process, sizeof process, "%d", getpid());
	pid_t child = fork();
	if (!child) {
		execlp("gdb", "gdb", "-nx", "-q", "-batch", "-p", process, "-ex", "thread apply all bt", "-ex", "info inferiors",
		       (char *)NULL);
		_exit(127);
	}
	waitpid(child, &status, 0);
	printf("gdb ended with %d\n", status);
	report("there", stat(words[1], &s));
	report("not there", stat(words[2], &s));
	fflush(stdout);
	_exit(3);
}

static void *waits_in_a_thread(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static __attribute__((noinline)) int crashes_here(volatile int *nowhere)
{
	return *nowhere + 1;
}

int main(int count, char **all)
{
	pthread_t thread;
	need_arguments(count, 2, "crashes FILE MISSING");
	words = all;
	alarm(60);
	signal(SIGSEGV, on_crash);
	pthread_create(&thread, NULL, waits_in_a_thread, NULL);
	return crashes_here((int *)8) + 1;
}
