/* Maps FILE in every way that a loader or a program does, and compares with what read gives. */
#include "guest.h"

#include <sys/mman.h>

int main(int argc, char **argv)
{
	long size;
	uint64_t by_read;
	char *area;
	struct stat s;
	int fd;
	need_arguments(argc, 1, "map_file FILE");
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		report("open", fd);
		return 1;
	}
	by_read = hash_descriptor(fd, &size);
	fstat(fd, &s);
	printf("size %ld, st_size the same: %s, hash %016llx\n", size, s.st_size == size ? "yes" : "no",
	       (unsigned long long)by_read);
	static const struct {
		const char *name;
		int protection, flags;
	} ways[] = {{"private", PROT_READ, MAP_PRIVATE},
		    {"shared", PROT_READ, MAP_SHARED},
		    {"populated", PROT_READ, MAP_PRIVATE | MAP_POPULATE},
		    {"private to write", PROT_READ | PROT_WRITE, MAP_PRIVATE},
		    {"shared to write", PROT_READ | PROT_WRITE, MAP_SHARED},
		    {"to execute", PROT_READ | PROT_EXEC, MAP_PRIVATE}};
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		area = mmap(NULL, (size_t)size, ways[i].protection, ways[i].flags, fd, 0);
		if (area == MAP_FAILED) {
			printf("%s: -1 %s\n", ways[i].name, error_name(errno));
			continue;
		}
		printf("%s: %s\n", ways[i].name,
		       hash_bytes(HASH_START, area, (size_t)size) == by_read ? "the same" : "different");
		if (ways[i].flags == MAP_SHARED)
			report("  mprotect to write", mprotect(area, (size_t)size, PROT_READ | PROT_WRITE));
		if (ways[i].protection & PROT_WRITE && size > 0)
			area[0] ^= 1; /* in the copy of this process only */
		munmap(area, (size_t)size);
	}
	printf("pread at the end: %zd\n", pread(fd, &s, 16, size));
	report("lseek to the end", lseek(fd, 0, SEEK_END) == size ? 0 : -1);
	lseek(fd, 0, SEEK_SET);
	printf("read again: %s\n", hash_descriptor(fd, &size) == by_read ? "the same" : "different");
	close(fd);
	return 0;
}
