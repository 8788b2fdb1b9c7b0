/*
 * A debugger that lives on after what it has attached to has ended, and somebody else who gets the number that is free then.
 *
 * borrow           attaches to a child, kills it, waits for its end, prints its number, and ends with its standard input
 * take COMMAND...  starts a command that does so, makes a child with the number that it prints (ns_last_pid of
 *                  pid_namespaces(7): needs one of its own), has the input end, and says what has become of that child when
 *                  the command has ended
 */
#include "guest.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { A_WHILE = 50000 }; /* microseconds: sooner no number comes round, and the kernel's start times would be the same */

static pid_t begin_to_wait(void)
{
	pid_t child = fork();
	if (child)
		return child;
	alarm(60);
	for (;;)
		pause();
}

static int borrow(void)
{
	char byte;
	int status;
	pid_t child = begin_to_wait();
	if (ptrace(PTRACE_ATTACH, child, 0, 0) || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return 1;
	kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		return 2;
	usleep(A_WHILE);
	printf("%d\n", child);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		continue;
	return 0;
}

static pid_t begin_with_number(pid_t number)
{
	FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");
	if (!last || fprintf(last, "%d", number - 1) < 0 || fclose(last))
		return -1;
	pid_t child = fork();
	if (child)
		return child;
	close_range(3, ~0u, 0); /* the pipes end without it */
	alarm(60);
	for (;;)
		pause();
}

static int take(char **command)
{
	int input[2], output[2], status = 0;
	char line[256];
	if (pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
		return 1;
	pid_t job = fork();
	if (job == 0) {
		dup2(input[0], 0);
		dup2(output[1], 1);
		execvp(command[0], command);
		_exit(127);
	}
	close(input[0]);
	close(output[1]);
	FILE *said = fdopen(output[0], "r");
	if (!said || !fgets(line, sizeof line, said))
		return 2;
	pid_t number = atoi(line), child = begin_with_number(number);
	if (child < 0)
		return 3;
	report("has the number", child == number ? 0 : -1);
	close(input[1]);
	while (fgets(line, sizeof line, said))
		fputs(line, stdout);
	waitpid(job, &status, 0);
	printf("the command ended with %d, ", status);
	printf("who has the number is %s\n", waitpid(child, &status, WNOHANG) == 0 ? "there" : "gone");
	kill(child, SIGKILL);
	return 0;
}

int main(int count, char **words)
{
	need_arguments(count, 1, "number_again borrow | take COMMAND...");
	return strcmp(words[1], "take") ? borrow() : take(words + 2);
}
