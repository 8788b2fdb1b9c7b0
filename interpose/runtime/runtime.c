/* The in-process runtime: every caught system call comes here, from the tracer's redirect or from a patched site. */
#include "address_call.h"
#include "descriptor_call.h"
#include "executing.h"
#include "mount_call.h"
#include "two_paths.h"

/* Of every number 1 + its row where the runtime answers it, 0: the door sends the others back. */
#define ROW(name, x86_64, aarch64, treatment, ...) [x86_64] = DO_##treatment >= DO_open ? ROW_##name + 1 : 0,
extern const u8 hepwrap_ours[NUMBERS] __attribute__((visibility("hidden")));
const u8 hepwrap_ours[NUMBERS] = {
#include "../syscalls.def"
};
#undef ROW

long hepwrap_main(u32 place);
long hepwrap_main(u32 place)
{
    const struct row *row = &rows[place - 1];
    f->row = row;
    f->base = f->noted = 0;
    f->flags = 0;
    f->rules = 0;
    f->follow = 1;
    f->asked = 0;
    switch (row->handler) {
    case DO_fstat:
        return kernel_says();
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
    case DO_address:
        return address_call();
    case DO_landlock:
        return landlock_rule();
    case DO_admit:
        return admit_files();
    case DO_spare:
        return spare_files();
    case DO_hide:
        return hide_files();
    case DO_write2:
        return two_path_call();
    case DO_mounts:
        return mount_call();
    default:
        return path_call();
    }
}
