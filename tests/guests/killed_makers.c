/*
 * Processes that make children are killed while they do: `killed_makers HOW ROUNDS PRESENT`.  This process adopts what they
 * leave and waits for all of it; every child looks up PRESENT.  HOW: fork, vfork, exec (the maker is another image), thread
 * (a thread of the maker makes them), and two words more: threads (this process has threads), exit (of another thread).
 */
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const char *how, *present;
static volatile int counter;

static int look(void)
{
	struct stat s;
	return stat(present, &s) == 0 ? 0 : 1;
}

static void *make(void *unused)
{
	(void)unused;
	for (;;) {
		pid_t child = strcmp(how, "vfork") ? fork() : vfork();
		if (child == 0)
			_exit(look());
		if (child > 0 && !strcmp(how, "wait"))
			waitpid(child, NULL, 0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
	}
	return NULL;
}

static void be_maker(char **argv)
{
	pthread_t thread;
	if (!strcmp(how, "exec")) {
		execl(argv[0], argv[0], "maker", "0", present, NULL);
		_exit(9);
	}
	if (!strcmp(how, "thread") || !strcmp(how, "exit")) {
		pthread_create(&thread, NULL, make, NULL);
		for (int i = 0; i < 20000 && !strcmp(how, "exit"); i++)
			counter++;
		if (!strcmp(how, "exit"))
			_exit(0);
		pause();
	}
	make(NULL);
}

static void *sleeps(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	int rounds, wrong = 0, status;
	pthread_t thread;
	need_arguments(argc, 3, "killed_makers HOW ROUNDS PRESENT [threads]");
	how = argv[1];
	present = argv[3];
	if (!strcmp(how, "maker"))
		make(NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 0; argc > 4 && i < 3; i++)
		pthread_create(&thread, NULL, sleeps, NULL);
	rounds = atoi(argv[2]);
	for (int round = 0; round < rounds; round++) {
		pid_t maker = fork();
		if (maker == 0)
			be_maker(argv);
		if (strcmp(how, "exit")) {
			for (int i = 0; i < 3 + round % 7; i++)
				sched_yield();
			usleep((unsigned)(round * 37 % 1500) + (strcmp(how, "exec") ? 0 : 1000));
			kill(maker, SIGKILL);
		}
		for (;;) {
			pid_t child = waitpid(-1, &status, 0);
			if (child < 0)
				break;
			wrong += child != maker && status != 0;
		}
	}
	printf("%d wrong\n", wrong);
	return 0;
}
