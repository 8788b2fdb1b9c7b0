/*
 * Makes every kind of call again and again, on a virtual directory and on a host directory, from libc.
 * usage: warm_calls ROUNDS VIRTUAL HOST; both hold a file `file`, a link `link` to it, and a directory `dir`.
 */
#include "guest.h"

#include <dirent.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

static int wrong;

static void expect(int right)
{
	wrong += !right;
}

static void by_path(const char *top)
{
	char file[4096], link[4096], missing[4096], dir[4096], buffer[4096];
	struct stat s;
	struct statvfs v;
	snprintf(file, sizeof file, "%s/file", top);
	snprintf(link, sizeof link, "%s/link", top);
	snprintf(missing, sizeof missing, "%s/missing/below", top);
	snprintf(dir, sizeof dir, "%s/dir", top);
	expect(stat(file, &s) == 0 && lstat(link, &s) == 0 && S_ISLNK(s.st_mode));
	expect(stat(missing, &s) == -1 && errno == ENOENT);
#ifdef STATX_BASIC_STATS /* a C library may have no statx() */
	struct statx x;
	expect(statx(AT_FDCWD, file, 0, STATX_BASIC_STATS, &x) == 0);
#endif
	expect(access(file, R_OK) == 0 && access(missing, F_OK) == -1);
	expect(faccessat(AT_FDCWD, file, R_OK, AT_EACCESS) == 0);
	expect(readlink(link, buffer, sizeof buffer) == 4);
	expect(statvfs(file, &v) == 0);
	expect(getxattr(file, "security.selinux", buffer, sizeof buffer) == -1);
	expect(open(missing, O_RDONLY) == -1);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	expect(fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && read(fd, buffer, 7) == 7);
	close(fd);
	DIR *listing = opendir(dir);
	while (listing && readdir(listing))
		continue;
	expect(listing && closedir(listing) == 0);
}

static void by_directory(const char *top)
{
	char buffer[4096];
	struct stat s;
	expect(chdir(top) == 0 && getcwd(buffer, sizeof buffer) && !strcmp(buffer, top));
	expect(stat("file", &s) == 0 && stat("./dir/../file", &s) == 0 && stat("missing", &s) == -1);
	int fd = open("dir", O_RDONLY | O_DIRECTORY);
	expect(fd >= 0 && fstatat(fd, "../file", &s, 0) == 0 && faccessat(fd, "../missing", F_OK, 0) == -1);
	expect(fchdir(fd) == 0 && stat("../link", &s) == 0);
	close(fd);
}

int main(int count, char **words)
{
	need_arguments(count, 3, "warm_calls ROUNDS VIRTUAL HOST");
	for (int round = atoi(words[1]); round; round--)
		for (int place = 2; place < 4; place++) {
			by_path(words[place]);
			by_directory(words[place]);
		}
	printf("wrong: %d\n", wrong);
	return wrong != 0;
}
