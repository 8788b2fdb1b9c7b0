/* The table of system calls, as the runtime needs it: number -> handler and where its paths stand. */
#ifndef HEPWRAP_ROWS_H
#define HEPWRAP_ROWS_H
#include "../../vfs/index/layout.h"

#define NONE 0xffff
enum kind { KIND__, KIND_DIRFD, KIND_PATH, KIND_FD, KIND_FLAGS, KIND_MODE, KIND_BUF, KIND_SIZE, KIND_PTR, KIND_INT,
            KIND_ARGV, KIND_ENVP, KIND_STRING };

enum handler {
    DO_nothing,
    DO_pass, DO_enosys, DO_tracer, /* never reach the runtime */
    DO_open, DO_openat2, DO_creat,
    DO_stat, DO_lstat, DO_fstat, DO_newfstatat, DO_statx,
    DO_access, DO_faccessat, DO_faccessat2,
    DO_readlink, DO_readlinkat,
    DO_getdents, DO_getdents64, DO_getcwd, DO_chdir, DO_fchdir, DO_statfs, DO_fstatfs,
    DO_getxattr, DO_lgetxattr, DO_fgetxattr, DO_listxattr, DO_llistxattr, DO_flistxattr, DO_getxattrat, DO_listxattrat,
    DO_execve, DO_execveat,
    DO_write1, DO_write2, DO_fwrite, DO_standin,
};

struct row {
    unsigned short number;
    unsigned char handler;
    unsigned char dirfd, path, second_dirfd, second_path; /* argument positions, 6: none */
};

#define POSITION(k, a, b, c, d, e, f) ((a) == (k) ? 0 : (b) == (k) ? 1 : (c) == (k) ? 2 : (d) == (k) ? 3 : (e) == (k) ? 4 : (f) == (k) ? 5 : 6)
/* The second of its kind: the first one does not count. */
#define SECOND(k, a, b, c, d, e, f) \
    ((a) == (k) ? ((b) == (k) ? 1 : (c) == (k) ? 2 : (d) == (k) ? 3 : (e) == (k) ? 4 : (f) == (k) ? 5 : 6) : \
     (b) == (k) ? ((c) == (k) ? 2 : (d) == (k) ? 3 : (e) == (k) ? 4 : (f) == (k) ? 5 : 6) : 6)

#define ROW(name, x86_64, aarch64, treatment, a, b, c, d, e, f, note) \
    {x86_64, DO_##treatment, \
     POSITION(KIND_DIRFD, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f), \
     POSITION(KIND_PATH, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f), \
     SECOND(KIND_DIRFD, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f), \
     SECOND(KIND_PATH, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f)},
static const struct row rows[] = {
#include "../syscalls.def"
};
#undef ROW

enum row_index {
#define ROW(name, ...) ROW_##name,
#include "../syscalls.def"
#undef ROW
    ROW_COUNT
};

static inline const struct row *row_of(u64 number)
{
    switch (number) {
#define ROW(name, x86_64, ...) \
    case x86_64: \
        return &rows[ROW_##name];
#include "../syscalls.def"
#undef ROW
    default:
        return 0;
    }
}

#endif
