/*
 * Bad pointers and SIGSEGV in the corners: pending already, sent by others, handled once, inherited by fork, exec, threads
 * and clones, set by calls that fail half-way, and no room for a handler's frame: `fault_corners FILE [again WHAT]`.
 */
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

static const char *file, *me;
static char *hole;
static volatile sig_atomic_t handled, last_code;
static sigjmp_buf out;
static volatile sig_atomic_t leaves;

static void on_segv(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	handled++;
	last_code = info->si_code;
	if (leaves)
		siglongjmp(out, 1);
}

static void other(int number)
{
	(void)number;
}

static void set(int flags)
{
	struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | flags};
	sigaction(SIGSEGV, &action, NULL);
}

static void block(int how)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(how, &all, NULL);
}

/* What a bad pointer gives, and what is set afterwards. */
static void look(const char *what)
{
	struct sigaction now;
	struct stat s;
	sigset_t mask, pending;
	int r = stat(hole, &s), error = errno;
	sigaction(SIGSEGV, NULL, &now);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	sigpending(&pending);
	printf("%s: %s, %s, flags %x,%s%s, handled %d\n", what, r ? error_name(error) : "ok",
	       now.sa_handler == SIG_DFL   ? "default"
	       : now.sa_handler == SIG_IGN ? "ignored"
	       : now.sa_handler == other   ? "other"
	                                   : "mine",
	       (unsigned)now.sa_flags & ~0x4000000u, sigismember(&mask, SIGSEGV) ? " blocked" : " open",
	       sigismember(&pending, SIGSEGV) ? " pending" : "", (int)handled);
	fflush(stdout);
}

static void pending(void)
{
	set(SA_RESTART);
	block(SIG_BLOCK);
	raise(SIGSEGV);
	look("sent to the thread");
	look("sent to the thread, again");
	block(SIG_UNBLOCK);
	look("then let through");
	printf("code %d\n", last_code);
	block(SIG_BLOCK);
	kill(getpid(), SIGSEGV);
	look("sent to the process");
	block(SIG_UNBLOCK);
	look("then let through");
	printf("code %d\n", last_code);
}

enum { SIGNALS = 2000 }; /* so many that some come at each instruction on the way into the runtime and out of it */

