/*
 * Call sites as compilers and people write them: each function makes stat(path, buffer) by itself, in one of the forms
 * that may stand behind a `syscall`, and hands on what it has got through just these instructions.
 */
#ifndef SITE_FORMS_H
#define SITE_FORMS_H

typedef long site(const char *path, void *buffer);

#define SITE(name, ...) \
	__asm__(".text\n.p2align 4\n" #name ":\n mov $4, %eax\n syscall\n" __VA_ARGS__ "\n ret\n"); \
	extern site name;
#define TEN(name, ...) \
	SITE(name##0, __VA_ARGS__) SITE(name##1, __VA_ARGS__) SITE(name##2, __VA_ARGS__) SITE(name##3, __VA_ARGS__) \
	SITE(name##4, __VA_ARGS__) SITE(name##5, __VA_ARGS__) SITE(name##6, __VA_ARGS__) SITE(name##7, __VA_ARGS__) \
	SITE(name##8, __VA_ARGS__) SITE(name##9, __VA_ARGS__)
#define NAMES(name) \
	name##0, name##1, name##2, name##3, name##4, name##5, name##6, name##7, name##8, name##9

TEN(cmp_rax, " cmp $-4095, %rax\n jae 1f\n ret\n1: ")
TEN(cmp_eax, " .byte 0x3d, 0x00, 0xf0, 0xff, 0xff\n ja 1f\n ret\n1: movslq %eax, %rax ")
TEN(cmp_byte, " cmp $-2, %rax\n je 1f\n ret\n1: ")
TEN(cmp_eax_byte, " cmp $-2, %eax\n je 1f\n ret\n1: ")
TEN(test_rax, " test %rax, %rax\n js 1f\n ret\n1: ")
TEN(mov_rdi, " mov %rax, %rdi\n xor %eax, %eax\n mov %rdi, %rax ")
TEN(mov_r9, " mov %rax, %r9\n xor %eax, %eax\n mov %r9, %rax ")
TEN(mov_r9d, " mov %eax, %r9d\n xor %eax, %eax\n movslq %r9d, %rax ")
TEN(mov_edx_cmp, " mov %eax, %edx\n cmp $-4096, %eax\n movslq %edx, %rax ")
TEN(cltq_cmp, " cltq\n cmp $-4095, %rax ")
/* Not to be touched: too short, or not to be moved. */
TEN(movslq_rdx, " movslq %eax, %rdx\n xor %eax, %eax\n mov %rdx, %rax ")
TEN(movslq_r10, " movslq %eax, %r10\n xor %eax, %eax\n mov %r10, %rax ")
TEN(cmp_other, " cmp $-132, %rax\n jbe 1f\n nop\n1: ")
TEN(ret_at_once, "")
TEN(jump_at_once, " jmp 1f\n nop\n1: ")
TEN(relative, " lea 1f(%rip), %rdx\n jmp *%rdx\n1: ")

static site *const sites[] = {
	NAMES(cmp_rax), NAMES(cmp_eax), NAMES(cmp_byte), NAMES(cmp_eax_byte), NAMES(test_rax),
	NAMES(mov_rdi), NAMES(mov_r9), NAMES(mov_r9d), NAMES(mov_edx_cmp), NAMES(cltq_cmp),
	NAMES(movslq_rdx), NAMES(movslq_r10), NAMES(cmp_other), NAMES(ret_at_once), NAMES(jump_at_once), NAMES(relative),
};
#define SITE_COUNT (sizeof sites / sizeof sites[0])

#endif
