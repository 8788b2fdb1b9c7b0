/*
 * Every combination of open flags that matters, for each PATH; what it gives, and what the descriptor then is.
 * O_NOFOLLOW is shown of directories, and with -n of all (docs/decisions/0013).
 */
#include "guest.h"

#include <linux/openat2.h>
#include <sys/ioctl.h>

struct flag {
	const char *name;
	int value;
};
static const struct flag access_modes[] = {
	{"O_RDONLY", O_RDONLY}, {"O_WRONLY", O_WRONLY}, {"O_RDWR", O_RDWR}, {"O_PATH", O_PATH}, {"3", 3}};
static const struct flag kinds[] = {{"", 0},
				    {"|O_DIRECTORY", O_DIRECTORY},
				    {"|O_NOFOLLOW", O_NOFOLLOW},
				    {"|O_DIRECTORY|O_NOFOLLOW", O_DIRECTORY | O_NOFOLLOW},
				    {"|O_CREAT", O_CREAT},
				    {"|O_CREAT|O_EXCL", O_CREAT | O_EXCL},
				    {"|O_CREAT|O_NOFOLLOW", O_CREAT | O_NOFOLLOW},
				    {"|O_CREAT|O_DIRECTORY", O_CREAT | O_DIRECTORY},
				    {"|O_TRUNC", O_TRUNC},
				    {"|O_APPEND", O_APPEND},
				    {"|O_TMPFILE", O_TMPFILE},
				    {"|O_NONBLOCK", O_NONBLOCK},
				    {"|O_SYNC", O_SYNC},
				    {"|O_DSYNC", O_DSYNC},
				    {"|O_ASYNC", O_ASYNC},
				    {"|O_DIRECT", O_DIRECT},
				    {"|O_NOATIME", O_NOATIME},
				    {"|O_LARGEFILE|O_NOCTTY", 0100000 | O_NOCTTY}};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int all_shown;

/* The flags that F_GETFL tells, without O_LARGEFILE, which a libc may add. */
static void describe(int fd)
{
	struct stat s;
	int flags = fcntl(fd, F_GETFL) & ~0100000;
	if (fstat(fd, &s) < 0)
		s.st_mode = 0;
	if (!S_ISDIR(s.st_mode) && !all_shown)
		flags &= ~O_NOFOLLOW;
	printf("ok type=%o flags=%#o cloexec=%d offset=%ld\n", s.st_mode & S_IFMT, flags, fcntl(fd, F_GETFD) & FD_CLOEXEC,
	       S_ISDIR(s.st_mode) || S_ISREG(s.st_mode) ? (long)lseek(fd, 0, SEEK_CUR) : 0L);
	close(fd);
}

static void result(const char *path, const char *what, const char *more, int fd)
{
	int error = errno;
	printf("%s %s%s: ", path, what, more);
	if (fd < 0)
		printf("-1 %s\n", error_name(error));
	else
		describe(fd);
}

static int open_how(const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static void with_openat2(const char *path)
{
	char how_with_more[sizeof(struct open_how) + 8] = {0};
	result(path, "openat2", "", open_how(path, O_RDONLY, 0, 0));
	result(path, "openat2", " O_CLOEXEC", open_how(path, O_CLOEXEC, 0, 0));
	result(path, "openat2", " unknown flag", open_how(path, 1ull << 40, 0, 0));
	result(path, "openat2", " mode without O_CREAT", open_how(path, O_RDONLY, 0644, 0));
	result(path, "openat2", " unknown resolve", open_how(path, O_RDONLY, 0, 1ull << 40));
	result(path, "openat2", " NO_SYMLINKS", open_how(path, O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
	result(path, "openat2", " NO_MAGICLINKS", open_how(path, O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
	result(path, "openat2", " BENEATH absolute", open_how(path, O_RDONLY, 0, RESOLVE_BENEATH));
	result(path, "openat2", " short structure", (int)syscall(SYS_openat2, AT_FDCWD, path, how_with_more, 8));
	result(path, "openat2", " longer structure of zeros",
	       (int)syscall(SYS_openat2, AT_FDCWD, path, how_with_more, sizeof how_with_more));
	how_with_more[sizeof how_with_more - 1] = 1;
	result(path, "openat2", " longer structure",
	       (int)syscall(SYS_openat2, AT_FDCWD, path, how_with_more, sizeof how_with_more));
}

int main(int argc, char **argv)
{
	need_arguments(argc, 1, "open_flags [-n] PATH...");
	all_shown = !strcmp(argv[1], "-n");
	for (int i = 1 + all_shown; i < argc; i++) {
		for (size_t a = 0; a < COUNT(access_modes); a++)
			for (size_t k = 0; k < COUNT(kinds); k++)
				result(argv[i], access_modes[a].name, kinds[k].name,
				       open(argv[i], access_modes[a].value | kinds[k].value, 0600));
		result(argv[i], "O_RDONLY|O_CLOEXEC", "", open(argv[i], O_RDONLY | O_CLOEXEC));
		result(argv[i], "creat", "", creat(argv[i], 0600));
		with_openat2(argv[i]);
	}
	result("empty path", "O_RDONLY", "", open("", O_RDONLY));
	return 0;
}