/* A child sends while we look things up, each time after the last was handled. */
static void sent(void)
{
	struct stat s;
	int pipes[2], wrong = 0;
	char byte = 0;
	set(SA_RESTART);
	if (pipe(pipes) < 0)
		exit(3);
	pid_t parent = getpid(), child = fork();
	if (child == 0) {
		for (int i = 0; i < SIGNALS; i++)
			if (kill(parent, SIGSEGV) || read(pipes[0], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	for (int seen = 0; seen < SIGNALS;) {
		wrong += stat(file, &s) != 0 || access(file, R_OK) != 0 || stat("/no/such", &s) != -1 || errno != ENOENT;
		for (; seen < handled; seen++)
			if (write(pipes[1], &byte, 1) != 1)
				exit(3);
	}
	waitpid(child, NULL, 0);
	printf("sent while looking up: handled %d, wrong %d, code %d\n", (int)handled, wrong, last_code);
}

static void once(void)
{
	set(SA_RESETHAND);
	raise(SIGSEGV);
	block(SIG_BLOCK);
	look("once, after a signal");
	block(SIG_UNBLOCK);
	set(SA_RESETHAND);
	leaves = 1;
	if (!sigsetjmp(out, 1))
		*(volatile char *)hole = 1;
	leaves = 0;
	block(SIG_BLOCK);
	look("once, after a fault");
	set(SA_RESETHAND);
	look("once, not used");
	signal(SIGSEGV, SIG_IGN);
	look("ignored after that");
	signal(SIGSEGV, SIG_DFL);
	look("default after that");
}

static void forked(void)
{
	set(SA_ONSTACK);
	block(SIG_BLOCK);
	if (fork() == 0) {
		look("in a child");
		signal(SIGSEGV, other);
		look("in a child, with its own");
		_exit(0);
	}
	wait(NULL);
	look("after the child");
	if (vfork() == 0) {
		struct sigaction action = {.sa_handler = SIG_IGN};
		sigaction(SIGSEGV, &action, NULL);
		_exit(access(hole, R_OK) == -1 && errno == EFAULT ? 0 : 1);
	}
	int status = -1;
	wait(&status);
	printf("child of vfork: %d\n", status);
	look("after the child of vfork");
}

static void executed(void)
{
	static const struct { const char *name; void (*handler)(int); } ways[] = {
	    {"ignored", SIG_IGN}, {"handled", other}, {"default", SIG_DFL}};
	for (int i = 0; i < 6; i++) {
		fflush(stdout);
		if (fork() == 0) {
			signal(SIGSEGV, ways[i / 2].handler);
			if (i % 2)
				block(SIG_BLOCK);
			execl(me, me, file, "again", ways[i / 2].name, NULL);
			_exit(9);
		}
		wait(NULL);
	}
}

static void *in_thread(void *barrier)
{
	pthread_barrier_wait(barrier); /* the handler is set by now */
	block(SIG_BLOCK);
	look("in a thread that blocks");
	return NULL;
}

static void threads(void)
{
	pthread_t thread;
	pthread_barrier_t barrier;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, in_thread, &barrier);
	set(SA_RESTART | SA_NODEFER);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	look("in the other thread");
	leaves = 1;
	if (!sigsetjmp(out, 1))
		*(volatile char *)hole = 1;
	leaves = 0;
	look("after a fault there");
}

static int sets_other(void *unused)
{
	struct sigaction action = {.sa_handler = other, .sa_flags = SA_RESTART};
	(void)unused;
	sigaction(SIGSEGV, &action, NULL);
	return 0;
}

static void clones(void)
{
	static char stack[65536];
	set(0);
	block(SIG_BLOCK);
	waitpid(clone(sets_other, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL), NULL, 0);
	look("after a clone with handlers of its own");
	waitpid(clone(sets_other, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL), NULL, 0);
	look("after a clone with the same handlers");
}

/* rt_sigaction as the kernel takes it. */
static void half_way(void)
{
	struct { void (*handler)(int); unsigned long flags; void *restorer; unsigned long mask; } action = {0}, old;
	set(0);
	block(SIG_BLOCK);
	syscall(SYS_rt_sigaction, SIGSEGV, NULL, &old, 8);
	action = old;
	action.handler = other;
	report("wrong size", syscall(SYS_rt_sigaction, SIGSEGV, &action, NULL, 4));
	look("wrong size");
	report("unreadable", syscall(SYS_rt_sigaction, SIGSEGV, hole, NULL, 8));
	look("unreadable");
	report("old one cannot be stored", syscall(SYS_rt_sigaction, SIGSEGV, &action, hole, 8));
	look("old one cannot be stored");
	report("number with high bits", syscall(SYS_rt_sigaction, SIGSEGV | 1ul << 32, &old, NULL, 8));
	look("number with high bits");
}

static void no_frame(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	puts(info->si_code == SI_KERNEL ? "no room for a frame" : "a fault");
	fflush(stdout);
	_exit(0);
}

static void spin(void)
{
	struct stat *s = (struct stat *)(hole - 8192);
	for (;;)
		syscall(SYS_stat, file, s);
}

/* An alarm for a handler on a stack of 2 KiB, while calls are made there that need less. */
static void small_stack(void)
{
	static char room[65536];
	static ucontext_t context;
	struct sigaction action = {.sa_sigaction = no_frame, .sa_flags = SA_ONSTACK | SA_SIGINFO}, alarmed = {.sa_handler = other};
	stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
	struct itimerval soon = {{0, 5000}, {0, 300 + (getpid() % 7) * 100}}; /* and again, if this came before the stack was small */
	syscall(SYS_stat, file, hole - 8192); /* so that the dynamic linker needs no stack later */
	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGALRM, &alarmed, NULL);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(pages, 4096, PROT_NONE);
	getcontext(&context);
	context.uc_stack = (stack_t){.ss_sp = pages + 4096, .ss_size = 2048};
	makecontext(&context, spin, 0);
	setitimer(ITIMER_REAL, &soon, NULL);
	setcontext(&context);
}

static void in_child(const char *name, void (*part)(void))
{
	int status;
	printf("%s\n", name);
	fflush(stdout);
	if (fork() == 0) {
		part();
		fflush(stdout);
		_exit(0);
	}
	wait(&status);
	if (status)
		printf("status %x\n", status);
}

int main(int argc, char **argv)
{
	struct rlimit no_core = {0, 0};
	need_arguments(argc, 1, "fault_corners FILE [again WHAT]");
	setrlimit(RLIMIT_CORE, &no_core);
	me = argv[0];
	file = argv[1];
	hole = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hole += 8192;
	mprotect(hole, 8192, PROT_NONE);
	if (argc > 3) {
		look(argv[3]);
		look(argv[3]);
		return 0;
	}
	in_child("pending", pending);
	in_child("sent", sent);
	in_child("once", once);
	in_child("fork", forked);
	in_child("exec", executed);
	in_child("threads", threads);
	in_child("clones", clones);
	in_child("half-way", half_way);
	for (int i = 0; i < 20; i++)
		in_child("small stack", small_stack);
	return 0;
}
