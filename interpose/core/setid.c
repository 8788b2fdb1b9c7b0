/* Programs that would have gained rights by their file's mode: they run without (no_new_privs), which is said once. */
#include <stdio.h>
#include <sys/statvfs.h>
#include "core.h"

/* Does the task's user namespace know that user or group (user_namespaces(7))?  What it does not know nobody becomes. */
static bool is_known(pid_t id, const char *map, unsigned long number)
{
    unsigned long inside, outside, count;
    bool found = false;
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/%s", id, map);
    FILE *file = fopen(name, "re");
    while (file && !found && fscanf(file, "%lu %lu %lu", &inside, &outside, &count) == 3)
        found = number >= outside && number - outside < count;
    if (file)
        fclose(file);
    return found;
}

bool gains_nothing(pid_t id, const struct stat *program)
{
    const mode_t group = S_ISGID | S_IXGRP; /* without the latter it is no such file (inode(7)) */
    char name[64];
    struct statvfs mount;
    if (!(program->st_mode & (S_ISUID | S_ISGID)))
        return false;
    snprintf(name, sizeof name, "/proc/%d/exe", id);
    if (statvfs(name, &mount) < 0 || mount.f_flag & ST_NOSUID || !is_known(id, "uid_map", program->st_uid) ||
        !is_known(id, "gid_map", program->st_gid))
        return false; /* nor would it natively */
    return (program->st_mode & S_ISUID && program->st_uid != number_in_status(id, "Uid", 10)) ||
           ((program->st_mode & group) == group && program->st_gid != number_in_status(id, "Gid", 10));
}
