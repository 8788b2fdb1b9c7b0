/*
 * Forks, vforks, clones with tiny stacks, threads that come and go, and an exec from a thread while others look up PRESENT
 * and MISSING.  Every task checks its own answers; the count of wrong ones is printed.
 */
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#ifndef CLONE_UNTRACED
#define CLONE_UNTRACED 0x00800000
#endif

extern char **environ;
static const char *present, *missing;
static int bad;

static int look(void)
{
	struct stat s;
	int wrong = stat(present, &s) != 0 || !S_ISREG(s.st_mode);
	wrong += stat(missing, &s) != -1 || errno != ENOENT;
	int fd = open(present, O_RDONLY | O_CLOEXEC);
	wrong += fd < 0;
	if (fd >= 0)
		close(fd);
	return wrong;
}

static void reap(pid_t child)
{
	int status = -1;
	bad += waitpid(child, &status, __WALL) != child || status != 0;
}

static void forks(int count)
{
	for (int i = 0; i < count; i++) {
		pid_t child = fork();
		if (child == 0) {
			pid_t grandchild = fork();
			int status = 0;
			if (grandchild == 0)
				_exit(look());
			waitpid(grandchild, &status, 0);
			_exit(look() + (status != 0));
		}
		reap(child);
	}
}

static void vforks(int count)
{
	for (volatile int i = 0; i < count; i++) {
		pid_t child = vfork();
		if (child == 0)
			_exit(look());
		reap(child);
	}
}

static int in_clone(void *unused)
{
	struct stat s;
	(void)unused;
	return (int)(syscall(SYS_stat, present, &s) != 0 || syscall(SYS_stat, missing, &s) != -1);
}

/* Stacks just large enough for the guest itself, each before a page that cannot be touched. */
static void clones(int count, int flags)
{
	for (int i = 0; i < count; i++) {
		char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(pages, 4096, PROT_NONE);
		pid_t child = clone(in_clone, pages + 4096 + 2048, flags | SIGCHLD, NULL);
		bad += child < 0;
		reap(child);
		munmap(pages, 8192);
	}
}

static void *looks(void *rounds)
{
	long wrong = 0;
	for (long i = 0; i < (long)rounds; i++)
		wrong += look();
	return (void *)wrong;
}

static void threads(int count)
{
	pthread_t all[16];
	for (int round = 0; round < count; round++) {
		for (int i = 0; i < 16; i++)
			pthread_create(&all[i], NULL, looks, (void *)5L);
		for (int i = 0; i < 16; i++) {
			void *wrong;
			pthread_join(all[i], &wrong);
			bad += (long)wrong != 0;
		}
	}
}

static void spawns(int count)
{
	char *const words[] = {(char *)"/bin/true", NULL};
	for (int i = 0; i < count; i++) {
		pid_t child;
		bad += posix_spawn(&child, words[0], NULL, NULL, words, environ) != 0;
		reap(child);
	}
}

static void *executes(void *name)
{
	char *const words[] = {name, (char *)"again", (char *)present, (char *)missing, NULL};
	execv(name, words);
	perror("execv");
	exit(9);
}

int main(int argc, char **argv)
{
	need_arguments(argc, 3, "task_storm COUNT|again PRESENT MISSING");
	present = argv[2];
	missing = argv[3];
	if (!strcmp(argv[1], "again")) { /* after the exec from a thread */
		printf("after exec: %d wrong\n", look());
		return 0;
	}
	int count = atoi(argv[1]);
	in_clone(NULL); /* once, so that the dynamic linker needs no stack in the clones */
	forks(count);
	vforks(count);
	clones(count, 0);
	clones(count, CLONE_VM | CLONE_FILES);
	clones(count, CLONE_VM | CLONE_VFORK);
	clones(count, CLONE_UNTRACED);
	clones(count, CLONE_UNTRACED | CLONE_VM);
	spawns(count);
	threads(count / 4 + 1);
	printf("%d wrong\n", bad);
	fflush(stdout);
	pthread_t others[4], last;
	for (int i = 0; i < 4; i++)
		pthread_create(&others[i], NULL, looks, (void *)1000000L);
	pthread_create(&last, NULL, executes, argv[0]);
	pause();
	return 9;
}
