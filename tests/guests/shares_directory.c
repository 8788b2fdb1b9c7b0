/*
 * Who shares a working directory with whom: `shares_directory WAY FIRST SECOND`.  Both are directories, FIRST with a file
 * `other` that SECOND lacks.  Each line says who sees `other`, and where: a child or a thread goes to SECOND, or its maker does.
 */
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

static const char *first, *second;
static char stack[65536];
static volatile int turn; /* in memory that a child may share: who waits until it is so far */

static void where(const char *who)
{
	char buffer[4096] = "nowhere";
	struct stat s;
	int found = stat("other", &s) == 0, by_dot = stat("./other", &s) == 0, up = stat("../no-such", &s) == 0;
	int fd = open("other", O_RDONLY);
	syscall(SYS_getcwd, buffer, sizeof buffer);
	printf("%s: %s %d%d%d%d\n", who, buffer, found, by_dot, up, fd >= 0);
	if (fd >= 0)
		close(fd);
	fflush(stdout);
}

static void wait_for(int number)
{
	while (turn < number)
		sched_yield();
}

static void go(const char *who, const char *path)
{
	if (chdir(path) < 0)
		printf("%s: cannot go: %s\n", who, error_name(errno));
}

/* A child that looks, goes and looks. */
static int leaves(void *unused)
{
	(void)unused;
	where("child before");
	go("child", second);
	where("child after");
	where("child again");
	return 0;
}

/* A child that looks while its maker goes. */
static int stays(void *unused)
{
	(void)unused;
	where("child before");
	turn = 1;
	wait_for(2);
	where("child after");
	return 0;
}

static int becomes_a_shell(void *unused)
{
	(void)unused;
	execl("/bin/sh", "sh", "-c", "cd \"$0\" && test -e other; echo \"shell: $?\"", second, (char *)NULL);
	return 1;
}

static void wait_for_child(pid_t child)
{
	int status = -1;
	if (child < 0 || waitpid(child, &status, __WALL) != child || status)
		printf("child: %s, status %x\n", error_name(errno), status);
}

static void with_child(int flags, int (*does)(void *))
{
	pid_t child = clone(does, stack + sizeof stack, flags | SIGCHLD, NULL);
	if (does == stays) {
		wait_for(1);
		go("maker", second);
		where("maker after");
		turn = 2;
	}
	wait_for_child(child);
	where("maker");
	go("maker", first);
	where("maker back");
}

static void by_fork(void)
{
	pid_t child = fork();
	if (child == 0) {
		leaves(NULL);
		child = fork();
		if (child == 0) {
			where("grandchild");
			go("grandchild", first);
			where("grandchild after");
			_exit(0);
		}
		wait_for_child(child);
		where("child at the end");
		_exit(0);
	}
	wait_for_child(child);
	where("maker");
}

static void by_vfork(void)
{
	pid_t child = vfork();
	if (child == 0) {
		leaves(NULL);
		_exit(0);
	}
	wait_for_child(child);
	where("maker");
}

static void *a_thread(void *parts)
{
	if (parts && unshare(CLONE_FS) < 0)
		printf("thread: %s\n", error_name(errno));
	leaves(NULL);
	return NULL;
}

static void with_thread(int parts)
{
	pthread_t thread;
	pthread_create(&thread, NULL, a_thread, parts ? &thread : NULL);
	pthread_join(thread, NULL);
	where("maker");
}

/* A thread in all but that, by clone(2) itself: it has the maker's thread-local storage, so that only one may run. */
static void with_odd_thread(void)
{
	static pid_t living;
	int flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FILES | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;
	living = 1;
	if (clone(leaves, stack + sizeof stack, flags, NULL, NULL, NULL, &living) < 0)
		printf("clone: %s\n", error_name(errno));
	while (__atomic_load_n(&living, __ATOMIC_ACQUIRE))
		usleep(1000);
	where("maker");
}

/* One goes to and fro, one looks after each step, and one looks all the time, so that every step has somebody in it. */
static volatile int is_over;

static void *looks_always(void *unused)
{
	struct stat s;
	while (!is_over)
		(void)stat("other", &s);
	return unused;
}

static void *looks_in_turn(void *wrong)
{
	struct stat s;
	for (int step = 0; step < 20000; step++) {
		wait_for(2 * step + 1);
		*(int *)wrong += (stat("other", &s) == 0) != (step % 2 == 0);
		turn = 2 * step + 2;
	}
	return NULL;
}

static void by_many(void)
{
	pthread_t always, in_turn;
	int wrong = 0;
	pthread_create(&always, NULL, looks_always, NULL);
	pthread_create(&in_turn, NULL, looks_in_turn, &wrong);
	for (int step = 0; step < 20000; step++) {
		go("maker", step % 2 ? second : first);
		turn = 2 * step + 1;
		wait_for(2 * step + 2);
	}
	is_over = 1;
	pthread_join(always, NULL);
	pthread_join(in_turn, NULL);
	printf("wrong: %d\n", wrong);
}

int main(int argc, char **argv)
{
	need_arguments(argc, 3, "shares_directory WAY FIRST SECOND");
	const char *way = argv[1];
	first = argv[2];
	second = argv[3];
	go("maker", first);
	for (int round = 0; round < 3; round++) {
		turn = 0;
		where("maker before");
		if (!strcmp(way, "fork"))
			by_fork();
		else if (!strcmp(way, "vfork"))
			by_vfork();
		else if (!strcmp(way, "thread"))
			with_thread(0);
		else if (!strcmp(way, "parted"))
			with_thread(1);
		else if (!strcmp(way, "odd"))
			with_odd_thread();
		else if (!strcmp(way, "memory"))
			with_child(CLONE_VM, stays);
		else if (!strcmp(way, "spawned"))
			with_child(CLONE_VM | CLONE_VFORK, leaves);
		else if (!strcmp(way, "directory"))
			with_child(CLONE_FS, leaves);
		else if (!strcmp(way, "both"))
			with_child(CLONE_FS | CLONE_VM | CLONE_VFORK, leaves);
		else if (!strcmp(way, "executed"))
			with_child(CLONE_FS | CLONE_VM | CLONE_VFORK, becomes_a_shell);
		else
			by_many();
		go("maker", first);
	}
	return 0;
}
