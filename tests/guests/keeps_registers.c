/*
 * Fills every register that a syscall keeps with a pattern, does openat, newfstatat and readlinkat on PATH, and compares:
 * general registers except rax, rcx and r11, the vector registers, MXCSR and the direction flag.
 */
#include "guest.h"

#if defined(__x86_64__)
struct registers {
	uint64_t rax, rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15; /* 0 .. 96 */
	uint64_t flags;								 /* 104 */
	uint32_t mxcsr, unused;							 /* 112 */
	uint64_t rsp;								 /* 120 */
	uint8_t xmm[16][16];							 /* 128 */
};
_Static_assert(sizeof(struct registers) == 384, "offsets below");

/* Load all from *in, syscall, store all to *out. */
void call_with(const struct registers *in, struct registers *out);
#define EACH_XMM(operation) operation(0) operation(1) operation(2) operation(3) operation(4) operation(5) operation(6) \
	operation(7) operation(8) operation(9) operation(10) operation(11) operation(12) operation(13) operation(14)   \
	operation(15)
#define LOAD(n) "\tmovdqu 128+16*" #n "(%rdi), %xmm" #n "\n"
#define STORE(n) "\tmovdqu %xmm" #n ", 128+16*" #n "(%rcx)\n"
__asm__(".text\n.globl call_with\ncall_with:\n"
	"\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\tpush %rsi\n"
	EACH_XMM(LOAD)
	"\tldmxcsr 112(%rdi)\n"
	"\tmov 0(%rdi), %rax\n\tmov 8(%rdi), %rbx\n\tmov 16(%rdi), %rdx\n\tmov 24(%rdi), %rsi\n\tmov 40(%rdi), %rbp\n"
	"\tmov 48(%rdi), %r8\n\tmov 56(%rdi), %r9\n\tmov 64(%rdi), %r10\n\tmov 72(%rdi), %r12\n\tmov 80(%rdi), %r13\n"
	"\tmov 88(%rdi), %r14\n\tmov 96(%rdi), %r15\n\tmov 32(%rdi), %rdi\n"
	"\tstd\n" /* an unusual flag: it must come back as it was */
	"\tsyscall\n"
	"\tmov (%rsp), %rcx\n" /* rcx is the kernel's to clobber: ours to use */
	"\tmov %rax, 0(%rcx)\n\tpushfq\n\tpop %rax\n\tcld\n\tmov %rax, 104(%rcx)\n"
	"\tmov %rbx, 8(%rcx)\n\tmov %rdx, 16(%rcx)\n\tmov %rsi, 24(%rcx)\n\tmov %rdi, 32(%rcx)\n\tmov %rbp, 40(%rcx)\n"
	"\tmov %r8, 48(%rcx)\n\tmov %r9, 56(%rcx)\n\tmov %r10, 64(%rcx)\n\tmov %r12, 72(%rcx)\n\tmov %r13, 80(%rcx)\n"
	"\tmov %r14, 88(%rcx)\n\tmov %r15, 96(%rcx)\n\tstmxcsr 112(%rcx)\n"
	EACH_XMM(STORE)
	"\tpop %rsi\n\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n");

static int differences(const struct registers *a, const struct registers *b)
{
	static const char *const names[] = {"rbx", "rdx", "rsi", "rdi", "rbp", "r8",  "r9",
					    "r10", "r12", "r13", "r14", "r15"};
	const uint64_t *x = &a->rbx, *y = &b->rbx;
	int found = 0;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (x[i] != y[i]) {
			printf("  %s changed\n", names[i]);
			found++;
		}
	for (int i = 0; i < 16; i++)
		if (memcmp(a->xmm[i], b->xmm[i], 16)) {
			printf("  xmm%d changed\n", i);
			found++;
		}
	if ((a->mxcsr & 0xffc0) != (b->mxcsr & 0xffc0)) {
		puts("  mxcsr changed");
		found++;
	}
	if (!(b->flags & 0x400)) {
		puts("  the direction flag changed");
		found++;
	}
	return found;
}

static int one(const char *what, long number, const uint64_t arguments[4])
{
	struct registers in, out;
	uint8_t *byte = (uint8_t *)&in;
	uint32_t ordinary;
	for (size_t i = 0; i < sizeof in; i++)
		byte[i] = (uint8_t)(i * 37 + 11);
	__asm__("stmxcsr %0" : "=m"(ordinary));
	in.mxcsr = (ordinary & ~0x6000u) | 0x2000u; /* round down: unusual, harmless */
	in.rax = (uint64_t)number;
	in.rdi = arguments[0];
	in.rsi = arguments[1];
	in.rdx = arguments[2];
	in.r10 = arguments[3];
	call_with(&in, &out);
	__asm__ volatile("ldmxcsr %0" : : "m"(ordinary));
	if ((int64_t)out.rax < 0)
		printf("%s: -1 %s, %d registers changed\n", what, error_name((int)-(int64_t)out.rax), differences(&in, &out));
	else
		printf("%s: ok, %d registers changed\n", what, differences(&in, &out));
	return 0;
}

int main(int argc, char **argv)
{
	static struct stat s;
	static char buffer[4096];
	need_arguments(argc, 1, "keeps_registers PATH...");
	for (int i = 1; i < argc; i++) {
		uint64_t here = (uint64_t)AT_FDCWD, path = (uint64_t)argv[i];
		for (int twice = 0; twice < 2; twice++) { /* first a miss, then an answer that is known */
			one("newfstatat", SYS_newfstatat, (uint64_t[]){here, path, (uint64_t)&s, 0});
			one("openat", SYS_openat, (uint64_t[]){here, path, O_RDONLY, 0});
			one("readlinkat", SYS_readlinkat, (uint64_t[]){here, path, (uint64_t)buffer, sizeof buffer});
			one("unlinkat", SYS_unlinkat, (uint64_t[]){here, (uint64_t) "/not/there/at/all", 0, 0});
		}
	}
	return 0;
}
#else
int main(void)
{
	puts("not on this architecture");
	return 77;
}
#endif
