/*
 * A timer fires a thousand times a second, or more, while PRESENT, MISSING and FRESH-<n> are looked up, opened and listed;
 * the handler looks up and opens too, and every tenth time leaves by siglongjmp.  Nothing but the right answer may come.
 */
#include "guest.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/xattr.h>

static const char *present, *missing, *directory;
static long size, in_handler, jumps, wrong;
static volatile sig_atomic_t may_jump;
static sigjmp_buf back;

static void expect(int right)
{
	if (!right)
		wrong++;
}

static void look(void)
{
	struct stat s;
	char text[64];
	int fd, r = stat(present, &s);
	expect(r == 0 && s.st_size == size);
	expect(stat(missing, &s) < 0 && errno == ENOENT);
	expect(access(present, R_OK) == 0);
	expect(readlink(present, text, sizeof text) < 0 && errno == EINVAL);
	fd = open(present, O_RDONLY | O_CLOEXEC);
	expect(fd >= 0);
	expect(fstat(fd, &s) == 0 && s.st_size == size);
	close(fd);
}

static void on_alarm(int number)
{
	(void)number;
	int kept = errno;
	in_handler++;
	look();
	errno = kept;
	if (may_jump && in_handler % 10 == 0) {
		jumps++;
		siglongjmp(back, 1);
	}
}

/* Names that nobody has asked for yet, and an attribute that is asked for each time: questions to whoever serves. */
static void ask(int round)
{
	char path[4200], value[16];
	struct stat s;
	expect(getxattr(present, "user.no-such", value, sizeof value) < 0);
	snprintf(path, sizeof path, "%s/fresh-%d/below", directory, round);
	expect(stat(path, &s) < 0 && errno == ENOENT);
	snprintf(path, sizeof path, "%s/././/%.*s../%s", directory, 0, "", strrchr(directory, '/') + 1);
	expect(stat(path, &s) == 0 && S_ISDIR(s.st_mode));
}

static int list(void)
{
	int count = 0;
	DIR *stream = opendir(directory);
	while (stream && readdir(stream))
		count++;
	if (stream)
		closedir(stream);
	return count;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	struct stat s;
	need_arguments(argc, 4, "signal_storm PRESENT MISSING DIRECTORY ROUNDS");
	present = argv[1];
	missing = argv[2];
	directory = argv[3];
	expect(stat(present, &s) == 0);
	size = s.st_size;
	int names = list(), rounds = atoi(argv[4]);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (volatile int i = 0; i < rounds; i++) {
		look();
		ask(i);
		expect(list() == names);
	}
	for (volatile int i = 0; i < rounds; i++) { /* the same, thrown out of anything */
		struct stat t;
		if (sigsetjmp(back, 1) == 0) {
			may_jump = 1;
			(void)!stat(present, &t);
			ask(rounds + i);
			(void)!access(missing, R_OK);
		}
		may_jump = 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	printf("handled: %s, jumped: %s, wrong answers: %ld\n", in_handler > 0 ? "yes" : "no", jumps > 0 ? "yes" : "no",
	       wrong);
	return 0;
}
