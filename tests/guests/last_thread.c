/*
 * A process that goes on where its first thread has ended, or under another program: `last_thread HOW DIRECTORY COUNT`.
 * The last thread opens COUNT files DIRECTORY/f00000.dat ... and ends the process with 7.  HOW: open (at once), leave (the
 * first thread ends before), exec (another thread executes this again), leave-exec, leave-kill (ends by SIGKILL).
 */
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

static char **words;

static void open_all(void)
{
	char path[4200];
	int good = 0;
	for (int i = 0; i < atoi(words[3]); i++) {
		snprintf(path, sizeof path, "%s/f%05d.dat", words[2], i);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		good += fd >= 0;
		close(fd);
	}
	printf("opened %d\n", good);
	fflush(stdout);
}

/* Until /proc shows the first thread as a zombie. */
static void wait_for_leader(void)
{
	char name[64], text[512] = "", *end;
	do {
		sched_yield();
		snprintf(name, sizeof name, "/proc/self/task/%d/stat", getpid());
		int fd = open(name, O_RDONLY);
		ssize_t got = read(fd, text, sizeof text - 1);
		text[got < 0 ? 0 : got] = 0;
		close(fd);
		end = strrchr(text, ')');
	} while (!end || end[2] != 'Z');
}

static void *other(void *unused)
{
	(void)unused;
	if (strncmp(words[1], "leave", 5) == 0) {
		wait_for_leader();
		puts("the first thread has ended");
		fflush(stdout);
	}
	if (strstr(words[1], "exec")) {
		execl(words[0], words[0], "open", words[2], words[3], NULL);
		_exit(9);
	}
	open_all();
	if (strstr(words[1], "kill"))
		kill(getpid(), SIGKILL);
	exit(7);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	need_arguments(argc, 3, "last_thread open|leave|exec|leave-exec|leave-kill DIRECTORY COUNT");
	words = argv;
	if (!strcmp(argv[1], "open")) {
		open_all();
		return 7;
	}
	pthread_create(&thread, NULL, other, NULL);
	if (strncmp(argv[1], "leave", 5) == 0)
		pthread_exit(NULL);
	pthread_join(thread, NULL);
	return 9;
}
