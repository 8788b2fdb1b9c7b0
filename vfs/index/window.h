/* How much of the index may be used: as much as every program has mapped.
 *
 * A program whose limits (ulimit -v) do not let it map all of it makes the window narrower, for everybody and for good:
 * then less is remembered and more is asked, but no offset ever leads out of anybody's mapping.  It is narrowed by the
 * tracer while the writer goes on, so each says first what it wants, and looks then what the other has said.
 */
#ifndef HEPWRAP_WINDOW_H
#define HEPWRAP_WINDOW_H
#include "layout.h"

/* The writer takes everything up to `end`: 1, or 0 where the window is no longer that large. */
static inline int window_take(struct header *header, u64 end)
{
    u64 before = header->used;
    __atomic_store_n(&header->used, end, __ATOMIC_SEQ_CST);
    if (end <= __atomic_load_n(&header->window, __ATOMIC_SEQ_CST))
        return 1;
    __atomic_store_n(&header->used, before, __ATOMIC_SEQ_CST);
    return 0;
}

/* No more than `bytes` will be used: 1, or 0 where more has been used already. */
static inline int window_narrow(struct header *header, u64 bytes)
{
    u64 before = __atomic_load_n(&header->window, __ATOMIC_SEQ_CST);
    if (before <= bytes)
        return 1;
    __atomic_store_n(&header->window, bytes, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&header->used, __ATOMIC_SEQ_CST) <= bytes)
        return 1;
    __atomic_store_n(&header->window, before, __ATOMIC_SEQ_CST);
    return 0;
}
#endif
