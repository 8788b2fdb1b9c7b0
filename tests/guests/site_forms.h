/*
 * Call sites as compilers and people write them: each function makes stat(path, buffer) by itself, with what may stand
 * around a `syscall`, and hands on what it has got through just these instructions.
 */
#ifndef SITE_FORMS_H
#define SITE_FORMS_H

typedef long site(const char *path, void *buffer);

/* Whatever `front` is, then the call, then `...`. */
#define SITE(name, front, ...) \
	__asm__(".text\n.p2align 4\n" #name ":\n" front "\n syscall\n" __VA_ARGS__ "\n ret\n"); \
	extern site name;
#define TEN(name, ...) \
	SITE(name##0, __VA_ARGS__) SITE(name##1, __VA_ARGS__) SITE(name##2, __VA_ARGS__) SITE(name##3, __VA_ARGS__) \
	SITE(name##4, __VA_ARGS__) SITE(name##5, __VA_ARGS__) SITE(name##6, __VA_ARGS__) SITE(name##7, __VA_ARGS__) \
	SITE(name##8, __VA_ARGS__) SITE(name##9, __VA_ARGS__)
#define NAMES(name) \
	name##0, name##1, name##2, name##3, name##4, name##5, name##6, name##7, name##8, name##9

/* The number directly in front of the call: what stands behind does not matter. */
#define NUMBER " mov $4, %eax"
TEN(front_ret, NUMBER, "")
TEN(front_jump, NUMBER, " jmp 1f\n nop\n1: ")
TEN(front_relative, NUMBER, " lea 1f(%rip), %rdx\n jmp *%rdx\n1: ")
TEN(front_moves, " mov %rdi, %r9\n" NUMBER "\n mov %r9, %rdi\n movslq %r10d, %r10\n xor %r8d, %r8d\n mov %ecx, %edx", "")
TEN(front_constant, NUMBER "\n mov $0x12345678, %r10d\n mov $-100, %edx", "")
TEN(front_stack, " push $4\n push %rdx\n mov 8(%rsp), %rax", " pop %rdx\n pop %rcx ")
/* As C libraries write what pthread_cancel may end: ours take the number first, and a word before that. */
TEN(front_cancel, " mov %rsi, %rcx\n mov %rdi, %rdx\n mov $4, %esi\n sub $24, %rsp\n"
	" mov %rdi, %r11\n mov %rsi, %rax\n mov %rdx, %rdi\n mov %rcx, %rsi\n mov %r8, %rdx\n mov %r9, %r10\n"
	" mov 8(%rsp), %r8\n mov 16(%rsp), %r9\n mov %r11, 8(%rsp)", " lea 24(%rsp), %rsp ")
TEN(front_single, " mov %rsi, %rdx\n mov %rdi, %rsi\n mov $4, %edi\n"
	" mov %rdi, %rax\n mov %r8, %r10\n mov %rsi, %rdi\n mov %r9, %r8\n mov %rdx, %rsi\n mov 8(%rsp), %r9\n"
	" mov %rcx, %rdx", "")

/* The number somewhere else. */
#define EARLIER " mov $4, %eax\n lea (%rdi), %rdi"
TEN(cmp_rax, EARLIER, " cmp $-4095, %rax\n jae 1f\n ret\n1: ")
TEN(cmp_eax, EARLIER, " .byte 0x3d, 0x00, 0xf0, 0xff, 0xff\n ja 1f\n ret\n1: movslq %eax, %rax ")
TEN(cmp_byte, EARLIER, " cmp $-2, %rax\n je 1f\n ret\n1: ")
TEN(cmp_eax_byte, EARLIER, " cmp $-2, %eax\n je 1f\n ret\n1: ")
TEN(test_rax, EARLIER, " test %rax, %rax\n js 1f\n ret\n1: ")
TEN(mov_rdi, EARLIER, " mov %rax, %rdi\n xor %eax, %eax\n mov %rdi, %rax ")
TEN(mov_r9, EARLIER, " mov %rax, %r9\n xor %eax, %eax\n mov %r9, %rax ")
TEN(mov_r9d, EARLIER, " mov %eax, %r9d\n xor %eax, %eax\n movslq %r9d, %rax ")
/* Some come to the instruction behind the call by another way: here those without a path. */
TEN(led_to, " mov $-14, %rax\n test %rdi, %rdi\n jz 1f\n" EARLIER, "1: cmp $-4095, %rax\n jae 2f\n ret\n2: ")

/* Not to be touched: what is behind the call is too short, or not to be moved. */
TEN(mov_edx_cmp, EARLIER, " mov %eax, %edx\n cmp $-4096, %eax\n movslq %edx, %rax ")
TEN(movslq_rdx, EARLIER, " movslq %eax, %rdx\n xor %eax, %eax\n mov %rdx, %rax ")
TEN(cmp_other, EARLIER, " cmp $-132, %rax\n jbe 1f\n nop\n1: ")
TEN(ret_at_once, EARLIER, "")
TEN(relative, EARLIER, " lea 1f(%rip), %rdx\n jmp *%rdx\n1: ")

static site *const sites[] = {
	NAMES(front_ret), NAMES(front_jump), NAMES(front_relative), NAMES(front_moves), NAMES(front_constant),
	NAMES(front_stack), NAMES(front_cancel), NAMES(front_single), NAMES(cmp_rax), NAMES(cmp_eax), NAMES(cmp_byte), NAMES(cmp_eax_byte), NAMES(test_rax),
	NAMES(mov_rdi), NAMES(mov_r9), NAMES(mov_r9d), NAMES(led_to), NAMES(mov_edx_cmp),
	NAMES(movslq_rdx), NAMES(cmp_other), NAMES(ret_at_once), NAMES(relative),
};
#define SITE_COUNT (sizeof sites / sizeof sites[0])

#endif
