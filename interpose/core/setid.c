/* Programs that would have gained rights by their file's mode: they run without (no_new_privs), which is said once. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "core.h"

bool gains_nothing(pid_t id)
{
    const mode_t group = S_ISGID | S_IXGRP; /* without the latter it is no such file (inode(7)) */
    char name[64];
    struct stat file;
    struct statvfs mount;
    snprintf(name, sizeof name, "/proc/%d/exe", id);
    if (stat(name, &file) < 0 || !(file.st_mode & (S_ISUID | S_ISGID)))
        return false;
    if (statvfs(name, &mount) < 0 || mount.f_flag & ST_NOSUID)
        return false; /* nor would it natively */
    return (file.st_mode & S_ISUID && file.st_uid != number_in_status(id, "Uid", 10)) ||
           ((file.st_mode & group) == group && file.st_gid != number_in_status(id, "Gid", 10));
}
