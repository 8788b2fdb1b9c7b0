/*
 * Call sites that THREADS threads run through all the time, in calls that nobody looks at, while one call of another
 * thread's, at the same site, is one that somebody may look at: ioctl(2) of no descriptor, with two requests.
 * Sites of each form lie anywhere in a line of the cache, across two lines, and across two pages.  Prints how many calls
 * said anything but EBADF.
 * usage: running_site THREADS
 */
#include "guest.h"

#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>

typedef long site(long descriptor, long request, void *argument);

/* The first instruction of the call lies `skip` bytes behind a multiple of 2 to the power of `align`. */
#define SITE(name, align, skip, ...) \
	__asm__(".text\n.p2align " #align "\n.skip " #skip ", 0x90\n" #name ":\n" __VA_ARGS__ "\n"); \
	extern site name;
#define IN_FRONT " mov $16, %eax\n syscall\n ret"
#define BEHIND " mov $16, %eax\n lea (%rdi), %rdi\n syscall\n cmp $-4095, %rax\n jae 1f\n ret\n1: ret"
#define FIVE(name, ...) \
	SITE(name##0, __VA_ARGS__) SITE(name##1, __VA_ARGS__) SITE(name##2, __VA_ARGS__) SITE(name##3, __VA_ARGS__) \
	SITE(name##4, __VA_ARGS__)
#define NAMES(name) name##0, name##1, name##2, name##3, name##4

FIVE(front_in_line, 6, 5, IN_FRONT)
FIVE(front_in_lines, 6, 61, IN_FRONT)
FIVE(front_in_pages, 12, 4093, IN_FRONT)
FIVE(behind_in_line, 6, 5, BEHIND)
FIVE(behind_in_lines, 6, 52, BEHIND)
FIVE(behind_in_pages, 12, 4084, BEHIND)

static site *const sites[] = {NAMES(front_in_line),  NAMES(front_in_lines),  NAMES(front_in_pages),
                              NAMES(behind_in_line), NAMES(behind_in_lines), NAMES(behind_in_pages)};
enum { SITES = sizeof sites / sizeof sites[0], ENOUGH = 1000, MOST_THREADS = 32 };
static long calls[MOST_THREADS], wrong; /* calls: each written by its thread alone */
static int turn;

static int now(void)
{
	return __atomic_load_n(&turn, __ATOMIC_ACQUIRE);
}

static void *runs(void *number)
{
	for (int i; (i = now()) < SITES;)
		while (now() == i) {
			if (sites[i](-1, TIOCGWINSZ, NULL) != -EBADF)
				__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
			__atomic_fetch_add((long *)number, 1, __ATOMIC_RELAXED);
		}
	return NULL;
}

/* Until everybody runs through the site of this turn. */
static void wait_for_all(int threads)
{
	for (int i = 0; i < threads; i++)
		for (long before = __atomic_load_n(&calls[i], __ATOMIC_RELAXED);
		     __atomic_load_n(&calls[i], __ATOMIC_RELAXED) < before + ENOUGH;)
			sched_yield();
}

int main(int count, char **words)
{
	pthread_t ids[MOST_THREADS];
	long argument = 0;
	need_arguments(count, 1, "running_site THREADS");
	int threads = atoi(words[1]);
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, runs, &calls[i]);
	for (int i = 0; i < SITES; i++) {
		wait_for_all(threads);
		for (int again = 0; again < 3; again++)
			wrong += sites[i](-1, FS_IOC_SETFLAGS, &argument) != -EBADF;
		wait_for_all(threads);
		__atomic_store_n(&turn, i + 1, __ATOMIC_RELEASE);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("wrong: %ld of %d sites\n", wrong, SITES);
	return wrong != 0;
}
