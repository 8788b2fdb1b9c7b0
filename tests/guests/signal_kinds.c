/*
 * Handlers of every kind that strike while PRESENT and MISSING are looked up: on their own stack, nested, queued, leaving for
 * another coroutine, forking, executing; stops and continues; faults that are survived: `signal_kinds PRESENT MISSING`.
 * Every part counts what must come and what was wrong.
 */
#include "guest.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#define ENOUGH 200

static const char *present, *missing, *me;
static char *hole;
static volatile sig_atomic_t handled, wrong, elsewhere;

static int look(void)
{
	struct stat s;
	int error = errno, bad = stat(present, &s) != 0 || !S_ISREG(s.st_mode);
	bad += stat(missing, &s) != -1 || errno != ENOENT;
	bad += access(present, R_OK) != 0;
	int fd = open(present, O_RDONLY | O_CLOEXEC);
	bad += fd < 0 || fstat(fd, &s) != 0 || !S_ISREG(s.st_mode);
	if (fd >= 0)
		close(fd);
	errno = error;
	return bad;
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART | flags};
	sigaction(number, &action, NULL);
}

static void tick(int timer, int microseconds)
{
	struct itimerval value = {{0, microseconds}, {0, microseconds}};
	setitimer(timer, &value, NULL);
}

static void look_until_enough(void)
{
	while (handled < ENOUGH)
		wrong += look();
	tick(ITIMER_REAL, 0);
}

/* On a stack of its own that is hardly larger than the frame of a signal, before a page that cannot be touched. */

static void on_own_stack(int number, siginfo_t *info, void *context)
{
	char here;
	ucontext_t *up = context;
	(void)number, (void)info;
	handled++;
	elsewhere += &here < (char *)up->uc_stack.ss_sp || &here >= (char *)up->uc_stack.ss_sp + up->uc_stack.ss_size;
	wrong += look();
}

static void own_stack(int flags)
{
	size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 3000;
	size_t whole = (size + 4095) / 4096 * 4096;
	char *pages = mmap(NULL, whole + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(pages, 4096, PROT_NONE);
	stack_t stack = {.ss_sp = pages + 4096 + whole - size, .ss_size = size, .ss_flags = flags};
	sigaltstack(&stack, NULL);
	handle(SIGALRM, on_own_stack, SA_ONSTACK);
	tick(ITIMER_REAL, 1000);
	look_until_enough();
	printf("wrong %d, elsewhere %d\n", (int)wrong, (int)elsewhere);
}

static void altstack(void)
{
	own_stack(0);
}

static void altstack_disarmed(void)
{
	own_stack((int)(1U << 31)); /* SS_AUTODISARM */
}

/* A handler interrupted by the next one, three deep, each of which looks. */

static void on_deepest(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	wrong += look();
	elsewhere++;
}

static void on_deeper(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	raise(SIGUSR2);
	wrong += look();
}

static void on_deep(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	handled++;
	raise(SIGUSR1);
	wrong += look();
}

static void nested(void)
{
	handle(SIGUSR2, on_deepest, SA_NODEFER);
	handle(SIGUSR1, on_deeper, SA_NODEFER);
	handle(SIGALRM, on_deep, 0);
	tick(ITIMER_REAL, 1000);
	look_until_enough();
	printf("wrong %d, deepest as often: %d\n", (int)wrong, elsewhere == handled);
}

/* Queued signals lose neither order nor value nor sender. */

static volatile pid_t sender;

static void on_value(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	elsewhere += info->si_value.sival_int != handled || info->si_pid != sender || info->si_code != SI_QUEUE;
	handled++;
	wrong += look();
}

static void queued(void)
{
	pid_t to = getpid();
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, SIGRTMIN);
	handle(SIGRTMIN, on_value, 0);
	sigprocmask(SIG_BLOCK, &one, NULL);
	sender = fork();
	if (sender == 0) {
		for (int i = 0; i < 500; i++)
			while (sigqueue(to, SIGRTMIN, (union sigval){.sival_int = i}) < 0)
				usleep(100);
		_exit(0);
	}
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	while (handled < 500)
		wrong += look();
	wait(NULL);
	printf("wrong %d, out of order %d, handled %d\n", (int)wrong, (int)elsewhere, (int)handled);
}

