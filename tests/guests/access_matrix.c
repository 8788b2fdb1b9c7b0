/* access, faccessat and faccessat2 in every mode, for each PATH. */
#include "guest.h"

static const struct {
	const char *name;
	int mode;
} modes[] = {{"F", F_OK}, {"R", R_OK},	      {"W", W_OK},	  {"X", X_OK},		      {"RW", R_OK | W_OK},
	     {"RX", R_OK | X_OK}, {"WX", W_OK | X_OK}, {"RWX", R_OK | W_OK | X_OK}, {"invalid", 8}};
static const struct {
	const char *name;
	int flags;
} kinds[] = {{"", 0},
	     {" eaccess", AT_EACCESS},
	     {" nofollow", AT_SYMLINK_NOFOLLOW},
	     {" eaccess nofollow", AT_EACCESS | AT_SYMLINK_NOFOLLOW},
	     {" bad flag", 0x40000000}};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

int main(int argc, char **argv)
{
	char what[8192];
	need_arguments(argc, 1, "access_matrix PATH...");
	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_PATH | O_CLOEXEC);
		for (size_t m = 0; m < COUNT(modes); m++) {
#ifdef SYS_access
			snprintf(what, sizeof what, "%s access %s", argv[i], modes[m].name);
			report(what, syscall(SYS_access, argv[i], modes[m].mode));
#endif
			snprintf(what, sizeof what, "%s faccessat %s", argv[i], modes[m].name);
			report(what, syscall(SYS_faccessat, AT_FDCWD, argv[i], modes[m].mode));
			for (size_t k = 0; k < COUNT(kinds); k++) {
				snprintf(what, sizeof what, "%s faccessat2 %s%s", argv[i], modes[m].name, kinds[k].name);
				report(what, syscall(SYS_faccessat2, AT_FDCWD, argv[i], modes[m].mode, kinds[k].flags));
			}
			snprintf(what, sizeof what, "%s faccessat2 %s of its descriptor", argv[i], modes[m].name);
			report(what, syscall(SYS_faccessat2, fd, "", modes[m].mode, AT_EMPTY_PATH));
		}
		if (fd >= 0)
			close(fd);
	}
	report("empty path", access("", F_OK));
	return 0;
}
