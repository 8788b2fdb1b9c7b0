/*
 * Asks for the attributes of the file that its first argument names, once, by a call in a page of its own: exit code 10
 * if it is there, else the errno.  The test makes another program of it that begins with the same instructions and has
 * others behind the mark in `look`.
 * Built without a libc
 */
__asm__(".globl _start\n"
	"_start:\n"
	"\tmov %rsp, %rdi\n"
	"\tand $-16, %rsp\n"
	"\tcall begin\n"
	"\t.balign 4096\n"
	"look:\n"
	"\tnopl 0x5a17e000(%rax)\n"
	"\tmov $4, %eax\n"
	"\tsyscall\n"
	"\tcmp $-4095, %rax\n"
	"\tret\n"
	"\t.balign 4096\n");

long look(const char *path, void *status);
void begin(long *stack);

void begin(long *stack)
{
	static long status[18];
	int code = (int)look((const char *)stack[2], status);
	for (;;)
		__asm__ volatile("syscall" : : "a"(231), "D"(code ? -code : 10) : "rcx", "r11", "memory");
}
