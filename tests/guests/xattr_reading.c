/* Extended attributes of each PATH, read through the three families, with buffers of no, too little and enough size. */
#include "guest.h"

#include <sys/xattr.h>

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void value(const char *path, int fd, const char *name)
{
	char buffer[65536], same[65536];
	ssize_t size = getxattr(path, name, NULL, 0), got;
	if (size < 0) {
		printf("  %s: -1 %s\n", name, error_name(errno));
		return;
	}
	got = getxattr(path, name, buffer, sizeof buffer);
	printf("  %s: %zd bytes, %zd got, hash %016llx\n", name, size, got,
	       (unsigned long long)hash_bytes(HASH_START, buffer, got > 0 ? (size_t)got : 0));
	printf("    by descriptor: %s\n",
	       fgetxattr(fd, name, same, sizeof same) == got && !memcmp(same, buffer, (size_t)got) ? "the same" : "different");
	if (size > 1)
		report("    with too little", getxattr(path, name, buffer, (size_t)size - 1));
}

static void list(const char *what, const char *path, ssize_t size, const char *buffer)
{
	char *names[1024];
	int count = 0;
	if (size < 0) {
		printf("  %s: -1 %s\n", what, error_name(errno));
		return;
	}
	for (ssize_t at = 0; at < size && count < 1024; at += (ssize_t)strlen(buffer + at) + 1)
		names[count++] = strdup(buffer + at);
	qsort(names, (size_t)count, sizeof names[0], by_name);
	printf("  %s of %s: %d names\n", what, path, count);
	for (int i = 0; i < count; i++)
		printf("    %s\n", names[i]);
}

int main(int argc, char **argv)
{
	char buffer[65536];
	need_arguments(argc, 2, "xattr_reading NAME[,NAME...] PATH...");
	for (int i = 2; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		char *wanted = strdup(argv[1]);
		printf("%s\n", argv[i]);
		list("listxattr", argv[i], listxattr(argv[i], buffer, sizeof buffer), buffer);
		list("llistxattr", argv[i], llistxattr(argv[i], buffer, sizeof buffer), buffer);
		list("flistxattr", argv[i], flistxattr(fd, buffer, sizeof buffer), buffer);
		report("  listxattr with one byte", listxattr(argv[i], buffer, 1));
		for (char *name = strtok(wanted, ","); name; name = strtok(NULL, ","))
			value(argv[i], fd, name);
		report("  an attribute that is not there", getxattr(argv[i], "user.not_there", buffer, sizeof buffer));
		report("  the same, of the link itself", lgetxattr(argv[i], "user.not_there", buffer, sizeof buffer));
		printf("  a name without a class: %s\n", /* EOPNOTSUPP or ENODATA, as the file system likes */
		       getxattr(argv[i], "classless", buffer, sizeof buffer) < 0 ? "fails" : "is there");
		report("  an empty name", getxattr(argv[i], "", buffer, sizeof buffer));
		if (fd >= 0)
			close(fd);
	}
	return 0;
}
