/*
 * Calls about PATH with the stack pointer only BYTES above a guard page: the kernel needs no user stack at all.
 * Tells each result, and whether the 128 bytes below the stack pointer (the red zone) and all above are as they were.
 */
#include "guest.h"

#include <sys/mman.h>

#if defined(__x86_64__)
/* rdi: number and arguments, rsi: stack pointer to have during the call; the result in rax */
long call_on_stack(const long *call, void *stack);
__asm__(".text\n.globl call_on_stack\ncall_on_stack:\n"
	"\tpush %rbx\n\tmov %rsp, %rbx\n\tmov %rsi, %rsp\n"
	"\tmov 0(%rdi), %rax\n\tmov 16(%rdi), %rsi\n\tmov 24(%rdi), %rdx\n\tmov 32(%rdi), %r10\n\tmov 40(%rdi), %r8\n"
	"\txor %r9d, %r9d\n\tmov 8(%rdi), %rdi\n"
	"\tsyscall\n"
	"\tmov %rbx, %rsp\n\tpop %rbx\n\tret\n");

static char *area, *stack, buffer[8192];
static long size;

static long perform(const char *what, const long *call)
{
	long bytes = stack - area - size, red = bytes < 128 ? bytes : 128, kept = 0, changed = 0;
	memset(area + size, 0x5a, 2 * (size_t)size);
	long result = call_on_stack(call, stack);
	for (long i = 1; i <= red; i++)
		kept += stack[-i] == 0x5a;
	for (char *above = stack; above < area + 3 * size; above++)
		changed += *above != 0x5a;
	printf("%s: %s, red zone kept: %s, bytes changed above: %ld\n", what, result < 0 ? error_name((int)-result) : "ok",
	       kept == red ? "yes" : "no", changed);
	return result;
}
#define PERFORM(what, ...) perform(what, (const long[6]){__VA_ARGS__})

int main(int argc, char **argv)
{
	need_arguments(argc, 3, "small_stack BYTES PATH DIRECTORY");
	const long path = (long)argv[2], directory = (long)argv[3], place = (long)buffer, long_way = (long)"./../././/./../x";
	size = sysconf(_SC_PAGESIZE);
	area = mmap(NULL, 3 * (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(area, (size_t)size, PROT_NONE);
	stack = area + size + atol(argv[1]);
	PERFORM("stat", SYS_stat, path, place);
	PERFORM("statx", SYS_statx, AT_FDCWD, path, 0, 0x7ff, place);
	PERFORM("lstat of a host path", SYS_lstat, (long)"/etc", place);
	PERFORM("stat of a missing host path", SYS_stat, (long)"/no/such/path", place);
	PERFORM("readlink", SYS_readlink, path, place, sizeof buffer);
	PERFORM("getxattr", SYS_getxattr, path, (long)"user.none", place, sizeof buffer);
	PERFORM("rename", SYS_rename, path, path);
	PERFORM("rmdir", SYS_rmdir, path);
	PERFORM("inotify_add_watch", SYS_inotify_add_watch, -1, path, 2);
	long fd = PERFORM("open", SYS_open, path, O_RDONLY);
	PERFORM("fstat", SYS_fstat, fd, place);
	PERFORM("fstatfs", SYS_fstatfs, fd, place);
	PERFORM("fremovexattr", SYS_fremovexattr, fd, (long)"user.none");
	PERFORM("fgetxattr", SYS_fgetxattr, fd, (long)"user.none", place, sizeof buffer);
	fd = PERFORM("open of a directory", SYS_open, directory, O_RDONLY | O_DIRECTORY);
	PERFORM("getdents", SYS_getdents64, fd, place, sizeof buffer);
	PERFORM("openat", SYS_openat, fd, long_way, O_RDONLY);
	PERFORM("mkdirat", SYS_mkdirat, fd, (long)".", 0700);
	PERFORM("linkat", SYS_linkat, fd, (long)"old", fd, (long)"new", 0);
	PERFORM("chdir", SYS_chdir, directory);
	PERFORM("stat of a relative path", SYS_stat, long_way, place);
	PERFORM("stat of a missing relative path", SYS_stat, (long)"missing/x", place);
	PERFORM("openat2", SYS_openat2, AT_FDCWD, (long)"..", (long)(const long[3]){O_PATH, 0, 0}, 24);
	PERFORM("getcwd", SYS_getcwd, place, sizeof buffer);
	PERFORM("fchdir", SYS_fchdir, fd);
	PERFORM("readlink of the working directory", SYS_readlink, (long)"/proc/self/cwd", place, sizeof buffer);
	PERFORM("execve", SYS_execve, directory, 0, 0);
	return 0;
}
#else
int main(void)
{
	puts("not on this architecture");
	return 77;
}
#endif
