/* The in-process runtime: every caught system call comes here, from the tracer's redirect or from a patched site. */
#include "descriptor_call.h"
#include "executing.h"
#include "two_paths.h"

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
