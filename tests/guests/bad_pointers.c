/*
 * Every call of the family with pointers that lead nowhere: to page 0, to a page that is not there, into the kernel, to a
 * page that cannot be written, and to strings and buffers that run over the end of what is mapped.
 */
#include "guest.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/statfs.h>

static char *page, *readonly; /* `page` is followed by a page that cannot be touched */
static long size;
static int faults;

static void on_fault(int number)
{
	(void)number;
	faults++; /* never called when the kernel (or what stands for it) looks at the pointers */
	_exit(42);
}

static void bad_path(const char *kind, const char *path)
{
	static char buffer[65536];
	printf("path %s\n", kind);
	report("  openat", syscall(SYS_openat, AT_FDCWD, path, O_RDONLY));
	report("  openat to create", syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT, 0600));
	report("  newfstatat", syscall(SYS_newfstatat, AT_FDCWD, path, buffer, 0));
	report("  statx", syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, buffer));
	report("  faccessat", syscall(SYS_faccessat, AT_FDCWD, path, R_OK));
	report("  faccessat2", syscall(SYS_faccessat2, AT_FDCWD, path, R_OK, 0));
	report("  readlinkat", syscall(SYS_readlinkat, AT_FDCWD, path, buffer, sizeof buffer));
	report("  chdir", syscall(SYS_chdir, path));
	report("  statfs", syscall(SYS_statfs, path, buffer));
	report("  getxattr", syscall(SYS_getxattr, path, "user.x", buffer, sizeof buffer));
	report("  lgetxattr", syscall(SYS_lgetxattr, path, "user.x", buffer, sizeof buffer));
	report("  listxattr", syscall(SYS_listxattr, path, buffer, sizeof buffer));
	report("  llistxattr", syscall(SYS_llistxattr, path, buffer, sizeof buffer));
	report("  execve", syscall(SYS_execve, path, NULL, NULL));
	report("  mkdirat", syscall(SYS_mkdirat, AT_FDCWD, path, 0700));
	report("  unlinkat", syscall(SYS_unlinkat, AT_FDCWD, path, 0));
	report("  renameat2", syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, path, 0));
	report("  fchmodat", syscall(SYS_fchmodat, AT_FDCWD, path, 0600));
	report("  truncate", syscall(SYS_truncate, path, 0));
	report("  symlinkat", syscall(SYS_symlinkat, "x", AT_FDCWD, path));
#ifdef SYS_open
	report("  open", syscall(SYS_open, path, O_RDONLY));
	report("  stat", syscall(SYS_stat, path, buffer));
	report("  lstat", syscall(SYS_lstat, path, buffer));
	report("  access", syscall(SYS_access, path, R_OK));
	report("  readlink", syscall(SYS_readlink, path, buffer, sizeof buffer));
	report("  mkdir", syscall(SYS_mkdir, path, 0700));
	report("  unlink", syscall(SYS_unlink, path));
#endif
}

static void bad_buffer(const char *kind, const char *file, const char *directory, const char *link, char *buffer)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	printf("buffer %s\n", kind);
	report("  newfstatat", syscall(SYS_newfstatat, AT_FDCWD, file, buffer, 0));
	report("  newfstatat of what is not there", syscall(SYS_newfstatat, AT_FDCWD, "not there at all", buffer, 0));
	report("  newfstatat empty path", syscall(SYS_newfstatat, fd, "", buffer, AT_EMPTY_PATH));
	report("  fstat", syscall(SYS_fstat, fd, buffer));
	report("  statx", syscall(SYS_statx, AT_FDCWD, file, 0, STATX_BASIC_STATS, buffer));
	report("  readlinkat", syscall(SYS_readlinkat, AT_FDCWD, link, buffer, 64));
	report("  statfs", syscall(SYS_statfs, file, buffer));
	report("  fstatfs", syscall(SYS_fstatfs, fd, buffer));
	report("  getdents64", syscall(SYS_getdents64, dir, buffer, 4096));
	report("  openat2", syscall(SYS_openat2, AT_FDCWD, file, buffer, 24));
	report("  getcwd", syscall(SYS_getcwd, buffer, 4096));
#ifdef SYS_stat
	report("  stat", syscall(SYS_stat, file, buffer));
	report("  lstat", syscall(SYS_lstat, file, buffer));
#endif
	close(fd);
	close(dir);
}

/* A path that ends exactly where the mapping ends is good. */
static void at_the_end(const char *file)
{
	char *place = page + size - strlen(file) - 1;
	struct stat s;
	struct stat *fits = (void *)(page + size - sizeof s);
	strcpy(place, file);
	report("path up to the last byte", syscall(SYS_newfstatat, AT_FDCWD, place, &s, 0));
	place++;
	memmove(place, file, strlen(file)); /* now without its zero byte */
	report("path one byte over the end", syscall(SYS_newfstatat, AT_FDCWD, place, &s, 0));
	report("buffer up to the last byte", syscall(SYS_newfstatat, AT_FDCWD, file, fits, 0));
	report("buffer one byte over the end", syscall(SYS_newfstatat, AT_FDCWD, file, (char *)fits + 1, 0));
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_fault};
	need_arguments(argc, 3, "bad_pointers FILE DIRECTORY LINK");
	setvbuf(stdout, NULL, _IOLBF, 0);
	size = sysconf(_SC_PAGESIZE);
	page = mmap(NULL, 2 * (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	readonly = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(page + size, (size_t)size, PROT_NONE); /* kept, so that nothing else is put there */
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	bad_path("NULL", NULL);
	bad_path("1", (const char *)1);
	bad_path("after the page", page + size);
	bad_path("in the kernel", (const char *)0xffff800000000000ul);
	bad_path("not canonical", (const char *)0x8000000000000000ul);
	bad_path("-1", (const char *)-1);
	bad_buffer("NULL", argv[1], argv[2], argv[3], NULL);
	bad_buffer("1", argv[1], argv[2], argv[3], (char *)1);
	bad_buffer("after the page", argv[1], argv[2], argv[3], page + size);
	bad_buffer("read-only", argv[1], argv[2], argv[3], readonly);
	bad_buffer("in the kernel", argv[1], argv[2], argv[3], (char *)0xffff800000000000ul);
	bad_buffer("-1", argv[1], argv[2], argv[3], (char *)-1);
	at_the_end(argv[1]);
	signal(SIGSEGV, SIG_IGN);
	report("with SIGSEGV ignored", syscall(SYS_newfstatat, AT_FDCWD, page + size, readonly, 0));
	{
		sigset_t all;
		struct sigaction now;
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		report("with all signals blocked", syscall(SYS_newfstatat, AT_FDCWD, page + size, readonly, 0));
		sigprocmask(SIG_BLOCK, NULL, &all);
		sigaction(SIGSEGV, NULL, &now);
		printf("SIGSEGV is still blocked: %d, still ignored: %d\n", sigismember(&all, SIGSEGV),
		       now.sa_handler == SIG_IGN);
	}
	printf("signals delivered: %d\n", faults);
	return 0;
}
