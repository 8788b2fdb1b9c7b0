/* statfs and fstatfs of each PATH: what must agree between the two; with -a all numbers. */
#include "guest.h"

#include <sys/statfs.h>

static void print(const char *call, int result, const struct statfs *s, int all)
{
	if (result < 0) {
		printf("  %s: -1 %s\n", call, error_name(errno));
		return;
	}
	printf("  %s: namelen=%ld readonly=%d", call, (long)s->f_namelen, (s->f_flags & 1) != 0);
	if (all)
		printf(" [type=%#lx bsize=%ld frsize=%ld blocks=%llu bfree=%llu bavail=%llu files=%llu ffree=%llu flags=%#lx]",
		       (long)s->f_type, (long)s->f_bsize, (long)s->f_frsize, (unsigned long long)s->f_blocks,
		       (unsigned long long)s->f_bfree, (unsigned long long)s->f_bavail, (unsigned long long)s->f_files,
		       (unsigned long long)s->f_ffree, (long)s->f_flags);
	puts("");
}

int main(int argc, char **argv)
{
	struct statfs by_path, by_descriptor;
	int all, result, fd;
	need_arguments(argc, 1, "statfs_dump [-a] PATH...");
	all = !strcmp(argv[1], "-a");
	for (int i = 1 + all; i < argc; i++) {
		printf("%s\n", argv[i]);
		result = (int)syscall(SYS_statfs, argv[i], &by_path);
		print("statfs", result, &by_path, all);
		fd = open(argv[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		result = (int)syscall(SYS_fstatfs, fd, &by_descriptor);
		print("fstatfs", result, &by_descriptor, all);
		if (result == 0)
			printf("  type and id agree: %s\n", by_path.f_type == by_descriptor.f_type &&
								     !memcmp(&by_path.f_fsid, &by_descriptor.f_fsid, 8)
							     ? "yes"
							     : "no");
		if (fd >= 0)
			close(fd);
	}
	report("statfs of the empty path", statfs("", &by_path));
	report("fstatfs of nothing", fstatfs(-1, &by_path));
	return 0;
}
