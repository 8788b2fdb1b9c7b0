/*
 * Executes itself TIMES times and then prints what it has inherited: what the kernel says of signals and limits, and how
 * many descriptors are open.  HOW prepares the first: any of
 * trap-ignored, trap-blocked, trap-pending, timers (1 kHz, ignored, blocked and pending), all-blocked, table-full (up to the
 * soft limit), space-low (the soft limit, which is not printed).
 */
#include "guest.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

static void block(int number)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void tick(int which, int number)
{
	struct itimerval each = {{0, 1000}, {0, 1000}};
	block(number);
	setitimer(which, &each, NULL);
}

static void fill_table(void)
{
	int fd;
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		;
}

static void lower(int resource, long limit)
{
	struct rlimit now;
	getrlimit(resource, &now);
	now.rlim_cur = (rlim_t)limit;
	setrlimit(resource, &now);
}

static void prepare(const char *how)
{
	sigset_t all;
	if (!strcmp(how, "trap-ignored"))
		signal(SIGTRAP, SIG_IGN);
	if (!strncmp(how, "trap-", 5) && strcmp(how, "trap-ignored"))
		block(SIGTRAP);
	if (!strcmp(how, "trap-pending"))
		raise(SIGTRAP);
	if (!strcmp(how, "timers")) {
		signal(SIGALRM, SIG_IGN);
		tick(ITIMER_PROF, SIGPROF);
		setitimer(ITIMER_REAL, &(struct itimerval){{0, 1000}, {0, 1000}}, NULL);
	}
	sigfillset(&all);
	if (!strcmp(how, "all-blocked"))
		sigprocmask(SIG_SETMASK, &all, NULL);
	if (!strcmp(how, "table-full"))
		fill_table();
	if (!strcmp(how, "space-low"))
		lower(RLIMIT_AS, 300L << 20);
}

static void print_status(const char *how)
{
	char line[256];
	FILE *file = fopen("/proc/self/status", "r");
	while (file && fgets(line, sizeof line, file))
		if ((!strncmp(line, "Sig", 3) && line[3] != 'Q') || !strncmp(line, "ShdPnd", 6))
			if (strcmp(how, "timers") || !strstr(line, "Pnd")) /* it may come at any moment */
				fputs(line, stdout);
	if (file)
		fclose(file);
	for (int resource = 0; resource < (int)RLIMIT_NLIMITS; resource++) {
		struct rlimit limit;
		getrlimit(resource, &limit);
		if (resource != RLIMIT_AS && resource != RLIMIT_SIGPENDING && resource != RLIMIT_NPROC)
			printf("limit %d: %ld %ld\n", resource, (long)limit.rlim_cur, (long)limit.rlim_max);
	}
}

static void print_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 100000; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	printf("%d descriptors\n", count);
	close(0); /* the table may be full */
}

int main(int argc, char **argv)
{
	need_arguments(argc, 2, "exec_chain TIMES HOW");
	int times = atoi(argv[1]);
	char next[16];
	if (argc < 4)
		prepare(argv[2]);
	if (times > 0) {
		snprintf(next, sizeof next, "%d", times - 1);
		execl("/proc/self/exe", argv[0], next, argv[2], "inherited", (char *)NULL);
		perror("execl");
		return 9;
	}
	print_descriptors();
	print_status(argv[2]);
	return 0;
}
