/*
 * Coroutines of one page of stack each, above a guard page: `coroutines COUNT PATH DIRECTORY MISSING`.  They take turns
 * between any two calls, each through the C library; the count of wrong answers is printed.
 */
#include "guest.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { MOST = 2000 };
static ucontext_t home, here[MOST];
static const char *present, *directory, *missing;
static int current, wrong;

static void another_turn(void)
{
	swapcontext(&here[current], &home);
}

static void expect(int true_or_not)
{
	wrong += !true_or_not;
	another_turn();
}

static void look(void)
{
	struct stat s;
	char bytes[256];
	for (int round = 0; round < 3; round++) {
		int fd = open(present, O_RDONLY | O_CLOEXEC);
		expect(fd >= 0);
		expect(fstat(fd, &s) == 0 && S_ISREG(s.st_mode));
		expect(read(fd, bytes, sizeof bytes) > 0);
		expect(close(fd) == 0);
		expect(stat(present, &s) == 0 && S_ISREG(s.st_mode));
		int result = access(missing, R_OK), code = errno;
		expect(result == -1 && code == ENOENT);
		expect((fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0);
		expect(syscall(SYS_getdents64, fd, bytes, sizeof bytes) > 0);
		expect(faccessat(fd, ".", X_OK, 0) == 0);
		expect(close(fd) == 0);
	}
	current = -1;
}

int main(int argc, char **argv)
{
	need_arguments(argc, 4, "coroutines COUNT PATH DIRECTORY MISSING");
	int count = atoi(argv[1]) < MOST ? atoi(argv[1]) : MOST, left = count;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	static char done[MOST];
	present = argv[2];
	directory = argv[3];
	missing = argv[4];
	for (int i = 0; i < count; i++) {
		char *area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (area == MAP_FAILED || mprotect(area, page, PROT_NONE) != 0 || getcontext(&here[i]) != 0)
			return 2;
		here[i].uc_stack.ss_sp = area + page;
		here[i].uc_stack.ss_size = page;
		here[i].uc_link = &home;
		makecontext(&here[i], look, 0);
	}
	for (long turn = 0; left; turn++) {
		int i = (int)(turn % count);
		if (done[i])
			continue;
		current = i;
		swapcontext(&home, &here[i]);
		if (current < 0) {
			done[i] = 1;
			left--;
		}
	}
	printf("%d came to their end, %d wrong\n", count, wrong);
	return 0;
}
