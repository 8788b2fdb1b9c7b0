/*
 * Who takes signals that are sent to a process with several threads?  The others look up FILE all the time and make a call
 * that no tracer lets pass unseen; the leader is asleep, or does not want the signal.
 */
#include "guest.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/wait.h>

#define ROUNDS 60
#define OTHERS 3

static const char *file;
static pid_t sender;
static int answers[2];
static volatile sig_atomic_t by_leader, by_others, wrong, done;

static int is_leader(void)
{
	return syscall(SYS_gettid) == getpid();
}

static void look(void)
{
	struct stat s;
	if (stat(file, &s) < 0 || umount2("/", 0x40000000) == 0)
		wrong++;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	char answer = 'a';
	(void)context;
	if (is_leader())
		by_leader++;
	else
		by_others++;
	if (number == SIGALRM ? info->si_code != SI_KERNEL
			      : info->si_code != SI_USER || info->si_pid != sender || info->si_uid != getuid())
		wrong++;
	if (number != SIGALRM && write(answers[1], &answer, 1) != 1)
		wrong++;
}

static void *other(void *unused)
{
	while (!done)
		look();
	return unused;
}

/* Sends the signal, waits until it was taken and its handler is over, and so on; then ends. */
static pid_t sends(int number)
{
	int questions[2];
	char byte;
	pid_t process = getpid(), child;
	if (pipe(questions) < 0 || pipe(answers) < 0)
		return -1;
	child = fork();
	if (child == 0) {
		if (read(questions[0], &byte, 1) != 1)
			_exit(1);
		for (int i = 0; i < ROUNDS; i++)
			if (usleep(3000) < 0 || kill(process, number) < 0 || read(answers[0], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	sender = child;
	if (write(questions[1], "g", 1) != 1)
		return -1;
	return child;
}

/* Rarely the leader is not quite through with the signal before, and natively too another one gets the next. */
static const char *how_many(int taken)
{
	return taken >= ROUNDS * 9 / 10 ? "nearly all" : taken <= ROUNDS / 10 ? "hardly any" : "some";
}

static void tell(const char *what)
{
	printf("%s: by the leader %s, all taken: %s, wrong %d\n", what, how_many(by_leader),
	       by_leader + by_others >= ROUNDS ? "yes" : "no", (int)wrong);
	by_leader = by_others = wrong = 0;
}

static void until_sent(const char *what)
{
	const struct timespec long_enough = {.tv_nsec = 500000000};
	int status = 0;
	pid_t child = sends(SIGUSR1);
	while (waitpid(child, &status, WNOHANG) == 0)
		nanosleep(&long_enough, NULL);
	if (status)
		wrong++;
	tell(what);
}

static void alarms(void)
{
	struct itimerval often = {.it_interval.tv_usec = 5000, .it_value.tv_usec = 5000}, never = {0};
	setitimer(ITIMER_REAL, &often, NULL);
	while (by_leader + by_others < ROUNDS)
		pause();
	setitimer(ITIMER_REAL, &never, NULL);
	usleep(100000); /* one may be on its way */
	tell("an alarm, asleep");
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	pthread_t threads[OTHERS];
	sigset_t one;
	if (argc < 2)
		return 2;
	file = argv[1];
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < OTHERS; i++)
		pthread_create(&threads[i], NULL, other, NULL);
	until_sent("asleep");
	alarms();
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	until_sent("blocked");
	done = 1;
	for (int i = 0; i < OTHERS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
