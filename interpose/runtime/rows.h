/* The table of system calls, as the runtime needs it: number -> handler and where its paths stand. */
#ifndef HEPWRAP_ROWS_H
#define HEPWRAP_ROWS_H
#include "../../vfs/index/layout.h"
#include "protocol.h"

#define NONE 0xffff
enum kind { KIND__, KIND_DIRFD, KIND_PATH, KIND_FD, KIND_FLAGS, KIND_MODE, KIND_BUF, KIND_SIZE, KIND_PTR, KIND_INT,
            KIND_ARGV, KIND_ENVP, KIND_STRING, KIND_SOURCE, KIND_SOURCEFD };

enum handler {
    DO_nothing,
    DO_pass, DO_enosys, DO_keep, DO_wander, DO_unshare, DO_clone, DO_rt_sigaction, DO_ptrace, DO_seccomp, /* never reach the runtime */
    DO_open, DO_openat2, DO_open_tree, DO_creat,
    DO_stat, DO_lstat, DO_fstat, DO_newfstatat, DO_statx,
    DO_access, DO_faccessat, DO_faccessat2,
    DO_readlink, DO_readlinkat,
    DO_getdents, DO_getdents64, DO_getcwd, DO_chdir, DO_fchdir, DO_statfs, DO_fstatfs,
    DO_getxattr, DO_lgetxattr, DO_fgetxattr, DO_listxattr, DO_llistxattr, DO_flistxattr, DO_getxattrat, DO_listxattrat,
    DO_execve, DO_execveat,
    DO_entry, DO_write1, DO_write2, DO_fwrite, DO_standin, DO_refused, DO_mounts, DO_landlock, DO_admit, DO_spare, DO_hide, DO_address,
    HANDLER_COUNT
};

struct row {
    unsigned short number;
    unsigned char handler;
    unsigned char dirfd, path, second_dirfd, second_path, flags, buffer; /* argument positions, 6: none */
};

#define POSITION(k, a, b, c, d, e, f) ((a) == (k) ? 0 : (b) == (k) ? 1 : (c) == (k) ? 2 : (d) == (k) ? 3 : (e) == (k) ? 4 : (f) == (k) ? 5 : 6)
/* The second of its kind: the first one does not count. */
#define SECOND(k, a, b, c, d, e, f) \
    ((a) == (k) ? ((b) == (k) ? 1 : (c) == (k) ? 2 : (d) == (k) ? 3 : (e) == (k) ? 4 : (f) == (k) ? 5 : 6) : \
     (b) == (k) ? ((c) == (k) ? 2 : (d) == (k) ? 3 : (e) == (k) ? 4 : (f) == (k) ? 5 : 6) : 6)

#define SMALLER(a, b) ((a) < (b) ? (a) : (b))

enum row_index {
#define ROW(name, ...) ROW_##name,
#include "../syscalls.def"
#undef ROW
    ROW_COUNT
};

#define ROW(name, x86_64, aarch64, treatment, a, b, c, d, e, f, note) \
    {x86_64, DO_##treatment, \
     POSITION(KIND_DIRFD, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f), \
     POSITION(KIND_PATH, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f), \
     SMALLER(SECOND(KIND_DIRFD, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f), \
             POSITION(KIND_SOURCEFD, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f)), \
     SMALLER(SECOND(KIND_PATH, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f), \
             POSITION(KIND_SOURCE, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f)), \
     POSITION(KIND_FLAGS, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f), \
     POSITION(KIND_BUF, KIND_##a, KIND_##b, KIND_##c, KIND_##d, KIND_##e, KIND_##f)},
static const struct row rows[ROW_COUNT] = {
#include "../syscalls.def"
};
#undef ROW

_Static_assert(ROW_COUNT < 255, "a row and one more fit into a byte");

/* Of every number 1 + its row; 0: there is none. */
static const unsigned char row_at[NUMBERS] = {
#define ROW(name, x86_64, ...) [x86_64] = ROW_##name + 1,
#include "../syscalls.def"
#undef ROW
};

static inline const struct row *row_of(u64 number)
{
    u32 place = number < NUMBERS ? row_at[number] : 0;
    return place ? &rows[place - 1] : 0;
}

#endif
