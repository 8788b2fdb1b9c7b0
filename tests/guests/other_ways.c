/*
 * Ways to a file besides the plain calls: asynchronous reading by the kernel (io_submit), looking with all signals blocked,
 * and, where asked for, by numbers of more than 32 bits, and calls of another kind than the program's own (int 0x80, x32).
 * usage: other_ways FILE UNSEEN [calls of another kind]
 */
#include "guest.h"

#include <linux/aio_abi.h>
#include <signal.h>
#include <sys/syscall.h>

static void read_asynchronously(const char *path)
{
	aio_context_t context = 0;
	char bytes[64] = "";
	int fd = open(path, O_RDONLY);
	struct iocb read_all = {.aio_fildes = (unsigned)fd, .aio_lio_opcode = IOCB_CMD_PREAD,
				.aio_buf = (unsigned long)bytes, .aio_nbytes = sizeof bytes - 1};
	struct iocb write_some = {.aio_fildes = (unsigned)fd, .aio_lio_opcode = IOCB_CMD_PWRITE,
				  .aio_buf = (unsigned long)bytes, .aio_nbytes = 1};
	struct iocb *one[] = {&read_all}, *other[] = {&write_some};
	struct io_event event = {.res = -1};
	report("io_setup", (int)syscall(SYS_io_setup, 1, &context));
	report("io_submit", (int)syscall(SYS_io_submit, context, 1, one));
	report("io_getevents", (int)syscall(SYS_io_getevents, context, 1, 1, &event, NULL));
	printf("%lld %.63s\n", (long long)event.res, bytes);
	report("io_submit of a write", (int)syscall(SYS_io_submit, context, 1, other));
	report("io_destroy", (int)syscall(SYS_io_destroy, context));
}

static void look_with_all_blocked(const char *path)
{
	sigset_t all;
	struct stat s;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	report("stat, all blocked", stat(path, &s));
	report_success("open, all blocked", open(path, O_RDONLY));
}

/* The kernel's entry looks at 32 bits of a number (since Linux 5.14). */
static void call_by_wide_number(const char *path)
{
	struct stat s;
	for (int i = 0; i < 3; i++) {
		long result = SYS_stat | 1L << 32;
		__asm__ volatile("syscall" : "+a"(result) : "D"(path), "S"(&s) : "memory", "rcx", "r11");
		printf("wide: %ld\n", result);
	}
}

static void call_otherwise(void)
{
	long result = 20; /* getpid of i386 */
	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
	printf("int 0x80: %ld\n", result);
	result = 0x40000000 + SYS_getpid;
	__asm__ volatile("syscall" : "+a"(result) : : "memory", "rcx", "r11");
	printf("x32: %ld\n", result);
}

int main(int count, char **words)
{
	need_arguments(count, 2, "other_ways FILE UNSEEN [calls of another kind]");
	alarm(30);
	read_asynchronously(words[1]);
	look_with_all_blocked(words[2]);
	if (count > 3) {
		call_by_wide_number(words[2]);
		call_otherwise();
	}
	return 0;
}
