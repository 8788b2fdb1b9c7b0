/* The in-process runtime: every caught system call comes here, from the tracer's redirect or from a patched site. */
#include "descriptor_call.h"
#include "executing.h"
#include "two_paths.h"

/* A bit for every number that is caught; the door sends others back. */
#define OURS(word, number, treatment) \
    (DO_##treatment >= DO_open && (number) / 64 == (word) ? 1UL << (number) % 64 : 0UL)
#define ROW(name, x86_64, aarch64, treatment, ...) | OURS(WORD, x86_64, treatment)
extern const u64 hepwrap_ours[OURS_BITS / 64] __attribute__((visibility("hidden")));
const u64 hepwrap_ours[OURS_BITS / 64] = {
#define WORD 0
    0
#include "../syscalls.def"
    ,
#undef WORD
#define WORD 1
    0
#include "../syscalls.def"
    ,
#undef WORD
#define WORD 2
    0
#include "../syscalls.def"
    ,
#undef WORD
#define WORD 3
    0
#include "../syscalls.def"
    ,
#undef WORD
#define WORD 4
    0
#include "../syscalls.def"
    ,
#undef WORD
#define WORD 5
    0
#include "../syscalls.def"
    ,
#undef WORD
#define WORD 6
    0
#include "../syscalls.def"
    ,
#undef WORD
#define WORD 7
    0
#include "../syscalls.def"
    ,
#undef WORD
};
#undef ROW

long hepwrap_main(void);
long hepwrap_main(void)
{
    const struct row *row = row_of(f->number);
    if (!row)
        return native();
    f->row = row;
    f->base = f->noted = 0;
    f->flags = 0;
    f->follow = 1;
    f->asked = 0;
    switch (row->handler) {
    case DO_fstat:
        return stat_fd((struct kernel_stat *)f->a[1]);
    case DO_getdents:
        return list_directory(1);
    case DO_getdents64:
        return list_directory(0);
    case DO_getcwd:
        return get_cwd();
    case DO_execve: case DO_execveat:
        return execute();
    case DO_fstatfs: case DO_fgetxattr: case DO_flistxattr: case DO_fwrite: case DO_fchdir:
        return fd_call(row);
    case DO_write2:
        return two_path_call();
    case DO_nothing: case DO_pass: case DO_tracer: case DO_enosys:
        return native();
    default:
        return path_call(row);
    }
}
