/*
 * Threads come upon call sites for the first time while a timer of each one's own interrupts it, a little later in each
 * call: the handler, on a stack of its own, looks up by another site, and every third time leaves by siglongjmp.  One more thread
 * vforks, spawns, forks and changes directory beside them.  Every task checks its own answers; the count of wrong ones is
 * printed, and whether anybody was thrown.
 * usage: thrown_threads THREADS PRESENT MISSING
 */
#include "guest.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include "site_forms.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { STACK = 65536, CALLS = 12, LATER = 1500 /* ns */ };
extern char **environ;
static const char *present, *missing;
static pthread_barrier_t together;
static int wrong, thrown;
static __thread sigjmp_buf back;
static __thread volatile sig_atomic_t may_throw;
static __thread unsigned handled;

static void ask(site *at)
{
	struct stat s;
	memset(&s, 0, sizeof s);
	int bad = at(present, &s) != 0 || !S_ISREG(s.st_mode);
	bad += (at(missing, &s) != -ENOENT) + (at(NULL, &s) != -EFAULT);
	__atomic_fetch_add(&wrong, bad, __ATOMIC_RELAXED);
}

static void on_timer(int number)
{
	(void)number;
	unsigned turn = handled++;
	ask(sites[turn * 7 % SITE_COUNT]);
	if (!may_throw || turn % 3)
		return;
	may_throw = 0;
	__atomic_fetch_add(&thrown, 1, __ATOMIC_RELAXED);
	siglongjmp(back, 1);
}

static void *is_thrown(void *unused)
{
	stack_t stack = {.ss_sp = malloc(STACK), .ss_size = STACK};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	timer_t timer;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (sigaltstack(&stack, NULL) || timer_create(CLOCK_MONOTONIC, &event, &timer))
		abort();
	for (volatile size_t i = 0; i < SITE_COUNT; i++) {
		pthread_barrier_wait(&together);
		for (volatile int call = 0; call < CALLS; call++) {
			struct itimerspec once = {{0, 0}, {0, (call + 1) * LATER}};
			if (sigsetjmp(back, 1) == 0) {
				may_throw = 1;
				timer_settime(timer, 0, &once, NULL);
				ask(sites[i]);
			}
			may_throw = 0;
		}
	}
	return unused;
}

static void make_child(size_t turn)
{
	char *words[] = {"true", NULL};
	int status = -1;
	volatile pid_t child;
	if (turn % 4 == 1)
		wrong += posix_spawn((pid_t *)&child, "/bin/true", NULL, NULL, words, environ) != 0;
	else if ((child = turn % 4 ? fork() : vfork()) == 0) {
		struct stat s;
		_exit(sites[turn](present, &s) != 0 || sites[turn](missing, &s) != -ENOENT);
	}
	wrong += waitpid(child, &status, 0) != child || status != 0;
}

static void *makes_others(void *unused)
{
	sigset_t timer;
	sigemptyset(&timer);
	sigaddset(&timer, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &timer, NULL);
	for (size_t i = 0; i < SITE_COUNT; i++) {
		pthread_barrier_wait(&together);
		if (i % 4 == 3)
			wrong += chdir(i % 8 == 3 ? "/" : "/usr") != 0;
		else
			make_child(i);
		ask(sites[i]);
	}
	return unused;
}

int main(int count, char **words)
{
	struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART | SA_ONSTACK};
	pthread_t ids[33];
	need_arguments(count, 3, "thrown_threads THREADS PRESENT MISSING");
	int threads = atoi(words[1]);
	present = words[2];
	missing = words[3];
	sigaction(SIGUSR1, &action, NULL);
	pthread_barrier_init(&together, NULL, (unsigned)threads + 1);
	for (int i = 0; i <= threads; i++)
		pthread_create(&ids[i], NULL, i == threads ? makes_others : is_thrown, NULL);
	for (int i = 0; i <= threads; i++)
		pthread_join(ids[i], NULL);
	printf("thrown: %s, wrong: %d\n", thrown ? "yes" : "no", wrong);
	return wrong != 0;
}