/* Three coroutines, each thrown out of whatever it does by an alarm, and continued there later. */

static ucontext_t coroutines[4];
static volatile int current;
static char stacks[3][65536];

static void on_switch(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	int from = current, error = errno; /* which the others change meanwhile */
	handled++;
	current = handled >= ENOUGH ? 3 : (from + 1) % 3;
	swapcontext(&coroutines[from], &coroutines[current]);
	errno = error;
}

static void run_coroutine(void)
{
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, SIGALRM);
	tick(ITIMER_REAL, 1000);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	for (;;)
		wrong += look();
}

static void preempted(void)
{
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, SIGALRM);
	sigprocmask(SIG_BLOCK, &one, NULL); /* in every context that is saved, or half of one would be */
	for (int i = 0; i < 3; i++) {
		getcontext(&coroutines[i]);
		coroutines[i].uc_stack = (stack_t){.ss_sp = stacks[i], .ss_size = sizeof stacks[i]};
		makecontext(&coroutines[i], run_coroutine, 0);
	}
	handle(SIGALRM, on_switch, 0);
	swapcontext(&coroutines[3], &coroutines[0]);
	tick(ITIMER_REAL, 0);
	printf("wrong %d, handled %d\n", (int)wrong, (int)handled);
}

/* A handler that forks: both finish what was interrupted. */

static volatile sig_atomic_t is_child;

static void on_fork(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	if (handled == 60)
		return;
	handled++;
	pid_t child = handled % 3 ? fork() : vfork();
	if (child == 0 && handled % 3 == 0)
		_exit(look());
	if (child == 0)
		is_child = 1;
}

static void forking(void)
{
	int status, ended = 0, bad = 0;
	handle(SIGALRM, on_fork, 0);
	tick(ITIMER_REAL, 2000);
	while (handled < 60) {
		int r = look();
		wrong += r;
		if (is_child)
			_exit(r + look());
	}
	tick(ITIMER_REAL, 0);
	while (wait(&status) > 0) {
		ended++;
		bad += status != 0;
	}
	printf("wrong %d, children %d, of these wrong %d\n", (int)wrong, ended, bad);
}

static void on_exec(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	execl(me, me, present, missing, "again", NULL);
	_exit(9);
}

/* A handler that executes: what was interrupted is gone. */
static void executing(void)
{
	for (int i = 0; i < 10; i++) {
		fflush(stdout);
		if (fork() == 0) {
			handle(SIGALRM, on_exec, 0);
			tick(ITIMER_REAL, 500 + i * 100);
			for (;;)
				look();
		}
		wait(NULL);
	}
}

/* Signals to each of four threads, one after the other. */

static sem_t acknowledged;
static volatile int over;

static void on_thread(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	if (look())
		wrong = 1;
	sem_post(&acknowledged);
}

static void *look_on(void *unused)
{
	long bad = 0;
	(void)unused;
	while (!over)
		bad += look();
	return (void *)bad;
}

static void to_threads(void)
{
	pthread_t threads[4];
	long bad = 0;
	sem_init(&acknowledged, 0, 0);
	handle(SIGUSR1, on_thread, 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, look_on, NULL);
	for (int i = 0; i < 100; i++) {
		pthread_kill(threads[i % 4], SIGUSR1);
		while (sem_wait(&acknowledged) < 0)
			continue;
	}
	over = 1;
	for (int i = 0; i < 4; i++) {
		void *result = (void *)1L;
		pthread_join(threads[i], &result);
		bad += (long)result;
	}
	printf("wrong %ld %d\n", bad, (int)wrong);
}

/* Stopped and continued a hundred times, and its parent is told of each. */

