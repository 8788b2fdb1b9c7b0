/*
 * Children that do one thing over and over are killed at any moment: `killed_anywhere WHAT ROUNDS PRESENT DIRECTORY`.
 * WHAT: calls, questions (names that nobody has asked for), faults, handlers (sigaction), execs, threads, forks.
 * Each must end by SIGKILL; afterwards this process is served as ever.
 */
#include "guest.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

extern char **environ;
static const char *present, *directory;
static char *hole, *me;
static int round_number;

static int look(void)
{
	struct stat s;
	int fd = open(present, O_RDONLY | O_CLOEXEC), wrong = stat(present, &s) != 0;
	if (fd < 0)
		return wrong + 1;
	close(fd);
	return wrong;
}

static void calls(int i)
{
	(void)i;
	look();
}

static void questions(int i)
{
	char path[4200];
	snprintf(path, sizeof path, "%s/%d-%d/%d", directory, round_number, i, i);
	(void)!access(path, R_OK);
}

static void faults(int i)
{
	struct stat s;
	(void)!stat(i % 2 ? hole : (char *)0x8000000000000000ul, &s);
}

static void handlers(int i)
{
	signal(i % 2 ? SIGSEGV : SIGBUS, i % 3 ? SIG_IGN : SIG_DFL);
	faults(i);
}

static void execs(int i)
{
	char number[16];
	snprintf(number, sizeof number, "%d", i + 1);
	execl(me, me, "again", number, present, directory, NULL);
	_exit(9);
}

static void *in_thread(void *unused)
{
	(void)unused;
	look();
	return NULL;
}

static void threads(int i)
{
	pthread_t thread;
	(void)i;
	if (pthread_create(&thread, NULL, in_thread, NULL) == 0)
		pthread_detach(thread);
	look();
}

static void forks(int i)
{
	pid_t child = i % 2 ? fork() : vfork();
	if (child == 0)
		_exit(look());
	waitpid(child, NULL, 0);
}

static const struct { const char *name; void (*run)(int); } things[] = {
    {"calls", calls}, {"questions", questions}, {"faults", faults}, {"handlers", handlers},
    {"execs", execs}, {"threads", threads}, {"forks", forks},
};

int main(int argc, char **argv)
{
	int status, wrong = 0;
	void (*run)(int) = NULL;
	need_arguments(argc, 4, "killed_anywhere WHAT ROUNDS PRESENT DIRECTORY");
	me = argv[0];
	present = argv[3];
	directory = argv[4];
	if (!strcmp(argv[1], "again"))
		execs(atoi(argv[2]));
	hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < sizeof things / sizeof things[0]; i++)
		if (!strcmp(argv[1], things[i].name))
			run = things[i].run;
	if (!run)
		return 2;
	for (round_number = 0; round_number < atoi(argv[2]); round_number++) {
		pid_t child = fork();
		if (child == 0)
			for (int i = 0;; i++)
				run(i);
		usleep((unsigned)(round_number * 131 % 3000));
		kill(child, SIGKILL);
		wrong += waitpid(child, &status, 0) != child || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
	}
	printf("%d wrong, then %d\n", wrong, look());
	return 0;
}
