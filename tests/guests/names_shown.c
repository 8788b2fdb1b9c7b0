/*
 * The names that /proc shows for what this process holds: `names_shown FILE DIRECTORY`.
 * Prints exe, fd/N of both, cwd after a chdir, each asked in several ways, and opens the file again through its fd/N.
 */
#include "guest.h"

#include <sys/wait.h>

static void link_of(const char *what, const char *path)
{
	char buffer[4096];
	ssize_t length = readlink(path, buffer, sizeof buffer);
	if (length < 0)
		printf("%s: -1 %s\n", what, error_name(errno));
	else
		printf("%s: %.*s\n", what, (int)length, buffer);
}

static void in_all_ways(const char *what, const char *tail)
{
	char path[128], label[160];
	snprintf(path, sizeof path, "/proc/self/%s", tail);
	snprintf(label, sizeof label, "self %s", what);
	link_of(label, path);
	snprintf(path, sizeof path, "/proc/thread-self/%s", tail);
	snprintf(label, sizeof label, "thread-self %s", what);
	link_of(label, path);
	snprintf(path, sizeof path, "/proc/%d/%s", getpid(), tail);
	snprintf(label, sizeof label, "by number %s", what);
	link_of(label, path);
	snprintf(path, sizeof path, "/proc/%d/task/%d/%s", getpid(), getpid(), tail);
	snprintf(label, sizeof label, "by task %s", what);
	link_of(label, path);
}

static void by_a_relative_path(const char *tail)
{
	char buffer[4096];
	int directory = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t length = readlinkat(directory, tail, buffer, sizeof buffer);
	if (length < 0)
		printf("relative %s: -1 %s\n", tail, error_name(errno));
	else
		printf("relative %s: %.*s\n", tail, (int)length, buffer);
	close(directory);
}

static void of_the_parent(void)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/cwd", getppid());
	link_of("a child asks for its parent's cwd", path);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	char tail[32], path[64];
	struct stat there, again;
	int file, directory;
	need_arguments(argc, 2, "names_shown FILE DIRECTORY");
	in_all_ways("exe", "exe");
	by_a_relative_path("exe");
	file = open(argv[1], O_RDONLY);
	directory = open(argv[2], O_RDONLY | O_DIRECTORY);
	if (file < 0 || directory < 0) {
		printf("cannot open: %s\n", error_name(errno));
		return 1;
	}
	snprintf(tail, sizeof tail, "fd/%d", file);
	in_all_ways("file", tail);
	snprintf(path, sizeof path, "/proc/self/%s", tail);
	file = open(path, O_RDONLY);
	report_success("open through fd/N", file);
	printf("the same object: %s\n", fstat(file, &again) == 0 && stat(argv[1], &there) == 0 &&
						again.st_ino == there.st_ino && again.st_dev == there.st_dev
					    ? "yes"
					    : "no");
	snprintf(tail, sizeof tail, "fd/%d", directory);
	in_all_ways("directory", tail);
	report("fchdir", fchdir(directory));
	in_all_ways("cwd", "cwd");
	by_a_relative_path("cwd");
	fflush(stdout);
	if (fork() == 0)
		of_the_parent();
	wait(NULL);
	return 0;
}
