/* Limits of a task that are in the way of mapping the runtime (getrlimit(2)). */
#include <errno.h>
#include "../../vfs/index/window.h"
#include "inject.h"

#define LEAST_ROOM (2UL << 20) /* bytes that are left in the index for what will be opened */
#define MANY 1048576 /* fs.nr_open, unless somebody changed it: more is refused */

/* All that the hard limit allows; where that is in the way too, only a privileged tracer can do more. */
bool limits_raise_descriptors(struct injection *in)
{
    struct rlimit all;
    if (in->descriptors_raised || prlimit(in->owner->id, RLIMIT_NOFILE, NULL, &in->descriptors) < 0)
        return false;
    all.rlim_cur = all.rlim_max = in->descriptors.rlim_cur < in->descriptors.rlim_max ? in->descriptors.rlim_max : MANY;
    in->descriptors_raised = prlimit(in->owner->id, RLIMIT_NOFILE, &all, NULL) == 0;
    return in->descriptors_raised;
}

/* By what we take, and for good: what is left to the program is what it would have without us. */
bool limits_raise_space(struct injection *in, uint64_t bytes)
{
    struct rlimit limit;
    if (in->space_raised || prlimit(in->owner->id, RLIMIT_AS, NULL, &limit) < 0 || limit.rlim_cur > RLIM_INFINITY - bytes)
        return false;
    limit.rlim_cur += bytes;
    if (limit.rlim_max < limit.rlim_cur)
        limit.rlim_max = limit.rlim_cur;
    in->space_raised = prlimit(in->owner->id, RLIMIT_AS, &limit, NULL) == 0;
    return in->space_raised;
}

/* The index becomes smaller, for everybody: an eighth of what this program may have, or what is in use and a little. */
bool limits_narrow_window(struct injection *in)
{
    struct header *index = in->tracer->index;
    struct rlimit limit;
    uint64_t least = __atomic_load_n(&index->used, __ATOMIC_ACQUIRE) + LEAST_ROOM, bytes;
    if (prlimit(in->owner->id, RLIMIT_AS, NULL, &limit) < 0)
        return false;
    bytes = limit.rlim_cur / 8 > least ? limit.rlim_cur / 8 : least;
    bytes = (bytes + 4095) & ~4095UL;
    if (bytes >= in->window || !window_narrow(index, bytes))
        return false;
    in->window = bytes;
    return true;
}

void limits_restore(struct injection *in)
{
    if (in->descriptors_raised)
        prlimit(in->owner->id, RLIMIT_NOFILE, &in->descriptors, NULL);
}
