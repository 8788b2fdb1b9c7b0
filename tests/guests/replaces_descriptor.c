/*
 * Puts other things where NUMBER is, again and again, looks at what is there then, and reads FILE after each.
 * usage: replaces_descriptor NUMBER FILE DIRECTORY
 */
#include "guest.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int number;
static const char *file;

static int is_listed(const char *place)
{
	char path[64];
	int found = 0;
	snprintf(path, sizeof path, "/proc/self/%s", place);
	DIR *stream = opendir(path);
	for (struct dirent *entry; (entry = readdir(stream));)
		found |= entry->d_name[0] != '.' && atoi(entry->d_name) == number;
	closedir(stream);
	return found;
}

static void look(const char *what)
{
	struct stat s;
	char path[64], text[4096];
	long size;
	printf("- %s\n", what);
	report("F_GETFD", fcntl(number, F_GETFD));
	report_success("F_GETFL", fcntl(number, F_GETFL));
	report("F_SETFD", fcntl(number, F_SETFD, 0));
	report_success("F_DUPFD", fcntl(number, F_DUPFD, 0));
	report("fstat", fstat(number, &s));
	snprintf(path, sizeof path, "/proc/self/fd/%d", number);
	report("stat", stat(path, &s));
	report_success("readlink", readlink(path, text, sizeof text));
	printf("listed %d, %d; counted %ld\n", is_listed("fd"), is_listed("fdinfo"), stat("/proc/self/fd", &s) ? -1 : (long)s.st_size);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	report_success("open", fd);
	printf("hash %016llx\n", (unsigned long long)hash_descriptor(fd, &size));
	report("flock", flock(fd, LOCK_SH));
	close(fd);
	fflush(stdout);
	if (fork() == 0) {
		fd = open(file, O_RDONLY);
		printf("in a child %016llx\n", (unsigned long long)hash_descriptor(fd, &size));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int main(int count, char **words)
{
	need_arguments(count, 3, "replaces_descriptor NUMBER FILE DIRECTORY");
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	number = atoi(words[1]);
	file = words[2];
	int pair[2], host = open("/etc/passwd", O_RDONLY), directory = open(words[3], O_RDONLY | O_DIRECTORY);
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	report_success("beyond the limit", dup2(host, (int)limit.rlim_cur));
	if ((long)limit.rlim_cur <= number) {
		limit.rlim_cur = (rlim_t)number + 10;
		report("raise", setrlimit(RLIMIT_NOFILE, &limit));
	}
	report("pipe", pipe(pair));
	look("as given");
	report("dup2", dup2(host, number));
	look("a file of the host");
	report("F_SETFD", fcntl(number, F_SETFD, FD_CLOEXEC));
	report("F_GETFD", fcntl(number, F_GETFD));
	report("dup3", dup3(pair[0], number, O_CLOEXEC));
	look("a pipe");
	report("dup2", dup2(directory, number));
	look("a directory with decoys");
	report("close", close(number));
	look("nothing");
	report("F_DUPFD", fcntl(host, F_DUPFD, number));
	look("a duplicate");
	close(number);
	report("dup2", dup2(open(file, O_RDONLY), number));
	look("the file itself");
	report("read of it", pread(number, &(char){0}, 1, 0));
	report("close_range", (long)syscall(SYS_close_range, number, number, 0));
	look("closed by close_range");
	int link = open("/proc/self/exe", O_PATH | O_NOFOLLOW);
	report("dup2", dup2(link, number));
	look("a link");
	report("close_range on exec", (long)syscall(SYS_close_range, number - 1, number + 1, 4));
	report("F_GETFD", fcntl(number, F_GETFD));
	report("dup2", dup2(open(".", O_RDONLY), number));
	limit.rlim_cur = 64;
	report("lower", setrlimit(RLIMIT_NOFILE, &limit));
	look("beyond a lowered limit");
	return 0;
}
