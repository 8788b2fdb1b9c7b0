/*
 * Confines itself by Landlock in every way of those that concern reading and executing, LAYERS times, with rules that
 * allow all of TOP and of the system, and then reads and executes what is in TOP, and reads what no rule allows; `lost`:
 * with nothing above 2 open; `replaced`: with a directory that no rule allows under many numbers.
 * usage: confines_runs LAYERS kept|lost|replaced TOP FILE PROGRAM...
 */
#include "guest.h"

#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const uint64_t rights[] = {LANDLOCK_ACCESS_FS_EXECUTE, LANDLOCK_ACCESS_FS_READ_FILE, LANDLOCK_ACCESS_FS_READ_DIR,
				  LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG};
#define SUBSETS (1u << sizeof rights / sizeof *rights)

static int ruleset(uint64_t handled, const char *top)
{
	const char *const places[] = {top, "/usr", "/lib", "/lib64", "/etc", "/proc", "/dev"};
	struct landlock_ruleset_attr wanted = {.handled_access_fs = handled};
	int rules = (int)syscall(SYS_landlock_create_ruleset, &wanted, sizeof wanted, 0);
	for (unsigned i = 0; rules >= 0 && i < sizeof places / sizeof *places; i++) {
		struct landlock_path_beneath_attr rule = {handled, open(places[i], O_PATH | O_CLOEXEC)};
		if (rule.parent_fd >= 0 && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
			report(places[i], -1);
		close(rule.parent_fd);
	}
	return rules;
}

static void look(const char *top, char **names)
{
	char path[4096];
	long size;
	snprintf(path, sizeof path, "%s/%s", top, names[0]);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	report_success("  open", fd);
	report_success("  open what is no rule's", open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC));
	printf("  hash %016llx\n", (unsigned long long)hash_descriptor(fd, &size));
	close(fd);
	for (char **name = names + 1; *name; name++) {
		int status = 0;
		snprintf(path, sizeof path, "%s/%s", top, *name);
		fflush(stdout);
		if (fork() == 0) {
			execl(path, *name, NULL);
			printf("%s: %s\n", *name, error_name(errno));
			fflush(stdout);
			_exit(1);
		}
		wait(&status);
		printf("  %s: status %d\n", *name, status);
	}
}

static void confine(int layers, unsigned subset, char **words)
{
	for (int layer = 0; layer < layers; layer++) {
		uint64_t handled = 0;
		for (unsigned i = 0; 1u << i < SUBSETS; i++)
			if ((layer % 2 ? ~subset : subset) >> i & 1)
				handled |= rights[i];
		int rules = ruleset(handled ? handled : LANDLOCK_ACCESS_FS_REFER, words[3]);
		report("confine", syscall(SYS_landlock_restrict_self, rules, 0));
		close(rules);
	}
	look(words[3], words + 4);
}

static void flags_and_descriptors(char **words)
{
	const unsigned flags[] = {0, 1, 2, 4, 7, 8, 16, 1u << 31};
	for (unsigned i = 0; i < 8; i++)
		for (int kind = 0; kind < 5; kind++) {
			fflush(stdout);
			if (fork()) {
				wait(NULL);
				continue;
			}
			int rules = ruleset(LANDLOCK_ACCESS_FS_READ_FILE, words[3]);
			const int fds[] = {rules, -1, open("/etc/passwd", O_RDONLY), open(words[3], O_PATH), 999};
			printf("restrict %u of kind %d\n", flags[i], kind);
			report("restrict", syscall(SYS_landlock_restrict_self, fds[kind], flags[i]));
			words[5] = NULL;
			look(words[3], words + 4);
			fflush(stdout);
			_exit(0);
		}
}

int main(int count, char **words)
{
	need_arguments(count, 5, "confines_runs LAYERS kept|lost|replaced TOP FILE PROGRAM...");
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	int other = open("/sys", O_PATH);
	for (int fd = 1000; !strcmp(words[2], "replaced") && fd < 1100; fd++)
		dup3(other, fd, O_CLOEXEC);
	for (int fd = 3; !strcmp(words[2], "lost") && fd < 5000; fd++)
		close(fd);
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0) {
		report("landlock", -1);
		return 0;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (unsigned subset = 0; subset < SUBSETS; subset++) {
		printf("subset %u\n", subset);
		fflush(stdout);
		if (fork() == 0) {
			confine(atoi(words[1]), subset, words);
			fflush(stdout);
			_exit(0);
		}
		wait(NULL);
	}
	flags_and_descriptors(words);
	return 0;
}
