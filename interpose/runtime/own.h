/* What a process remembers of its own: one page in front of the index.  Nothing in it can make an answer wrong: hints
 * say only what is looked at first, and what the working directory is holds by the conditions of decision 24.
 *
 * The page is the image's, empty and read-only, until there is something to remember; a program that is executed has a
 * new one.  After a fork it is a copy; a vfork child writes into its parent's.
 */
#ifndef HEPWRAP_OWN_H
#define HEPWRAP_OWN_H
#include "abi.h"

#define OWN_BYTES 4096UL
#define HINTS 2048 /* a power of two; descriptors that share one disturb each other */
struct own {
    u32 there;        /* it can be written to */
    u32 begun, ended; /* changes of the working directory by whoever shares this memory, times two */
    u32 unused;
    u64 stamp;        /* when (begin_to_look) and for which process `place` was put down */
    u64 place;        /* what the working directory is (enum, or offset of an inode, below 4 GiB), sealed by that stamp */
    u8 starts[HINTS]; /* of a descriptor, or AT_FDCWD: was it one of ours when a path last started there? */
};
_Static_assert(sizeof(struct own) <= OWN_BYTES, "one page");
enum { PLACE_UNKNOWN = 0, PLACE_HOST = 1 };

static inline struct own *own_page(void)
{
    return (struct own *)(hepwrap_image + IMAGE_SPAN - OWN_BYTES);
}
#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELEASE)

/* Can something be written down?  Again and again is no harm: what is there stays. */
static __attribute__((noinline)) int has_own_page(void)
{
    struct own *own = own_page();
    if (LOAD(own->there))
        return 1;
    if (raw3(NR_mprotect, own, OWN_BYTES, PROT_READ | PROT_WRITE) < 0)
        return 0;
    STORE(own->there, 1);
    return 1;
}

static inline int was_ours(int start)
{
    return LOAD(own_page()->starts[(u32)start % HINTS]);
}

static inline void note_start(int start, int is_ours)
{
    u8 *hint = &own_page()->starts[(u32)start % HINTS];
    if (!is_ours && LOAD(*hint))
        STORE(*hint, 0);
    if (is_ours && !LOAD(*hint) && has_own_page())
        STORE(*hint, 1);
}

/* A place may be remembered while all who share a working directory share memory and process id.  The two words are not
 * written at once: a place belongs to that stamp only of which it has this seal. */
static inline u64 seal(u64 stamp)
{
    return (stamp ^ stamp >> 32) * 0x9e3779b97f4a7c15UL >> 32 << 32;
}

static inline u64 stamp_of(u32 since)
{
    return (u64)since << 32 | (u32)raw1(NR_getpid, 0);
}

static inline int is_shared_oddly(void)
{
    return (LOAD(index_of()->flags) & (HEADER_WANDERERS | HEADER_PARTED)) != 0;
}

/* What the working directory is, if that is known. */
static __attribute__((noinline)) u64 known_place(void)
{
    const struct own *own = own_page();
    u64 place = LOAD(own->place), stamp = LOAD(own->stamp);
    if (!(u32)place || (u32)(stamp >> 32) != (LOAD(own->begun) | 1) || (place ^ seal(stamp)) >> 32)
        return PLACE_UNKNOWN;
    return !is_shared_oddly() && stamp_of((u32)(stamp >> 32)) == stamp ? (u32)place : PLACE_UNKNOWN;
}

/* Which change was the last when somebody begins to look, 0: one is under way; then what he has seen. */
static inline u32 begin_to_look(void)
{
    u32 begun = LOAD(own_page()->begun);
    return LOAD(own_page()->ended) == begun ? begun | 1 : 0;
}

static inline void note_place(u32 since, u64 place)
{
    struct own *own = own_page();
    if (!since || place == PLACE_UNKNOWN || is_shared_oddly())
        return;
    if (place == PLACE_HOST ? !LOAD(own->there) : !has_own_page()) /* that of the host is not worth a page */
        return;
    u64 stamp = stamp_of(since);
    if ((i32)stamp < 0)
        return; /* a filter of the program's own keeps the number from us */
    STORE(own->stamp, stamp);
    STORE(own->place, seal(stamp) | place);
}

/* A change of the working directory is announced before it is made: 0 where there is no room to.  It is told
 * afterwards, if somebody has found room meanwhile. */
static inline int announce_change(void)
{
    if (!has_own_page())
        return 0;
    __atomic_add_fetch(&own_page()->begun, 2, __ATOMIC_SEQ_CST);
    return 1;
}

static inline void change_is_made(int announced)
{
    struct own *own = own_page();
    if (!announced && !LOAD(own->there))
        return;
    if (!announced)
        __atomic_add_fetch(&own->begun, 2, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&own->ended, 2, __ATOMIC_SEQ_CST);
}

/* The call itself, where that is a change. */
static inline long native_change(void)
{
    int announced = announce_change();
    long r = native();
    change_is_made(announced);
    return r;
}
#endif
