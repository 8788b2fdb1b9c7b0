/*
 * A program whose code is not what it was: it unmaps (or forbids) everything executable that it does not know, and it
 * makes code of its own and rewrites that.  Prints what its calls say; PRESENT is a file, MISSING is not there.
 * usage: text_changes unmap|forbid|rewrite|protect PRESENT MISSING
 */
#include "guest.h"

#include <sys/mman.h>

static const char *present, *missing;

static void calls(const char *when)
{
	struct stat s;
	char buffer[16];
	printf("%s\n", when);
	report("stat", stat(present, &s));
	report("stat missing", stat(missing, &s));
	report("access", access(present, R_OK));
	int fd = open(present, O_RDONLY);
	report_success("open", fd);
	report("read", read(fd, buffer, 4));
	report("syscall", syscall(SYS_access, missing, F_OK));
	close(fd);
}

/* Nameless code that is not the kernel's. */
static void strip(int forbid)
{
	char line[512], access[5], name[256];
	unsigned long start[64], end[64], inode;
	int found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && found < 64 && fgets(line, sizeof line, maps)) {
		name[0] = 0;
		if (sscanf(line, "%lx-%lx %4s %*s %*s %lu %255s", &start[found], &end[found], access, &inode, name) >= 4 &&
		    access[2] == 'x' && !inode && !name[0])
			found++;
	}
	fclose(maps);
	while (found--)
		if (forbid)
			mprotect((void *)start[found], end[found] - start[found], PROT_NONE);
		else
			munmap((void *)start[found], end[found] - start[found]);
}

/* mov $number,%eax; syscall; cmp $-4095,%rax; ret */
static void write_code(unsigned char *at, unsigned number)
{
	static const unsigned char code[] = {0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0xc3};
	memcpy(at, code, sizeof code);
	memcpy(at + 1, &number, sizeof number);
}

static void rewrite(int protect)
{
	struct stat s;
	unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | (protect ? 0 : PROT_EXEC), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long (*code)(const char *, void *) = (long (*)(const char *, void *))page;
	static const struct { const char *name; unsigned number; } turns[] = {
		{"stat", SYS_stat}, {"lstat", SYS_lstat}, {"access", SYS_access}, {"getppid", SYS_getppid}, {"stat", SYS_stat},
	};
	for (size_t i = 0; i < 2 * sizeof turns / sizeof turns[0]; i++) {
		size_t turn = i % (sizeof turns / sizeof turns[0]);
		if (protect)
			mprotect(page, 4096, PROT_READ | PROT_WRITE);
		write_code(page + 61 * (i / 5), turns[turn].number); /* the second time elsewhere, across a line of the cache */
		if (protect)
			mprotect(page, 4096, PROT_READ | PROT_EXEC);
		code = (long (*)(const char *, void *))(page + 61 * (i / 5));
		long there = code(present, turns[turn].number == SYS_access ? NULL : &s);
		long not_there = code(missing, turns[turn].number == SYS_access ? NULL : &s);
		if (turns[turn].number == SYS_getppid)
			printf("getppid: %d %d\n", there == getppid(), not_there == getppid());
		else
			printf("%s: %ld %ld\n", turns[turn].name, there, not_there);
	}
}

int main(int count, char **words)
{
	need_arguments(count, 3, "text_changes HOW PRESENT MISSING");
	setbuf(stdout, NULL);
	present = words[2];
	missing = words[3];
	calls("before");
	if (words[1][0] == 'u' || words[1][0] == 'f')
		strip(words[1][0] == 'f');
	else
		rewrite(words[1][0] == 'p');
	calls("after");
	calls("once more");
	return 0;
}
