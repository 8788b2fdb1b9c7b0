/*
 * Single-steps through a call site (the trap flag of x86_64, SIGTRAP): stat(2) of PATH, again and again, and at one step
 * more each time another signal comes.  Prints how often the answer was wrong, and how often that signal found the thread
 * on its way: not at its site any more, and the call, whose number is still in rax, not begun, nor the stack touched.
 * usage: steps_itself PATH
 */
#include "guest.h"

#if defined(__x86_64__)
#include <signal.h>
#include <ucontext.h>

enum { TIMES = 20 };
/* rdi: path, rsi: buffer */
long stepped(const char *path, void *buffer);
extern const char site_begin[], site_end[];
__asm__(".text\nstepped:\n"
	" pushf\n orl $0x100, (%rsp)\n popf\n"
	"site_begin:\n mov $4, %eax\n syscall\nsite_end:\n"
	" pushf\n andl $~0x100, (%rsp)\n popf\n ret\n");
static volatile long steps, signal_at, on_its_way, came;
static greg_t stack;

static void on_step(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	if (!steps)
		stack = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
	if (++steps == signal_at)
		raise(SIGUSR1); /* blocked until the handler returns */
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	const char *at = (const char *)registers[REG_RIP];
	(void)number;
	(void)info;
	came++;
	on_its_way += (at < (const char *)stepped || at > site_end) && registers[REG_RAX] == SYS_stat &&
	              registers[REG_RSP] == stack;
}

int main(int count, char **words)
{
	struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, other = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct stat s;
	int wrong = 0;
	need_arguments(count, 1, "steps_itself PATH");
	sigaddset(&step.sa_mask, SIGUSR1);
	sigaction(SIGTRAP, &step, NULL);
	sigaction(SIGUSR1, &other, NULL);
	for (signal_at = 0; signal_at < TIMES; signal_at++) {
		steps = 0;
		memset(&s, 0, sizeof s);
		wrong += stepped(words[1], &s) != 0 || !S_ISREG(s.st_mode);
	}
	printf("wrong: %d, came: %s, on its way: %ld\n", wrong, came ? "yes" : "no", on_its_way);
	return 0;
}
#else
int main(void)
{
	puts("not on this architecture");
	return 77;
}
#endif