static void stopped(void)
{
	int status, stops = 0, continues = 0, pipes[2];
	if (pipe(pipes) < 0)
		exit(3);
	pid_t child = fork();
	if (child == 0) {
		pthread_t threads[3];
		long bad = 0;
		char byte;
		close(pipes[1]);
		for (int i = 0; i < 3; i++)
			pthread_create(&threads[i], NULL, look_on, NULL);
		while (read(pipes[0], &byte, 1) < 0 && errno == EINTR)
			continue;
		over = 1;
		for (int i = 0; i < 3; i++) {
			void *result = (void *)1L;
			pthread_join(threads[i], &result);
			bad += (long)result;
		}
		_exit(bad != 0);
	}
	close(pipes[0]);
	for (int i = 0; i < 100; i++) {
		kill(child, SIGSTOP);
		stops += waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
		kill(child, SIGCONT);
		continues += waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status);
	}
	close(pipes[1]);
	waitpid(child, &status, 0);
	printf("stops %d, continues %d, status %x\n", stops, continues, status);
}

/* Blocked, it comes once, afterwards. */

static void on_count(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	handled++;
}

static void all_blocked(void)
{
	sigset_t all, before;
	sigfillset(&all);
	handle(SIGALRM, on_count, 0);
	sigprocmask(SIG_BLOCK, &all, &before);
	tick(ITIMER_REAL, 1000);
	for (int i = 0; i < 2000; i++)
		wrong += look();
	do
		sigpending(&all);
	while (!sigismember(&all, SIGALRM));
	printf("wrong %d, handled %d", (int)wrong, (int)handled);
	tick(ITIMER_REAL, 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	printf(", then %d\n", (int)handled);
}

/* Faults and breakpoints of the program's own, survived, by handlers that look. */

static sigjmp_buf out;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)context;
	handled++;
	elsewhere += number == SIGSEGV && info->si_addr != hole;
	wrong += look();
	if (number == SIGSEGV)
		siglongjmp(out, 1);
}

static void survived(void)
{
	handle(SIGSEGV, on_fault, 0);
	handle(SIGTRAP, on_fault, 0);
	for (volatile int i = 0; i < 300; i++) {
		if (!sigsetjmp(out, 1))
			*(volatile char *)hole = 1;
		__asm__ volatile("int3");
		wrong += look();
	}
	printf("wrong %d, of another address %d, handled %d\n", (int)wrong, (int)elsewhere, (int)handled);
}

/* A profiler: SIGPROF a thousand times a second of work. */
static void profiled(void)
{
	handle(SIGPROF, on_count, SA_ONSTACK);
	tick(ITIMER_PROF, 1000);
	while (handled < 20)
		wrong += look();
	tick(ITIMER_PROF, 0);
	printf("wrong %d\n", (int)wrong);
}

static const struct part {
	const char *name;
	void (*run)(void);
} parts[] = {
    {"own stack", altstack}, {"own stack, disarmed", altstack_disarmed}, {"nested", nested}, {"queued", queued},
    {"preempted", preempted}, {"forking", forking}, {"executing", executing}, {"to threads", to_threads},
    {"stopped", stopped}, {"all blocked", all_blocked}, {"survived", survived}, {"profiled", profiled},
};

int main(int argc, char **argv)
{
	need_arguments(argc, 2, "signal_kinds PRESENT MISSING [PART]");
	me = argv[0];
	present = argv[1];
	missing = argv[2];
	if (argc > 3 && !strcmp(argv[3], "again")) {
		printf("after exec: %d wrong\n", look());
		return 0;
	}
	hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		int status = 0;
		if (argc > 3 && strcmp(argv[3], parts[i].name))
			continue;
		printf("%s: ", parts[i].name);
		fflush(stdout);
		if (fork() == 0) {
			parts[i].run();
			fflush(stdout);
			_exit(0);
		}
		wait(&status);
		if (status)
			printf("status %x\n", status);
	}
	return 0;
}
