/* getcwd, chdir and fchdir: `working_directory DIRECTORY`, with relative paths from there, `..`, and children. */
#include "guest.h"

#include <dirent.h>
#include <sys/wait.h>

static void where(const char *after)
{
	char buffer[4096];
	long length = syscall(SYS_getcwd, buffer, sizeof buffer);
	if (length < 0)
		printf("%s: getcwd -1 %s\n", after, error_name(errno));
	else
		printf("%s: %s (%ld)\n", after, buffer, length);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The first directory and the first file of the working directory, by name. */
static void first_names(char *directory, char *file)
{
	char *names[4096];
	int count = 0;
	struct dirent *entry;
	struct stat s;
	DIR *stream = opendir(".");
	*directory = *file = 0;
	while (stream && count < 4096 && (entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			names[count++] = strdup(entry->d_name);
	if (stream)
		closedir(stream);
	qsort(names, (size_t)count, sizeof names[0], by_name);
	for (int i = 0; i < count; i++) {
		if (lstat(names[i], &s) != 0)
			continue;
		if (S_ISDIR(s.st_mode) && !*directory && access(names[i], X_OK) == 0)
			strcpy(directory, names[i]);
		if (S_ISREG(s.st_mode) && !*file)
			strcpy(file, names[i]);
	}
}

static void sizes(void)
{
	char buffer[4096];
	long whole = syscall(SYS_getcwd, buffer, sizeof buffer);
	report("getcwd with exactly enough", syscall(SYS_getcwd, buffer, (size_t)whole));
	report("getcwd with one byte less", syscall(SYS_getcwd, buffer, (size_t)whole - 1));
	report("getcwd with nothing", syscall(SYS_getcwd, buffer, 0));
}

static void in_a_child(void)
{
	fflush(stdout);
	if (fork() == 0) {
		where("a child begins where its parent is");
		report("the child goes up", chdir(".."));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	where("the parent stays");
	fflush(stdout);
	if (fork() == 0) {
		execl("/bin/pwd", "pwd", "-P", (char *)NULL);
		_exit(1);
	}
	wait(NULL);
}

int main(int argc, char **argv)
{
	char directory[256], file[256], path[600];
	struct stat s;
	int fd;
	need_arguments(argc, 1, "working_directory DIRECTORY");
	report("chdir", chdir(argv[1]));
	where("there");
	sizes();
	first_names(directory, file);
	printf("first directory \"%s\", first file \"%s\"\n", directory, file);
	report_success("stat of a relative path", stat(file, &s));
	snprintf(path, sizeof path, "./%s", file);
	report_success("open of ./file", open(path, O_RDONLY | O_CLOEXEC));
	report("chdir to a file", chdir(file));
	report("chdir to what is not there", chdir("not there at all"));
	if (*directory) {
		report("chdir down", chdir(directory));
		where("below");
		snprintf(path, sizeof path, "../%s", file);
		report_success("stat of ../file", stat(path, &s));
		snprintf(path, sizeof path, "../%s/../%s", directory, file);
		report_success("stat of ../directory/../file", stat(path, &s));
		report("chdir ..", chdir(".."));
		where("up again");
	}
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	report("chdir to /", chdir("/"));
	where("at the root");
	report_success("fstatat relative to the descriptor", fstatat(fd, file, &s, 0));
	report("fchdir", fchdir(fd));
	where("by fchdir");
	close(fd);
	where("its descriptor closed");
	fd = open(".", O_PATH | O_CLOEXEC);
	report("fchdir of an O_PATH descriptor", fchdir(fd));
	report("fchdir of nothing", fchdir(-1));
	fd = open(file, O_RDONLY | O_CLOEXEC);
	report("fchdir of a file", fchdir(fd));
	in_a_child();
	for (int i = 0; i < 3; i++) {
		report("chdir ..", chdir(".."));
		where("higher");
	}
	return 0;
}
