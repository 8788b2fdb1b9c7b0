/* Asking the server: one upcall, then waiting as a kernel call waits (signals, stops and kills take effect at once). */
#ifndef HEPWRAP_ASK_H
#define HEPWRAP_ASK_H
#include "abi.h"

static inline const struct slot *slot_of(u64 ticket)
{
    const struct header *index = index_of();
    return (const struct slot *)((const char *)index + index->slots_at + (ticket & 0xffffffff) * SLOT_BYTES);
}

/* Asks and waits, once: what futex(2) says, and the ticket (negative: not asked, the result says why).  Where a filter of
 * the program's own keeps the question from us nothing can be known. */
static inline long upcall(u64 base, u64 second_base, u64 why, long *ticket)
{
    long result;
    u64 rdi = f->a[0], rsi = f->a[1], rdx = f->a[2];
    register u64 r10 __asm__("r10") = f->a[3];
    register u64 r8 __asm__("r8") = f->a[4];
    register u64 r9 __asm__("r9") = f->a[5];
    register u64 r12 __asm__("r12") = base;
    register u64 r13 __asm__("r13") = second_base;
    register u64 r14 __asm__("r14") = why;
    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r14)
                     : "0"((u64)UPCALL_NUMBER), "r"(r9), "b"(f->number), "r"(r12), "r"(r13)
                     : "rcx", "r11", "memory");
    *ticket = r14 == UPCALL_TAKEN ? (long)r8 : -1;
    return r14 == UPCALL_TAKEN ? result : -EIO;
}

/* The tracer learns what a program will be called that this call executes, and makes it. */
static inline long tell(u64 number, u64 execfn, u64 comm, u64 a, u64 b, u64 c, u64 d)
{
    long result;
    u64 rdi = a, rsi = b, rdx = c;
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = AT_EMPTY_PATH;
    register u64 r12 __asm__("r12") = execfn;
    register u64 r13 __asm__("r13") = comm;
    register u64 r14 __asm__("r14") = REASON_EXECUTE;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"((u64)UPCALL_NUMBER), "D"(rdi), "S"(rsi), "d"(rdx), "r"(r10), "r"(r8), "b"(number), "r"(r12), "r"(r13), "r"(r14)
                     : "rcx", "r11", "memory");
    return result;
}

/* The server's word on this call.  *ticket (may be 0) keeps the slot for answers that carry data. */
static __attribute__((noinline)) u64 ask(u64 base, u64 second_base, u64 why, u64 *ticket)
{
    for (;;) {
        long t, r = upcall(base, second_base, why, &t);
        if (t < 0) {
            if (r == -EAGAIN)
                continue;
            return TARGET(TARGET_ERRNO, (u64)-r);
        }
        const struct slot *slot = slot_of((u64)t);
        u32 word = (u32)((u64)t >> 32);
        while (LOAD(slot->word) == word) {
            if (r == -EINTR)
                return TARGET(TARGET_ERRNO, EINTR);
            r = raw4(NR_futex, &slot->word, FUTEX_WAIT, word, 0);
        }
        u64 target = slot->target;
        if (LOAD(slot->word) != word + 1)
            continue; /* so late that the slot has been given away: ask again */
        if (ticket)
            *ticket = (u64)t;
        return target;
    }
}

/* An inode that nobody will remember: it lies in the mailbox of the answer. */
static inline int is_in_mailbox(u64 target)
{
    return TARGET_VALUE(target) - index_of()->payloads_at < (u64)SLOT_COUNT * PAYLOAD_BYTES;
}

/* Data of an answer into the caller's buffer; 0 where the slot was given away meanwhile. */
static inline int slot_is_still(u64 ticket)
{
    return LOAD(slot_of(ticket)->word) == (u32)(ticket >> 32) + 1;
}
#endif
