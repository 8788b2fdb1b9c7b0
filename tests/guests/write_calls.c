/*
 * Every call that would write, on DIRECTORY, on a FILE in it and on a new name in it, and what each gives.
 * OTHER is a writable directory outside: for links and renames across.
 */
#include "guest.h"

#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <utime.h>

static char fresh[4096], outside[4096];

static void names(const char *directory, const char *file)
{
	report("mkdir new", mkdir(fresh, 0755));
	report("mkdir existing", mkdir(directory, 0755));
	report("mkdirat new", mkdirat(AT_FDCWD, fresh, 0755));
	report("mknod new fifo", mknod(fresh, S_IFIFO | 0644, 0));
	report("mknod existing", mknod(file, S_IFREG | 0644, 0));
	report("mknodat new", mknodat(AT_FDCWD, fresh, S_IFREG | 0644, 0));
	report("rmdir new", rmdir(fresh));
	report("rmdir directory", rmdir(directory));
	report("rmdir file", rmdir(file));
	report("unlink new", unlink(fresh));
	report("unlink file", unlink(file));
	report("unlink directory", unlink(directory));
	report("unlinkat file", unlinkat(AT_FDCWD, file, 0));
	report("unlinkat directory", unlinkat(AT_FDCWD, directory, AT_REMOVEDIR));
	report("symlink new", symlink("target", fresh));
	report("symlink existing", symlink("target", file));
	report("symlinkat new", symlinkat("target", AT_FDCWD, fresh));
}

static void two_paths(const char *directory, const char *file)
{
	report("rename file to new", rename(file, fresh));
	report("rename new to file", rename(fresh, file));
	report("rename file to outside", rename(file, outside));
	report("rename outside to new", rename(outside, fresh));
	report("rename directory to new", rename(directory, fresh));
	report("renameat", renameat(AT_FDCWD, file, AT_FDCWD, fresh));
	report("renameat2 noreplace", renameat2(AT_FDCWD, file, AT_FDCWD, fresh, RENAME_NOREPLACE));
	report("renameat2 exchange", renameat2(AT_FDCWD, file, AT_FDCWD, directory, RENAME_EXCHANGE));
	report("renameat2 bad flag", renameat2(AT_FDCWD, file, AT_FDCWD, fresh, 1u << 20));
	report("link file to new", link(file, fresh));
	report("link file to outside", link(file, outside));
	report("link new to outside", link(fresh, outside));
	report("linkat follow", linkat(AT_FDCWD, file, AT_FDCWD, fresh, AT_SYMLINK_FOLLOW));
	report("linkat bad flag", linkat(AT_FDCWD, file, AT_FDCWD, fresh, 0x40000000));
}

static void attributes(const char *path)
{
	struct timespec times[2] = {{1, 0}, {1, 0}}, omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
	struct timeval values[2] = {{1, 0}, {1, 0}};
	printf("attributes of %s\n", path);
	report("chmod", chmod(path, 0600));
	report("fchmodat", fchmodat(AT_FDCWD, path, 0600, 0));
	report("fchmodat2", syscall(452, AT_FDCWD, path, 0600, 0));
	report("chown", chown(path, getuid(), getgid()));
	report("lchown", lchown(path, getuid(), getgid()));
	report("fchownat", fchownat(AT_FDCWD, path, getuid(), getgid(), 0));
	report("fchownat nofollow", fchownat(AT_FDCWD, path, getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
	report("truncate", truncate(path, 0));
	report("truncate to less than nothing", truncate(path, -1));
	report("utime", utime(path, NULL));
	report("utimes", utimes(path, values));
	report("futimesat", futimesat(AT_FDCWD, path, values));
	report("utimensat", utimensat(AT_FDCWD, path, times, 0));
	report("utimensat nofollow", utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
	report("utimensat omitting both", utimensat(AT_FDCWD, path, omit, 0));
	report("setxattr", setxattr(path, "user.guest", "1", 1, 0));
	report("lsetxattr", lsetxattr(path, "user.guest", "1", 1, 0));
	report("removexattr", removexattr(path, "user.guest"));
	report("lremovexattr", lremovexattr(path, "user.guest"));
}

static void descriptors(const char *path)
{
	struct timespec times[2] = {{1, 0}, {1, 0}};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	printf("through a descriptor of %s\n", path);
	if (fd < 0) {
		report("open", fd);
		return;
	}
	report("fchmod", fchmod(fd, 0600));
	report("fchown", fchown(fd, getuid(), getgid()));
	report("fchownat empty path", fchownat(fd, "", getuid(), getgid(), AT_EMPTY_PATH));
	report("futimens", futimens(fd, times));
	report("fsetxattr", fsetxattr(fd, "user.guest", "1", 1, 0));
	report("fremovexattr", fremovexattr(fd, "user.guest"));
	report("ftruncate", ftruncate(fd, 0));
	report("fallocate", fallocate(fd, 0, 0, 4096));
	report("write", write(fd, "x", 1));
	report("openat new", openat(fd, "guest-new", O_CREAT | O_WRONLY, 0600));
	report("mkdirat", mkdirat(fd, "guest-new", 0700));
	report("unlinkat", unlinkat(fd, "guest-new", 0));
	close(fd);
}

static void opening(const char *directory, const char *file)
{
	report("open to write", open(file, O_WRONLY));
	report("open to truncate", open(file, O_RDONLY | O_TRUNC));
	report("open to create", open(fresh, O_RDWR | O_CREAT, 0600));
	report_success("open O_CREAT what is there", open(file, O_RDONLY | O_CREAT, 0600));
	report("open O_CREAT|O_EXCL what is there", open(file, O_RDONLY | O_CREAT | O_EXCL, 0600));
	report("open O_TMPFILE", open(directory, O_RDWR | O_TMPFILE, 0600));
	report("creat", creat(fresh, 0600));
}

int main(int argc, char **argv)
{
	need_arguments(argc, 3, "write_calls DIRECTORY FILE OTHER");
	snprintf(fresh, sizeof fresh, "%s/guest-new", argv[1]);
	snprintf(outside, sizeof outside, "%s/guest-outside", argv[3]);
	close(open(outside, O_CREAT | O_WRONLY, 0600));
	names(argv[1], argv[2]);
	two_paths(argv[1], argv[2]);
	attributes(argv[2]);
	attributes(argv[1]);
	attributes(fresh);
	descriptors(argv[2]);
	descriptors(argv[1]);
	opening(argv[1], argv[2]);
	unlink(outside);
	return 0;
}
