/*
 * Children that execute themselves three times, at all moments of which something happens to them.
 *   kill ROUNDS   each is killed a little later than the one before
 *   stop ROUNDS   each is stopped and continued a little later than the one before: one stop, and a good end
 *   many COUNT    all execute at once
 * Prints what was wrong.
 */
#include "guest.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define SPREAD 4000 /* microseconds: three times exec, however it is done, and more */

static char *self;

static void executes(const char *times)
{
	char *const words[] = {self, (char *)"chain", (char *)times, NULL};
	execv("/proc/self/exe", words);
	_exit(9);
}

static void spin(long microseconds)
{
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 < microseconds);
}

static pid_t starts(void)
{
	pid_t child = fork();
	if (child == 0)
		executes("3");
	return child;
}

static int is_good_end(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int kills(int rounds)
{
	int wrong = 0;
	for (int i = 0; i < rounds; i++) {
		int status = -1;
		pid_t child = starts();
		spin((long)i * SPREAD / rounds);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		wrong += !is_good_end(status) && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	return wrong;
}

static int stops(int rounds)
{
	int wrong = 0;
	for (int i = 0; i < rounds; i++) {
		int status = -1;
		pid_t child = starts();
		spin((long)i * SPREAD / rounds);
		kill(child, SIGSTOP);
		waitpid(child, &status, WUNTRACED);
		if (WIFSTOPPED(status)) {
			wrong += WSTOPSIG(status) != SIGSTOP;
			kill(child, SIGCONT);
			waitpid(child, &status, WUNTRACED);
		}
		if (!is_good_end(status)) {
			wrong++;
			kill(child, SIGKILL);
		}
	}
	return wrong;
}

static int many(int count)
{
	int wrong = 0, gate[2];
	char byte;
	if (pipe2(gate, O_CLOEXEC) < 0)
		return -1;
	for (int i = 0; i < count; i++)
		if (fork() == 0) {
			close(gate[1]);
			if (read(gate[0], &byte, 1) == 0) /* until all writers have gone */
				executes("3");
			_exit(8);
		}
	close(gate[1]);
	for (int i = 0; i < count; i++) {
		int status = -1;
		wait(&status);
		wrong += !is_good_end(status);
	}
	return wrong;
}

int main(int argc, char **argv)
{
	need_arguments(argc, 2, "exec_storm kill|stop|many COUNT");
	int count = atoi(argv[2]);
	self = argv[0];
	if (!strcmp(argv[1], "chain")) {
		if (count > 0)
			executes((const char[]){(char)('0' + count - 1), 0});
		return 0;
	}
	int wrong = argv[1][0] == 'k' ? kills(count) : argv[1][0] == 's' ? stops(count) : many(count);
	printf("%d wrong\n", wrong);
	return 0;
}
