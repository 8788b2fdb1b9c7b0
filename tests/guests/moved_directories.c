/*
 * What a working directory is, and what it is not any more: `moved_directories HOST FIRST SECOND`.  HOST is an empty
 * directory that may be written to; FIRST has a file `other`, which SECOND lacks.
 * Others rename the working directory, put links to FIRST in its place, remove it; children share memory and neither
 * directory nor descriptors, are killed after chdir, execute, and vfork themselves.  Each line says who sees what.
 */
#include "guest.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

enum { SHARED = 40 }; /* a descriptor that maker and child mean different things by */
static const char *host, *first, *second;
static char stack[65536];
static volatile int turn;

static void where(const char *who)
{
	static const char *const names[] = {"file", "other", "./other", "../other", "../sub/file", "../sub/other",
	                                    "sub/file", "..", "../..", "new/../file"};
	char place[4096];
	struct stat s;
	printf("%s: %s", who, syscall(SYS_getcwd, place, sizeof place) < 0 ? error_name(errno) : place);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		int found = stat(names[i], &s), error = found < 0 ? errno : 0, fd = open(names[i], O_RDONLY);
		printf(" %s %s", found < 0 ? error_name(error) : S_ISDIR(s.st_mode) ? "dir" : "file", fd < 0 ? error_name(errno) : "ok");
		if (fd >= 0)
			close(fd);
	}
	putchar('\n');
	fflush(stdout);
}

/* What a shell does that knows the three places as $H, $A and $B. */
static void others(const char *does)
{
	if (system(does))
		printf("failed: %s\n", does);
}

static void go(const char *who, const char *top, const char *below)
{
	char path[4096];
	snprintf(path, sizeof path, "%s%s", top, below);
	if (chdir(path) < 0)
		printf("chdir: %s\n", error_name(errno));
	where(who);
}

static void look_at_shared(const char *who)
{
	struct stat s;
	printf("%s: shared %d %d\n", who, fstatat(SHARED, "other", &s, 0), fstatat(SHARED, "in", &s, 0));
	fflush(stdout);
}

static void place_shared(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	dup2(fd, SHARED);
	close(fd);
}

static void wait_for(int number)
{
	while (turn < number)
		sched_yield();
}

static void reap(const char *who)
{
	int status = -1;
	waitpid(-1, &status, __WALL);
	printf("%s: %x\n", who, status);
	where(who);
}

static void host_directory_is_moved(void)
{
	others("cd / && rm -rf $H/* && mkdir -p $H/A/sub && echo here >$H/A/sub/file && echo up >$H/A/other && ln -s $A $H/in");
	go("host", host, "/A/sub");
	where("again");
	others("cd / && mv $H/A $H/B && ln -s $A $H/A");
	where("renamed above");
	others("cd / && mv $H/B/sub $H/B/gone && ln -s $A $H/B/sub");
	where("a link in its place");
	where("again");
	others("cd / && rm $H/B/sub && ln -s $A $H/B/gone/sub && ln -s $A/other $H/B/gone/other");
	where("links in it");
	others("cd / && rm -r $H/B/gone");
	where("removed");
	report("creat", open("new", O_CREAT | O_WRONLY, 0600));
	others("cd / && mkdir $H/B/gone && echo again >$H/B/gone/file");
	where("made again");
	go("by a link", host, "/in");
	others("cd / && rm $H/in && ln -s $H/B $H/in");
	where("the link leads elsewhere");
	go("and is followed", host, "/in");
}

static int has_its_own(void *unused)
{
	(void)unused;
	place_shared(host);
	look_at_shared("child");
	go("child at host", host, "");
	turn = 1;
	wait_for(2);
	look_at_shared("child");
	where("child still");
	go("child at second", second, "");
	turn = 3;
	wait_for(4);
	where("child still");
	close(SHARED);
	look_at_shared("child");
	return 0;
}

static void memory_is_shared_alone(void)
{
	go("maker", first, "");
	place_shared(".");
	look_at_shared("maker");
	turn = 0;
	if (clone(has_its_own, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL) < 0)
		printf("clone: %s\n", error_name(errno));
	wait_for(1);
	look_at_shared("maker");
	where("maker still");
	go("maker at host", host, "/B");
	turn = 2;
	wait_for(3);
	where("maker still");
	if (fchdir(SHARED) < 0)
		printf("fchdir: %s\n", error_name(errno));
	where("maker went back");
	turn = 4;
	reap("maker");
	look_at_shared("maker");
}

static void vfork_children_go(void)
{
	if (vfork() == 0) {
		go("killed", second, "");
		kill(getpid(), SIGKILL);
	}
	reap("maker");
	if (vfork() == 0) {
		go("executes", second, "");
		execl("/bin/sh", "sh", "-c", "pwd; cat \"$0/other\"; cat other 2>/dev/null || echo none", first, (char *)NULL);
		_exit(1);
	}
	reap("maker");
	if (vfork() == 0) {
		go("outer", host, "/B");
		if (vfork() == 0) {
			where("inner");
			go("inner", second, "");
			_exit(0);
		}
		reap("outer");
		_exit(0);
	}
	reap("maker");
}

int main(int count, char **words)
{
	need_arguments(count, 3, "moved_directories HOST FIRST SECOND");
	host = words[1];
	first = words[2];
	second = words[3];
	setenv("H", host, 1);
	setenv("A", first, 1);
	setenv("B", second, 1);
	for (int round = 0; round < 2; round++) {
		host_directory_is_moved();
		memory_is_shared_alone();
		vfork_children_go();
	}
	others("cd / && rm -rf $H/*");
	return 0;
}
