/*
 * Reads DIRECTORY in all ways: buffers from too small to large, rewinding, seeking, and positions that are shared
 * between duplicates and between parent and child.  Names are printed sorted, since the order is the file system's.
 */
#include "guest.h"

#include <dirent.h>
#include <sys/wait.h>

struct entry64 {
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};
enum { MOST = 100000 };
static char *names[MOST];
static int types[MOST];
static int count;

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint64_t hash_names(void)
{
	uint64_t hash = HASH_START;
	qsort(names, (size_t)count, sizeof names[0], by_name);
	for (int i = 0; i < count; i++)
		hash = hash_bytes(hash, names[i], strlen(names[i]) + 1);
	return hash;
}

static void forget(void)
{
	while (count)
		free(names[--count]);
}

/* One call; the number of entries, 0 at the end, -1 with errno. */
static int take(int fd, size_t size, int keep)
{
	static char buffer[1 << 17] __attribute__((aligned(8)));
	long got = syscall(SYS_getdents64, fd, buffer, size);
	int found = 0;
	if (got < 0)
		return -1;
	for (long at = 0; at < got; found++) {
		const struct entry64 *entry = (const void *)(buffer + at);
		if (keep && count < MOST) {
			types[count] = entry->type;
			names[count++] = strdup(entry->name);
		}
		at += entry->length;
	}
	return found;
}

static void with_buffer(const char *path, size_t size)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), got;
	forget();
	while ((got = take(fd, size, 1)) > 0)
		;
	if (got < 0)
		printf("buffer of %zu: -1 %s\n", size, error_name(errno)); /* after how many is the file system's order */
	else
		printf("buffer of %zu: %d names, hash %016llx\n", size, count, (unsigned long long)hash_names());
	close(fd);
}

static void listing(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	forget();
	while (take(fd, 65536, 1) > 0)
		;
	close(fd);
	for (int i = 0; i < count; i++) { /* type beside the name, so that sorting keeps them together */
		char *both;
		if (asprintf(&both, "%s type=%d", names[i], types[i]) < 0)
			abort();
		free(names[i]);
		names[i] = both;
	}
	qsort(names, (size_t)count, sizeof names[0], by_name);
	for (int i = 0; i < count; i++)
		printf("  %s\n", names[i]);
}

static int rest(int fd)
{
	int all = 0, got;
	while ((got = take(fd, 65536, 0)) > 0)
		all += got;
	return all;
}

static void positions(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY), twin = dup(fd), first, status;
	int whole = rest(fd);
	printf("after the end: %d, of the duplicate: %d\n", rest(fd), rest(twin));
	report("lseek to 0", lseek(twin, 0, SEEK_SET));
	printf("rewound through the duplicate: %s\n", rest(fd) == whole ? "all" : "not all");
	lseek(fd, 0, SEEK_SET);
	first = take(fd, 64, 0);
	fflush(stdout);
	if (fork() == 0)
		_exit(first + rest(fd) == whole ? 0 : 1);
	wait(&status);
	printf("a child reads on where the parent stopped: %s\n", status == 0 ? "yes" : "no");
	printf("and the parent then is at the end: %s\n", rest(fd) == 0 ? "yes" : "no");
	printf("read of a directory: %s\n", read(fd, &first, sizeof first) < 0 ? "fails" : "succeeds"); /* EISDIR or EINVAL */
	close(fd);
	close(twin);
}

static void seeking(const char *path)
{
	DIR *stream = opendir(path);
	struct dirent *entry;
	long place[4] = {0};
	char *expected[4] = {0};
	int seen = 0, same = 0;
	while (seen < 4 && stream) {
		place[seen] = telldir(stream);
		entry = readdir(stream);
		if (!entry)
			break;
		expected[seen++] = strdup(entry->d_name);
	}
	for (int i = seen - 1; i >= 0; i--) {
		seekdir(stream, place[i]);
		entry = readdir(stream);
		same += entry && !strcmp(entry->d_name, expected[i]);
	}
	printf("seekdir to %d places finds the same name: %d times\n", seen, same);
	rewinddir(stream);
	entry = readdir(stream);
	printf("rewinddir: %s\n", entry && seen && !strcmp(entry->d_name, expected[0]) ? "the first again" : "something else");
	closedir(stream);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {0, 1, 23, 64, 280, 512, 4096, 131072};
	int fd;
	need_arguments(argc, 1, "directory_reading DIRECTORY");
	listing(argv[1]);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		with_buffer(argv[1], sizes[i]);
	positions(argv[1]);
	seeking(argv[1]);
	fd = open(argv[1], O_PATH | O_DIRECTORY);
	report("getdents64 of O_PATH", take(fd, 4096, 0));
	close(fd);
#ifdef SYS_getdents
	{
		static char buffer[1 << 17];
		long all = 0, got;
		fd = open(argv[1], O_RDONLY | O_DIRECTORY);
		while ((got = syscall(SYS_getdents, fd, buffer, sizeof buffer)) > 0)
			for (long at = 0; at < got; all++)
				at += *(unsigned short *)(buffer + at + 16);
		printf("old getdents: %ld entries\n", all);
	}
#endif
	return 0;
}
