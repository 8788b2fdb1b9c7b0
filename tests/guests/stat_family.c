/* Every way to ask for attributes, for each PATH; with -a also what differs between file systems. */
#include "guest.h"

#include <sys/sysmacros.h>

static int all;

static void print_stat(const char *call, int result, const struct stat *s)
{
	if (result < 0) {
		printf("  %s: -1 %s\n", call, error_name(errno));
		return;
	}
	printf("  %s: mode=%06o uid=%u gid=%u mtime=%lld.%09ld", call, s->st_mode, s->st_uid, s->st_gid,
	       (long long)s->st_mtim.tv_sec, s->st_mtim.tv_nsec);
	if (!S_ISDIR(s->st_mode))
		printf(" nlink=%lu size=%lld", (unsigned long)s->st_nlink, (long long)s->st_size);
	if (S_ISCHR(s->st_mode) || S_ISBLK(s->st_mode))
		printf(" rdev=%u:%u", major(s->st_rdev), minor(s->st_rdev));
	if (all)
		printf(" [dev=%u:%u ino=%lu nlink=%lu size=%lld blocks=%lld blksize=%ld atime=%lld.%09ld ctime=%lld.%09ld]",
		       major(s->st_dev), minor(s->st_dev), (unsigned long)s->st_ino, (unsigned long)s->st_nlink,
		       (long long)s->st_size, (long long)s->st_blocks, (long)s->st_blksize, (long long)s->st_atim.tv_sec,
		       s->st_atim.tv_nsec, (long long)s->st_ctim.tv_sec, s->st_ctim.tv_nsec);
	puts("");
}

static void print_statx(const char *call, long result, const struct statx *s)
{
	if (result < 0) {
		printf("  %s: -1 %s\n", call, error_name(errno));
		return;
	}
	printf("  %s: mode=%06o uid=%u gid=%u mtime=%lld.%09u basic=%d", call, s->stx_mode, s->stx_uid, s->stx_gid,
	       (long long)s->stx_mtime.tv_sec, s->stx_mtime.tv_nsec,
	       (s->stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	if (!S_ISDIR(s->stx_mode))
		printf(" nlink=%u size=%llu", s->stx_nlink, (unsigned long long)s->stx_size);
	if (S_ISCHR(s->stx_mode) || S_ISBLK(s->stx_mode))
		printf(" rdev=%u:%u", s->stx_rdev_major, s->stx_rdev_minor);
	if (all)
		printf(" [mask=%#x attributes=%#llx of %#llx dev=%u:%u ino=%llu nlink=%u size=%llu blocks=%llu blksize=%u "
		       "atime=%lld.%09u ctime=%lld.%09u btime=%lld.%09u]",
		       s->stx_mask, (unsigned long long)s->stx_attributes, (unsigned long long)s->stx_attributes_mask,
		       s->stx_dev_major, s->stx_dev_minor, (unsigned long long)s->stx_ino, s->stx_nlink,
		       (unsigned long long)s->stx_size, (unsigned long long)s->stx_blocks, s->stx_blksize,
		       (long long)s->stx_atime.tv_sec, s->stx_atime.tv_nsec, (long long)s->stx_ctime.tv_sec,
		       s->stx_ctime.tv_nsec, (long long)s->stx_btime.tv_sec, s->stx_btime.tv_nsec);
	puts("");
}

/* On x86_64 the plain calls exist beside newfstatat, which is what glibc makes of all of them. */
static int raw_stat(const char *path, struct stat *s)
{
#ifdef SYS_stat
	return (int)syscall(SYS_stat, path, s);
#else
	return stat(path, s);
#endif
}

static int raw_lstat(const char *path, struct stat *s)
{
#ifdef SYS_lstat
	return (int)syscall(SYS_lstat, path, s);
#else
	return lstat(path, s);
#endif
}

static void by_descriptor(const char *kind, int fd)
{
	struct stat s, first;
	struct statx x;
	char call[64];
	int result = (int)syscall(SYS_fstat, fd, &first);
	snprintf(call, sizeof call, "fstat %s", kind);
	print_stat(call, result, &first);
	result = fstatat(fd, "", &s, AT_EMPTY_PATH);
	snprintf(call, sizeof call, "newfstatat empty %s", kind);
	print_stat(call, result, &s);
	printf("  same object: %s\n", s.st_dev == first.st_dev && s.st_ino == first.st_ino ? "yes" : "no");
	snprintf(call, sizeof call, "statx empty %s", kind);
	print_statx(call, statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x), &x);
}

static void one_path(const char *path)
{
	struct stat s;
	struct statx x;
	int fd, result;
	printf("%s\n", path);
	result = raw_stat(path, &s);
	print_stat("stat", result, &s);
	result = raw_lstat(path, &s);
	print_stat("lstat", result, &s);
	result = fstatat(AT_FDCWD, path, &s, 0);
	print_stat("newfstatat", result, &s);
	result = fstatat(AT_FDCWD, path, &s, AT_SYMLINK_NOFOLLOW);
	print_stat("newfstatat nofollow", result, &s);
	result = fstatat(AT_FDCWD, path, &s, AT_NO_AUTOMOUNT);
	print_stat("newfstatat no_automount", result, &s);
	result = fstatat(AT_FDCWD, path, &s, 0x40000000);
	print_stat("newfstatat bad flag", result, &s);
	print_statx("statx", statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &x), &x);
	print_statx("statx nofollow", statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x), &x);
	print_statx("statx dont_sync", statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_ALL, &x), &x);
	print_statx("statx both syncs",
		    statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_STATX_FORCE_SYNC, STATX_ALL, &x), &x);
	print_statx("statx reserved mask", statx(AT_FDCWD, path, 0, 0x80000000u, &x), &x);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	report_success("  open", fd);
	if (fd >= 0) {
		by_descriptor("of open", fd);
		close(fd);
	}
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	report_success("  open O_PATH|O_NOFOLLOW", fd);
	if (fd >= 0) {
		by_descriptor("of O_PATH", fd);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	struct stat s;
	int first = 1;
	need_arguments(argc, 1, "stat_family [-a] PATH...");
	if (!strcmp(argv[1], "-a")) {
		all = 1;
		first = 2;
	}
	for (int i = first; i < argc; i++)
		one_path(argv[i]);
	report("empty path without AT_EMPTY_PATH", fstatat(AT_FDCWD, "", &s, 0));
	report_success("AT_EMPTY_PATH of the working directory", fstatat(AT_FDCWD, "", &s, AT_EMPTY_PATH));
	report("fstat of no descriptor", fstat(-1, &s));
	report("newfstatat of no descriptor", fstatat(-1, "x", &s, 0));
	report_success("absolute path with no descriptor", fstatat(-1, "/", &s, 0));
	return 0;
}
