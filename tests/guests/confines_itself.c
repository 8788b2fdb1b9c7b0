/*
 * Confines itself by Landlock to DIRECTORY and to the system's programs and libraries, and tells what is left of the
 * world: DIRECTORY's FILE, what OUTSIDE names, and making things in OTHER.
 */
#include "guest.h"

#include <dirent.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int add_rule(int rules, const char *path, uint64_t allowed)
{
	struct stat s;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &s) == 0 && !S_ISDIR(s.st_mode))
		allowed &= ~(uint64_t)LANDLOCK_ACCESS_FS_READ_DIR;
	struct landlock_path_beneath_attr rule = {allowed, fd};
	int result = (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(fd);
	return result;
}

static void look(const char *directory, const char *file, const char *other)
{
	char path[4096];
	long size;
	struct stat s;
	snprintf(path, sizeof path, "%s/%s", directory, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	report_success("open", fd);
	printf("  hash %016llx\n", (unsigned long long)hash_descriptor(fd, &size));
	report("stat", stat(path, &s));
	report("access", access(path, R_OK));
	DIR *stream = opendir(directory);
	int count = 0;
	while (stream && readdir(stream))
		count++;
	printf("entries %d\n", count);
	report("chdir", chdir(directory));
	report_success("open from there", open(file, O_RDONLY | O_CLOEXEC));
	report("open to write", open(path, O_WRONLY));
	report("open what is no rule's", open("/etc/passwd", O_RDONLY));
	snprintf(path, sizeof path, "%s/landlocked", other);
	report("make a file", open(path, O_CREAT | O_WRONLY, 0600));
}

int main(int argc, char **argv)
{
	need_arguments(argc, 3, "confines_itself DIRECTORY FILE OTHER");
	const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
	struct landlock_ruleset_attr wanted = {.handled_access_fs = reading | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG};
	char path[4096];
	int rules = (int)syscall(SYS_landlock_create_ruleset, &wanted, sizeof wanted, 0);
	if (rules < 0) {
		report("create a ruleset", rules);
		return 0;
	}
	snprintf(path, sizeof path, "%s/%s", argv[1], argv[2]);
	report("rule for a directory", add_rule(rules, argv[1], reading));
	report("rule for a file", add_rule(rules, path, LANDLOCK_ACCESS_FS_READ_FILE));
	report("rule for the system", add_rule(rules, "/usr", reading));
	report("rule for /proc", add_rule(rules, "/proc", reading));
	report("rule for what is missing", add_rule(rules, "/cvmfs/no.such.repository/x", reading));
	report("rule for nothing", (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, NULL, 0));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	report("confine", syscall(SYS_landlock_restrict_self, rules, 0));
	close(rules);
	look(argv[1], argv[2], argv[3]);
	fflush(stdout);
	if (fork() == 0) {
		look(argv[1], argv[2], argv[3]);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	return 0;
}
