/* bind and connect: of AF_UNIX the address is a path (unix(7)). */
#ifndef HEPWRAP_ADDRESS_CALL_H
#define HEPWRAP_ADDRESS_CALL_H
#include "path_call.h"

enum { UNIX_PATH = 108, SMALLEST_UNIX = 3 };
struct unix_address {
    unsigned short family;
    char path[UNIX_PATH];
};

/* What an address says: no path, one with an end, or one that only the length of the structure ends. */
enum address_path { NO_PATH, ENDED_PATH, CUT_PATH };

/* Behind the structure there is most often a zero byte too, since the program has cleared more than it says.  Whether the
 * whole of it can be read the kernel sees, or the server. */
static inline enum address_path path_in(const volatile struct unix_address *address, u32 length)
{
    if (length < SMALLEST_UNIX || length > sizeof *address)
        return NO_PATH;
    if (address->family != AF_UNIX || !address->path[0])
        return NO_PATH;
    u32 last = length - sizeof address->family, i = 0;
    while (i < last && address->path[i])
        i++;
    if (i < last)
        return ENDED_PATH;
    int may_look = last < UNIX_PATH && ((u64)&address->path[last] & (SMALLEST_PAGE - 1));
    return may_look && !address->path[last] ? ENDED_PATH : CUT_PATH;
}

/* The path of the host that a virtual one leads to, in an address of its own. */
static __attribute__((noinline)) long on_host_address(const char *path)
{
    struct unix_address there;
    u32 length = length_of(path) + 1;
    if (length > UNIX_PATH)
        return -ENAMETOOLONG;
    there.family = AF_UNIX;
    copy(there.path, path, length);
    return raw3(f->number, f->a[0], &there, sizeof there.family + length);
}

/* The first look, or the second, at the path in the address. */
static inline u64 look(u64 (*how)(int))
{
    f->a[1] += __builtin_offsetof(struct unix_address, path);
    u64 target = how(0);
    f->a[1] = f->noted; /* the caller's registers are restored from here */
    return target;
}

/* A path that does not end is the server's to judge, which knows how long it is.  What it starts from is put down. */
static __attribute__((noinline)) void start_cut_path(void)
{
    u64 place = ((const struct unix_address *)f->a[1])->path[0] == '/' ? PLACE_HOST : starting_place(AT_FDCWD);
    f->base = place > PLACE_HOST ? place : 0;
}

/* What is ours is tried with the address of nobody first, since the kernel judges the socket before the path.  Nothing is
 * kept on the stack: f->noted is the address, f->flags what the kernel said. */
static __attribute__((noinline)) long address_call(void)
{
    static const struct unix_address no_address = {AF_UNIX, "/proc/0/-"};
    enum address_path kind = path_in((const struct unix_address *)f->a[1], (u32)f->a[2]);
    if (kind == NO_PATH)
        return native();
    f->noted = f->a[1];
    if (kind == CUT_PATH)
        start_cut_path();
    f->asked = kind == CUT_PATH || look(first_look) != LET_KERNEL || look(look_before_making) != LET_KERNEL;
    f->flags = (i32)(f->asked ? raw3(f->number, f->a[0], &no_address, sizeof no_address) : native());
    if (!doubtful(f->flags) || (!f->asked && look(second_look) == LET_KERNEL))
        return f->flags;
    f->a[1] += __builtin_offsetof(struct unix_address, path);
    u64 target = ask(f->base, 0, REASON_ASK | 1 << 8, 0);
    f->a[1] = f->noted;
    if (TARGET_KIND(target) == TARGET_ERRNO)
        return -(long)TARGET_VALUE(target);
    if (TARGET_KIND(target) == TARGET_HOST)
        return on_host_address(at(index_of(), TARGET_VALUE(target)));
    return f->asked ? native() : f->flags;
}
#endif
