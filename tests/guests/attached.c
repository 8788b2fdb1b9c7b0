/*
 * A debugger without a debugger's knowledge: attaches to every thread of a child that is at work, in both ways, and lets it
 * go again, while the child looks at what is there and at what is not.  Prints what the child has got wrong.
 * usage: attached FILE MISSING ROUNDS
 */
#include "guest.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

enum { WORKERS = 2 };
static const char *file, *missing;
static atomic_int wrong, started, enough, handled;

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

static void look(void)
{
	struct stat s;
	int fd = open(file, O_RDONLY);
	char byte;
	wrong += fd < 0 || read(fd, &byte, 1) != 1;
	if (fd >= 0)
		close(fd);
	wrong += stat(file, &s) != 0;
	wrong += stat(missing, &s) == 0 || errno != ENOENT;
	struct timespec moment = {0, 20000};
	wrong += nanosleep(&moment, NULL) != 0 && errno != EINTR;
}

static void *work(void *unused)
{
	started++;
	while (!enough)
		look();
	return unused;
}

static int be_attached_to(int order, int answer)
{
	pthread_t threads[WORKERS];
	char byte;
	alarm(30);
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	while (started < WORKERS) /* until then signals are blocked in some of them */
		look();
	if (write(answer, "x", 1) != 1)
		return 1;
	while (read(order, &byte, 1) < 0) /* waits here, and is attached to in the call */
		continue;
	enough = 1;
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	int result[2] = {wrong, handled};
	return write(answer, result, sizeof result) == sizeof result ? 0 : 1;
}

/* A signal goes with it on its way, if it is told to. */
static int visit(pid_t thread, int seize, int signal)
{
	struct user_regs_struct regs;
	uint64_t mask = ~0ul;
	int status, stop = seize ? SIGTRAP : SIGSTOP;
	if (seize && (ptrace(PTRACE_SEIZE, thread, 0, 0) || ptrace(PTRACE_INTERRUPT, thread, 0, 0)))
		return 1;
	if (!seize && ptrace(PTRACE_ATTACH, thread, 0, 0))
		return 2;
	if (waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status) || WSTOPSIG(status) != stop)
		return 3;
	if (ptrace(PTRACE_GETREGS, thread, 0, &regs) || ptrace(PTRACE_GETSIGMASK, thread, sizeof mask, &mask))
		return 4;
	int wrong_mask = mask != 0;
	return ptrace(PTRACE_DETACH, thread, 0, signal) || wrong_mask;
}

int main(int count, char **words)
{
	int order[2], answer[2], result[2] = {-1, -1}, failed = 0;
	alarm(30);
	need_arguments(count, 3, "attached FILE MISSING ROUNDS");
	file = words[1], missing = words[2];
	if (pipe(order) || pipe(answer))
		return 1;
	pid_t child = fork();
	if (!child)
		return be_attached_to(order[0], answer[1]);
	char name[64];
	snprintf(name, sizeof name, "/proc/%d/task", child);
	if (read(answer[0], result, 1) != 1)
		return 1;
	for (int round = 0; round < atoi(words[3]); round++) {
		DIR *threads = opendir(name);
		for (struct dirent *entry; (entry = readdir(threads));)
			failed += atoi(entry->d_name) && visit(atoi(entry->d_name), 0, 0) != 0;
		closedir(threads);
	}
	failed += visit(child, 1, 0) != 0; /* runs while it is traced, but only to wait */
	failed += visit(child, 0, SIGUSR1) != 0;
	if (write(order[1], "x", 1) != 1 || read(answer[0], result, sizeof result) != sizeof result)
		return 1;
	int status;
	waitpid(child, &status, 0);
	printf("failed %d, wrong %d, signals %d, status %d\n", failed, result[0], result[1], status);
	return 0;
}
