/* readlink and readlinkat of each PATH: whole, with buffers that are too small, through descriptors, and failing. */
#include "guest.h"

static void show(const char *what, const char *buffer, long length)
{
	if (length < 0)
		printf("  %s: -1 %s\n", what, error_name(errno));
	else
		printf("  %s: %ld \"%.*s\"\n", what, length, (int)length, buffer);
}

static long plain(const char *path, char *buffer, size_t size)
{
#ifdef SYS_readlink
	return syscall(SYS_readlink, path, buffer, size);
#else
	return readlinkat(AT_FDCWD, path, buffer, size);
#endif
}

static void one_path(const char *path)
{
	char buffer[4096], slashed[4096];
	int fd;
	printf("%s\n", path);
	show("readlink", buffer, plain(path, buffer, sizeof buffer));
	show("readlinkat", buffer, syscall(SYS_readlinkat, AT_FDCWD, path, buffer, sizeof buffer));
	memset(buffer, '~', sizeof buffer);
	show("3 bytes", buffer, plain(path, buffer, 3));
	printf("  the fourth is untouched: %s\n", buffer[3] == '~' ? "yes" : "no");
	show("1 byte", buffer, plain(path, buffer, 1));
	show("0 bytes", buffer, plain(path, buffer, 0));
	show("-1 bytes", buffer, plain(path, buffer, (size_t)-1));
	snprintf(slashed, sizeof slashed, "%s/", path);
	show("with a slash", buffer, plain(slashed, buffer, sizeof buffer));
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	show("empty path of O_PATH|O_NOFOLLOW", buffer, readlinkat(fd, "", buffer, sizeof buffer));
	close(fd);
}

int main(int argc, char **argv)
{
	char buffer[16];
	need_arguments(argc, 1, "readlink_variants PATH...");
	for (int i = 1; i < argc; i++)
		one_path(argv[i]);
	show("empty path", buffer, plain("", buffer, sizeof buffer));
	show("no descriptor", buffer, readlinkat(-1, "x", buffer, sizeof buffer));
	return 0;
}
