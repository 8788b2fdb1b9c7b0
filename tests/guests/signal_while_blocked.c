/*
 * A call on PATH that blocks, and alarms while it does: `signal_while_blocked restart|interrupt open|stat PATH ALARMS`.
 * Prints the order of events.  After ALARMS alarms the handler leaves the call by siglongjmp, if it still blocks.
 */
#include "guest.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

static sigjmp_buf out;
static volatile sig_atomic_t alarms, most;

/* Async-signal-safe: one write. */
static void say(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		_exit(3);
}

static void on_alarm(int number)
{
	(void)number;
	say("alarm\n");
	if (++alarms >= most)
		siglongjmp(out, 1);
}

int main(int argc, char **argv)
{
	struct itimerval every = {{0, 200000}, {0, 200000}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_alarm};
	struct stat s;
	long result = 0;
	int error;
	need_arguments(argc, 4, "signal_while_blocked restart|interrupt open|stat PATH ALARMS");
	action.sa_flags = strcmp(argv[1], "restart") == 0 ? SA_RESTART : 0;
	most = atoi(argv[4]);
	sigaction(SIGALRM, &action, NULL);
	say("before\n");
	if (sigsetjmp(out, 1)) {
		setitimer(ITIMER_REAL, &never, NULL);
		say("left by the handler\n");
		return 0;
	}
	setitimer(ITIMER_REAL, &every, NULL);
	result = !strcmp(argv[2], "open") ? open(argv[3], O_RDONLY | O_CLOEXEC) : stat(argv[3], &s);
	error = errno;
	setitimer(ITIMER_REAL, &never, NULL);
	if (result < 0)
		printf("returned -1 %s\n", error_name(error));
	else
		puts("returned");
	return 0;
}
