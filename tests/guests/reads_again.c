/*
 * Opens and reads FILEs ROUNDS times, after losing what was inherited above 2 in the way HOW, and says what they hold.
 * usage: reads_again HOW ROUNDS FILE...; HOW: keep, loop (close each number), range, from (closefrom), fork (in a child).
 */
#include "guest.h"

#include <sys/wait.h>

static uint64_t once(char **files, int count)
{
	uint64_t hash = HASH_START;
	long size;
	for (int i = 0; i < count; i++) {
		int fd = open(files[i], O_RDONLY | O_CLOEXEC);
		uint64_t part = hash_descriptor(fd, &size);
		if (fd < 0 || size < 0)
			printf("%s: %s\n", files[i], error_name(errno));
		close(fd);
		hash = hash_bytes(hash, &part, sizeof part);
	}
	return hash;
}

int main(int count, char **words)
{
	need_arguments(count, 3, "reads_again HOW ROUNDS FILE...");
	const char *how = words[1];
	for (int fd = 3; !strcmp(how, "loop") && fd < 5000; fd++)
		close(fd);
	if (!strcmp(how, "range"))
		report("close_range", (long)syscall(SYS_close_range, 3, ~0u, 0));
#if __GLIBC_PREREQ(2, 34)
	if (!strcmp(how, "from"))
		closefrom(3);
#endif
	fflush(stdout);
	if (!strcmp(how, "fork") && fork()) {
		wait(NULL);
		return 0;
	}
	uint64_t first = once(words + 3, count - 3);
	for (int round = atoi(words[2]); round; round--)
		if (once(words + 3, count - 3) != first)
			puts("not the same");
	printf("%016llx\n", (unsigned long long)first);
	return 0;
}
