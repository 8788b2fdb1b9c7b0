/*
 * Calls with bad pointers while SIGSEGV and SIGBUS are handled, ignored or blocked in every way: `fault_states FILE MASK...`,
 * MASK one of open, alone, all.  A line for each state: what the calls gave, whether handler, flags and masks are what they
 * were, and what a real fault does then.
 */
#include "guest.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char *hole, *cut; /* a page that cannot be touched; a mapping whose file has become shorter */
static const char *file;
static char line[4096];
static volatile char *target;

static void say(const char *text)
{
	strncat(line, text, sizeof line - strlen(line) - 1);
}

static void flush(void)
{
	strcat(line, "\n");
	if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		_exit(3);
	line[0] = 0;
}

static void on_fault(int number)
{
	struct sigaction now;
	stack_t stack;
	sigaction(number, NULL, &now);
	sigaltstack(NULL, &stack);
	say(now.sa_handler == SIG_DFL ? " handled, and reset" : " handled");
	say(stack.ss_flags & SS_ONSTACK ? " on its own stack" : "");
	flush();
	_exit(0);
}

static const struct way {
	const char *name;
	void (*handler)(int);
	int flags;
} ways[] = {
    {"default", SIG_DFL, 0},
    {"ignored", SIG_IGN, 0},
    {"ignored with flags", SIG_IGN, SA_NODEFER | SA_RESTART},
    {"handled", on_fault, 0},
    {"handled on a stack", on_fault, SA_ONSTACK | SA_RESTART},
    {"handled once", on_fault, SA_RESETHAND | SA_NODEFER},
};

static void expect_efault(const char *name, long result)
{
	if (result != -1 || errno != EFAULT) {
		say(" ");
		say(name);
		say(result == -1 ? error_name(errno) : " succeeded");
	}
}

/* Every one of these is answered by whoever answers calls on FILE. */
static void bad_calls(char *bad)
{
	struct stat s;
	char text[64];
	expect_efault("stat", stat(bad, &s));
	expect_efault("stat into", stat(file, (struct stat *)bad));
	expect_efault("lstat", lstat(bad, &s));
	expect_efault("open", open(bad, O_RDONLY));
	expect_efault("access", access(bad, R_OK));
	expect_efault("readlink", readlink(bad, text, sizeof text));
	expect_efault("statx", syscall(SYS_statx, AT_FDCWD, file, 0, STATX_BASIC_STATS, bad));
	expect_efault("chdir", chdir(bad));
	expect_efault("getcwd", syscall(SYS_getcwd, bad, 4096));
}

static int same_action(const struct sigaction *a, const struct sigaction *b)
{
	return a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags && !memcmp(&a->sa_mask, &b->sa_mask, 8);
}

static void one(int number, const struct way *way, const char *mask)
{
	struct sigaction action = {.sa_handler = way->handler, .sa_flags = way->flags}, before, after;
	static char room[65536];
	stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
	sigset_t blocked, was, is;
	snprintf(line, sizeof line, "%s %s, %s:", sigabbrev_np(number), way->name, mask);
	sigaltstack(&stack, NULL);
	sigaddset(&action.sa_mask, SIGUSR1);
	sigaction(number, &action, NULL);
	sigemptyset(&blocked);
	if (!strcmp(mask, "alone"))
		sigaddset(&blocked, number);
	if (!strcmp(mask, "all"))
		sigfillset(&blocked);
	sigprocmask(SIG_SETMASK, &blocked, &was);
	sigprocmask(SIG_SETMASK, NULL, &was);
	sigaction(number, NULL, &before);
	for (int i = 0; i < 3; i++)
		bad_calls(number == SIGSEGV ? hole : cut);
	if (number == SIGSEGV)
		bad_calls((char *)0x8000000000000000ul);
	sigaction(number, NULL, &after);
	sigprocmask(SIG_SETMASK, NULL, &is);
	say(same_action(&before, &after) ? " as it was," : " CHANGED,");
	say(memcmp(&was, &is, 8) ? " mask CHANGED," : " mask as it was,");
	flush();
	snprintf(line, sizeof line, "    a real fault:");
	target = number == SIGSEGV ? hole : cut;
	*target = 1;
	_exit(9);
}

static void in_child(int number, const struct way *way, const char *mask)
{
	int status;
	pid_t child = fork();
	if (child == 0)
		one(number, way, mask);
	waitpid(child, &status, 0);
	snprintf(line, sizeof line, "    ended by %d, exit %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0,
	         WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	flush();
}

int main(int argc, char **argv)
{
	struct stat s;
	char text[64];
	int fd = memfd_create("cut", 0);
	struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	need_arguments(argc, 2, "fault_states FILE MASK...");
	file = argv[1];
	hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ftruncate(fd, 4096) < 0)
		return 3;
	cut = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ftruncate(fd, 0) < 0)
		return 3;
	for (int i = 0; i < 3; i++) /* nothing of this is the first call of its kind */
		if (stat(file, &s) || lstat(file, &s) || access(file, R_OK) || close(open(file, O_RDONLY)) || !getcwd(text, 64) ||
		    readlink(file, text, 64) != -1 || chdir(".") || syscall(SYS_statx, AT_FDCWD, file, 0, 0, line))
			return 3;
	for (int i = 2; i < argc; i++)
		for (size_t j = 0; j < sizeof ways / sizeof ways[0]; j++) {
			in_child(SIGSEGV, &ways[j], argv[i]);
			in_child(SIGBUS, &ways[j], argv[i]);
		}
	return 0;
}
