/*
 * What else can be done with the descriptor of FILE: locks, leases, requests, copying, mapping, waiting.
 * OTHER is a writable directory outside, for copies.
 */
#include "guest.h"

#include <linux/aio_abi.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>

static const char *path;

static int open_again(int flags)
{
	return open(path, O_RDONLY | O_CLOEXEC | flags);
}

static void locks(int fd)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 10};
	int other = open_again(0);
	puts("locks");
	report("flock exclusive", flock(fd, LOCK_EX));
	report("flock of another opening", flock(other, LOCK_SH | LOCK_NB));
	report("flock shared", flock(fd, LOCK_SH));
	report("flock of another opening, shared", flock(other, LOCK_SH | LOCK_NB));
	report("flock exclusive again", flock(fd, LOCK_EX | LOCK_NB));
	report("flock unlock", flock(other, LOCK_UN));
	fflush(stdout);
	if (fork() == 0) { /* the same opening: the lock is its own */
		report("flock of a child's", flock(fd, LOCK_EX | LOCK_NB));
		other = open_again(0);
		report("flock of a child's own", flock(other, LOCK_SH | LOCK_NB));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	report("flock unlock", flock(fd, LOCK_UN));
	report("record lock to read", fcntl(fd, F_SETLK, &lock));
	report("the same of the opening", fcntl(other, F_OFD_SETLK, &lock));
	lock.l_type = F_WRLCK;
	report("record lock to write", fcntl(fd, F_SETLK, &lock));
	report("who locks", fcntl(fd, F_GETLK, &lock));
	printf("  type %d\n", lock.l_type);
	fflush(stdout);
	if (fork() == 0) {
		lock.l_type = F_WRLCK;
		report("who locks, asked by a child", fcntl(other, F_GETLK, &lock));
		printf("  type %d, from %ld, %ld bytes\n", lock.l_type, (long)lock.l_start, (long)lock.l_len);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	lock.l_type = F_UNLCK;
	report("unlock", fcntl(fd, F_SETLK, &lock));
	report("lockf test", lockf(fd, F_TEST, 10));
	report("lockf lock", lockf(fd, F_TLOCK, 10));
	close(other);
}

static void requests(int fd, int is_file)
{
	int number = -1;
	long attributes = 0;
	puts("fcntl and ioctl");
	report("no lease", fcntl(fd, F_SETLEASE, F_UNLCK));
	report("which lease", fcntl(fd, F_GETLEASE));
	report("a lease to read", fcntl(fd, F_SETLEASE, F_RDLCK));
	report("which lease", fcntl(fd, F_GETLEASE));
	report("given up", fcntl(fd, F_SETLEASE, F_UNLCK));
	report("notify of a file", fcntl(fd, F_NOTIFY, DN_ACCESS));
	report("size of a pipe", fcntl(fd, F_GETPIPE_SZ));
	report("append", fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
	printf("  flags %o\n", (unsigned)fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE));
	report("not any more", fcntl(fd, F_SETFL, 0));
	report("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 100));
	report("  which is closed on exec", fcntl(100, F_GETFD));
	close(100);
	lseek(fd, 7, SEEK_SET);
	report("FIONREAD", ioctl(fd, FIONREAD, &number));
	if (is_file)
		printf("  %d\n", number);
	report("FIONBIO", ioctl(fd, FIONBIO, &(int){0}));
	report("terminal?", ioctl(fd, 0x5401, &attributes));
	report("block device?", ioctl(fd, BLKGETSIZE64, &attributes));
	report("set flags", ioctl(fd, FS_IOC_SETFLAGS, &(long){FS_NODUMP_FL}));
	report("set flags, bad pointer", ioctl(fd, FS_IOC_SETFLAGS, NULL));
	report("set attributes", ioctl(fd, FS_IOC_FSSETXATTR, &(struct fsxattr){.fsx_xflags = FS_XFLAG_NODUMP}));
	lseek(fd, 0, SEEK_SET);
}

static void positions(int fd, long size)
{
	puts("positions");
	report("hole", lseek(fd, 0, SEEK_HOLE) == size ? 0 : -1);
	report("data", lseek(fd, 0, SEEK_DATA));
	report("data behind the end", lseek(fd, size, SEEK_DATA));
	report("hole behind the end", lseek(fd, size + 1, SEEK_HOLE));
	report("before the start", lseek(fd, -1, SEEK_SET));
	report("behind the end", lseek(fd, 100, SEEK_END) == size + 100 ? 0 : -1);
	report("read there", read(fd, &size, 8));
	report("a way that there is not", lseek(fd, 0, 99));
	report("very far", lseek(fd, INT64_MAX, SEEK_SET));
	report("from there", lseek(fd, 1, SEEK_CUR));
	lseek(fd, 0, SEEK_SET);
}

static void writing(int fd)
{
	struct iovec piece = {"x", 1};
	puts("writing");
	report("write", write(fd, "x", 1));
	report("pwrite", pwrite(fd, "x", 1, 0));
	report("pwritev2", pwritev2(fd, &piece, 1, 0, RWF_APPEND));
	report("write nothing", write(fd, "", 0));
	report("ftruncate", ftruncate(fd, 0));
	report("fallocate", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1));
	report("fsync", fsync(fd));
	report("fdatasync", fdatasync(fd));
	report("syncfs", syncfs(fd));
	report("sync_file_range", sync_file_range(fd, 0, 1, SYNC_FILE_RANGE_WRITE));
	report("readahead", readahead(fd, 0, 4096));
	for (int advice = 0; advice < 7; advice++)
		report("fadvise", posix_fadvise(fd, 0, 0, advice));
}

static void copying(int fd, const char *other, long size)
{
	char name[4096];
	int ends[2];
	loff_t from = 1;
	off_t start = 3;
	struct file_clone_range range = {.src_fd = fd, .src_length = 4096};
	snprintf(name, sizeof name, "%s/guest-copy", other);
	int to = open(name, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	puts("copying");
	report("sendfile to a file", sendfile(to, fd, NULL, (size_t)size) == size ? 0 : -1);
	report("sendfile from a position", sendfile(to, fd, &start, 5));
	printf("  then %ld\n", (long)start);
	report("sendfile into it", sendfile(fd, to, NULL, 1));
	report("copy_file_range to another file system", copy_file_range(fd, &from, to, NULL, 10, 0));
	report("copy_file_range into it", copy_file_range(to, NULL, fd, NULL, 1, 0));
	report("copy_file_range, bad flag", copy_file_range(fd, &from, to, NULL, 1, 1));
	report_success("clone", ioctl(to, FICLONE, fd) < 0 ? 0 : -1);
	report_success("clone a range", ioctl(to, FICLONERANGE, &range) < 0 ? 0 : -1);
	if (pipe(ends) == 0) {
		report("splice to a pipe", splice(fd, &from, ends[1], NULL, 10, 0));
		report("splice from a pipe", splice(ends[0], NULL, fd, NULL, 1, 0));
		report("read what was spliced", read(ends[0], name, 10));
		report("sendfile to a pipe", sendfile(ends[1], fd, &start, 10));
		report("vmsplice", vmsplice(fd, &(struct iovec){name, 1}, 1, 0));
		report("tee", tee(fd, ends[1], 1, 0));
	}
	close(ends[0]);
	close(ends[1]);
	close(to);
	snprintf(name, sizeof name, "%s/guest-copy", other);
	unlink(name);
}

static void mapping(int fd, long size)
{
	static const int advices[] = {MADV_WILLNEED, MADV_SEQUENTIAL, MADV_DONTNEED, MADV_REMOVE, MADV_POPULATE_READ,
				      MADV_POPULATE_WRITE, MADV_FREE, MADV_DONTFORK};
	unsigned char there;
	puts("mapping");
	char *area = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
	report("shared", area == MAP_FAILED ? -1 : 0);
	if (area == MAP_FAILED)
		return;
	for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++)
		report("  madvise", madvise(area, 4096, advices[i]));
	report("  mprotect to execute", mprotect(area, 4096, PROT_READ | PROT_EXEC));
	report("  mprotect to write", mprotect(area, 4096, PROT_READ | PROT_WRITE));
	report("  msync", msync(area, 4096, MS_SYNC));
	report("  mincore", mincore(area, 4096, &there));
	report("  mlock", mlock(area, 4096));
	munmap(area, (size_t)size);
	report("validated, with a flag that it has not", mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0) == MAP_FAILED ? -1 : 0);
	report("at an odd offset", mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 1) == MAP_FAILED ? -1 : 0);
	report("nothing of it", mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	report("to write only", mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	area = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	report("private, then mprotect to all", mprotect(area, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	memset(area, 'x', 100);
	printf("  the file is as it was: %s\n", pread(fd, &there, 1, 0) == 1 && there != 'x' ? "yes" : "no");
	close(fd);
	printf("  and so is the map without its descriptor: %s\n", area[0] == 'x' && area[50] == 'x' ? "yes" : "no");
	munmap(area, (size_t)size);
}

static void waiting(int fd)
{
	struct pollfd one = {fd, POLLIN | POLLOUT | POLLPRI, 0};
	struct epoll_event event = {.events = EPOLLIN};
	char buffer[16];
	struct iocb call = {.aio_fildes = (unsigned)fd, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uint64_t)buffer, .aio_nbytes = 16};
	struct iocb *calls[] = {&call};
	struct io_event done;
	struct iovec piece = {buffer, 16};
	aio_context_t context = 0;
	puts("waiting");
	report("poll", poll(&one, 1, 0));
	printf("  events %x\n", (unsigned)one.revents);
	report("epoll", epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, fd, &event));
	report("io_setup", syscall(SYS_io_setup, 1, &context));
	report("io_submit", syscall(SYS_io_submit, context, 1, calls));
	report("io_getevents", syscall(SYS_io_getevents, context, 1, 1, &done, NULL));
	printf("  read %ld\n", (long)done.res);
	call.aio_lio_opcode = IOCB_CMD_PWRITE;
	report("io_submit of a write", syscall(SYS_io_submit, context, 1, calls));
	report("preadv2", preadv2(fd, &piece, 1, 0, RWF_HIPRI));
	report("preadv2, bad flag", preadv2(fd, &piece, 1, 0, 1 << 30));
}

int main(int argc, char **argv)
{
	struct stat s;
	need_arguments(argc, 2, "descriptor_uses FILE OTHER");
	path = argv[1];
	int fd = open_again(0);
	if (fd < 0 || fstat(fd, &s) < 0) {
		report("open", fd);
		return 1;
	}
	locks(fd);
	requests(fd, S_ISREG(s.st_mode));
	if (S_ISREG(s.st_mode))
		positions(fd, s.st_size);
	writing(fd);
	if (S_ISREG(s.st_mode)) {
		copying(fd, argv[2], s.st_size);
		waiting(fd);
		mapping(fd, s.st_size);
	} else {
		report("mmap", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
		report("sendfile", sendfile(1, fd, NULL, 1));
		report("copy_file_range", copy_file_range(fd, NULL, 1, NULL, 1, 0));
	}
	return 0;
}
