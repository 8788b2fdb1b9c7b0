/* Limits of a task that are in the way of mapping the runtime (getrlimit(2)). */
#include <errno.h>
#include "inject.h"

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

void limits_restore(struct injection *in)
{
    if (in->descriptors_raised)
        prlimit(in->owner->id, RLIMIT_NOFILE, &in->descriptors, NULL);
}
