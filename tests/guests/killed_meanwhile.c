/*
 * A process with threads that attaches to another one with threads, again and again; one of the two is killed at any moment
 * of that.  Prints how often both have ended.
 * usage: killed_meanwhile borrower|lent ROUNDS
 */
#include "guest.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { IDLE = 2 };

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void have_threads(void)
{
	pthread_t thread;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < IDLE; i++)
		pthread_create(&thread, NULL, idle, NULL);
}

static pid_t begin_to_wait(void)
{
	pid_t child = fork();
	if (child)
		return child;
	have_threads();
	idle(NULL);
	return 0;
}

static pid_t begin_to_attach(pid_t whom, int ready)
{
	int status;
	pid_t child = fork();
	if (child)
		return child;
	have_threads();
	if (write(ready, "x", 1) != 1)
		_exit(1);
	while (ptrace(PTRACE_ATTACH, whom, 0, 0) == 0 && waitpid(whom, &status, __WALL) == whom)
		ptrace(PTRACE_DETACH, whom, 0, 0);
	idle(NULL);
	return 0;
}

int main(int count, char **words)
{
	int ready[2], ended = 0;
	char byte;
	need_arguments(count, 2, "killed_meanwhile borrower|lent ROUNDS");
	if (pipe(ready))
		return 1;
	for (int round = 0; round < atoi(words[2]); round++) {
		pid_t lent = begin_to_wait(), borrower = begin_to_attach(lent, ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			return 1;
		usleep((unsigned)(round * 37 % 1500));
		int borrower_first = !strcmp(words[1], "borrower");
		kill(borrower_first ? borrower : lent, SIGKILL);
		usleep(2000);
		kill(borrower_first ? lent : borrower, SIGKILL); /* who attaches keeps the end of the other from us */
		ended += waitpid(borrower, NULL, 0) > 0;
		ended += waitpid(lent, NULL, 0) > 0;
	}
	printf("ended %d\n", ended);
	return 0;
}
