/*
 * A handler makes its first path call at the very site at which the call lies that it interrupted: once a call that is
 * nobody's business (read), once a path call that blocks (opening a fifo).
 * usage: interrupted_site PRESENT FIFO
 */
#include "guest.h"

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static const char *present, *fifo;
static int ends[2];
static volatile sig_atomic_t in_handler = -1;

static void writes(int signal)
{
	struct stat s;
	(void)signal;
	in_handler = (int)syscall(SYS_stat, present, &s);
	syscall(SYS_write, ends[1], "x", 1);
}

static void opens(int signal)
{
	(void)signal;
	int fd = open(present, O_RDONLY);
	in_handler = fd < 0 ? -1 : 0;
	close(fd);
	if (fork() == 0) {
		fd = open(fifo, O_WRONLY);
		_exit(write(fd, "yz", 2) != 2);
	}
}

static void arm(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct itimerval soon = {.it_value.tv_usec = 50000};
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
}

int main(int count, char **words)
{
	char got[4] = "";
	struct stat s;
	need_arguments(count, 2, "interrupted_site PRESENT FIFO");
	present = words[1];
	fifo = words[2];
	if (pipe(ends) < 0)
		return 1;
	arm(writes);
	report("read", syscall(SYS_read, ends[0], got, 1));
	printf("%s handler: %d\n", got, in_handler);
	report("stat", syscall(SYS_stat, present, &s));
	arm(opens);
	int fd = open(fifo, O_RDONLY);
	report("read", read(fd, got, 2));
	printf("%s handler: %d\n", got, in_handler);
	int status = -1;
	wait(&status);
	printf("child: %d\n", status);
	return 0;
}
