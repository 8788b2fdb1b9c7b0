/*
 * One stat of PATH with the stack pointer only BYTES above a guard page: the kernel needs no user stack at all.
 * Tells the result, and whether the 128 bytes below the stack pointer (the red zone) are as they were.
 */
#include "guest.h"

#include <sys/mman.h>

#if defined(__x86_64__)
/* rdi: path, rsi: struct stat, rdx: stack pointer to have during the call; the result in rax */
long stat_on_stack(const char *path, struct stat *s, void *stack);
__asm__(".text\n.globl stat_on_stack\nstat_on_stack:\n"
	"\tpush %rbx\n\tmov %rsp, %rbx\n\tmov %rdx, %rsp\n"
	"\tmov $4, %eax\n\tsyscall\n"
	"\tmov %rbx, %rsp\n\tpop %rbx\n\tret\n");

int main(int argc, char **argv)
{
	struct stat s;
	long size = sysconf(_SC_PAGESIZE), bytes, result, kept = 0;
	char *area, *stack;
	long red;
	need_arguments(argc, 2, "small_stack BYTES PATH");
	bytes = atol(argv[1]);
	area = mmap(NULL, 3 * (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(area, (size_t)size, PROT_NONE);
	if (bytes < 0 || bytes > size) {
		fprintf(stderr, "small_stack: BYTES from 0 to %ld\n", size);
		return 2;
	}
	stack = area + size + bytes;
	memset(area + size, 0x5a, 2 * (size_t)size);
	result = stat_on_stack(argv[2], &s, stack);
	red = bytes < 128 ? bytes : 128;
	for (long i = 1; i <= red; i++)
		kept += stack[-i] == 0x5a;
	if (result < 0)
		printf("stat: -1 %s\n", error_name((int)-result));
	else
		printf("stat: 0 mode=%06o\n", s.st_mode);
	printf("red zone kept: %s\n", kept == red ? "yes" : "no");
	kept = 0;
	for (char *above = stack; above < area + 3 * size; above++)
		kept += *above != 0x5a;
	printf("bytes changed above: %ld\n", kept);
	return 0;
}
#else
int main(void)
{
	puts("not on this architecture");
	return 77;
}
#endif
