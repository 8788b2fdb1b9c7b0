/*
 * Opens the file that its first argument names and copies it to standard output: nothing but four syscalls.
 * Built without a libc
 */
#if defined(__x86_64__)
enum { NR_read = 0, NR_write = 1, NR_openat = 257, NR_exit_group = 231 };
static long call(long number, long a, long b, long c, long d)
{
	long result;
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tandq $-16, %rsp\n\tcall begin\n");
#elif defined(__aarch64__)
enum { NR_read = 63, NR_write = 64, NR_openat = 56, NR_exit_group = 94 };
static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl begin\n");
#endif

void begin(long *stack);
void begin(long *stack)
{
	static char buffer[4096];
	long fd = stack[0] > 1 ? call(NR_openat, -100, stack[2], 0, 0) : -22, got;
	if (fd < 0)
		call(NR_exit_group, -fd, 0, 0, 0); /* the errno is the exit code */
	while ((got = call(NR_read, fd, (long)buffer, sizeof buffer, 0)) > 0)
		call(NR_write, 1, (long)buffer, got, 0);
	for (;;)
		call(NR_exit_group, got < 0, 0, 0, 0);
}
