/*
 * Closes every descriptor it did not open, takes away everything in memory that it does not know, or puts something else
 * in its place, and then still uses FILE and MISSING, as some daemons and checkpointers do.  What it knows: its own
 * executable, libraries, data, stack, heap and the kernel's pages.
 * usage: strips_itself unmap|forbid|forbid-by-key|move|replace|cover|reorder FILE MISSING
 */
#include "guest.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define MOST 4096 /* descriptors: more than were opened, and than any that were not */

static int is_known(const char *line)
{
	int is_code_without_name = strstr(line, "r-xp 00000000 00:00 0") != NULL;
	return strstr(line, "strips_itself") || strstr(line, ".so") || strstr(line, "[") ||
	       (strstr(line, "00:00 0") && !is_code_without_name);
}

/* 0, or -1 where it could not be done; only the first three say that it always can. */
static int take_away(const char *how, char *from, size_t bytes)
{
	char *elsewhere = (char *)0x100000000000 + (uintptr_t)from % 0x10000000000;
	if (!strcmp(how, "unmap"))
		return munmap(from, bytes);
	if (!strcmp(how, "forbid"))
		return mprotect(from, bytes, PROT_NONE);
	if (!strcmp(how, "forbid-by-key"))
		return (int)syscall(SYS_pkey_mprotect, from, bytes, PROT_NONE, -1);
	if (!strcmp(how, "move"))
		mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
	if (!strcmp(how, "replace"))
		mmap(from, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	if (!strcmp(how, "cover")) {
		char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, from);
	}
	if (!strcmp(how, "reorder"))
		syscall(SYS_remap_file_pages, from, 4096, 0, 1, 0);
	return 0;
}

int main(int argc, char **argv)
{
	static struct {
		unsigned long from, to;
	} strange[256];
	char line[8192];
	int count = 0, failed = 0;
	struct stat s;
	need_arguments(argc, 3, "strips_itself HOW FILE MISSING");
	stat(argv[2], &s); /* there is something to be taken away then */
	FILE *maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof line, maps) && count < 256)
		if (!is_known(line) && sscanf(line, "%lx-%lx", &strange[count].from, &strange[count].to) == 2)
			count++;
	if (maps)
		fclose(maps);
	for (int i = 0; i < count; i++)
		failed += take_away(argv[1], (char *)strange[i].from, strange[i].to - strange[i].from) != 0;
	for (int fd = 3; fd < MOST; fd++)
		close(fd);
	report("taking away failed", failed);
	report_success("stat", stat(argv[2], &s));
	report("stat of what is missing", stat(argv[3], &s));
	int fd = open(argv[2], O_RDONLY);
	report("open", fd);
	report("second open", open(argv[2], O_RDONLY));
	report_success("fstat", fstat(fd, &s));
	pid_t child = fork();
	if (child == 0)
		_exit(stat(argv[2], &s) != 0);
	int status = -1;
	waitpid(child, &status, 0);
	report("in a child", status);
	fflush(stdout);
	for (fd = 0; fd < MOST; fd++)
		close(fd);
	return stat(argv[2], &s) != 0 || open(argv[2], O_RDONLY) != 0 || stat(argv[3], &s) != -1;
}
