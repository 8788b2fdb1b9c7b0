/* A root that is ours, and what of the host is shown in it: the table of binds in the header of the index.
 *
 * What is shown where the host has it is left to the kernel; what is shown elsewhere the server names each time, and only
 * the kernel's own names for it are translated here.
 */
#ifndef HEPWRAP_BINDS_H
#define HEPWRAP_BINDS_H
#include "ask.h"

/* Is `/` ours? */
static inline int is_rooted(void)
{
    return !index_of()->prefix_length;
}

static inline const char *end_of(const char *text)
{
    while (*text)
        text++;
    return text;
}

/* Is `path` that directory, or in it? */
static inline int is_below(const char *path, const char *directory)
{
    while (*directory && *path == *directory)
        path++, directory++;
    return !*directory && (!*path || *path == '/');
}

static inline const char *host_of(const char *place)
{
    return end_of(place) + 1;
}

/* The place of the innermost bind whose place, or whose host, `path` is below; 0: of none. */
static __attribute__((noinline)) const char *innermost(const char *path, int by_host)
{
    const char *found = 0;
    long longest = -1;
    for (const char *place = at(index_of(), index_of()->binds_at); *place;) {
        const char *host = host_of(place), *key = by_host && *host ? host : place;
        long length = end_of(key) - key;
        if (length > longest && is_below(path, key)) {
            longest = length;
            found = place;
        }
        place = end_of(host) + 1;
    }
    return found;
}

/* What the kernel may do with a path that begins so: all, nothing, or all but make and remove the name itself, since the
 * directory that it is in is ours. */
enum kept { KEPT_NOT, KEPT_PLACE, KEPT_BELOW };

static __attribute__((noinline)) enum kept how_kept(const char *path)
{
    const char *place = innermost(path, 0);
    if (!place || *host_of(place))
        return KEPT_NOT;
    for (path += end_of(place) - place; *path == '/';)
        path++;
    return *path ? KEPT_BELOW : KEPT_PLACE;
}

/* The kernel has put the name of an object, which ends in NUL, at `to`, where there is room for `room` bytes: make it the
 * name by which that is shown.  The length of the name, or of what it should be, with the NUL; 0: it stays as it is. */
static __attribute__((noinline)) u64 show_moved(char *to, u64 room)
{
    const char *place = innermost(to, 1);
    if (!place || !*host_of(place))
        return 0;
    u64 new = (u64)(end_of(place) - place), old = (u64)(end_of(host_of(place)) - host_of(place));
    u64 rest = (u64)(end_of(to) - to) - old + 1;
    if (new + rest > room)
        return new + rest;
    volatile char *from = to + old, *there = to + new;
    if (new > old)
        for (u64 i = rest; i-- > 0;)
            there[i] = from[i];
    else
        for (u64 i = 0; i < rest; i++)
            there[i] = from[i];
    copy(to, place, new);
    return new + rest;
}
#endif
