/* What a call site looks like, and what is written in its place.  Pure: bytes in, bytes out.
 *
 *   site:  syscall            becomes   jmp stub          (5 bytes: the call and at least 3 bytes behind it)
 *          displaced ...                (the rest of the displaced instructions stays, and is never executed)
 *   stub:  lea back(%rip),%rcx
 *          jmp *gate(%rip)              the runtime's door: it returns to rcx, or to rcx - 2 for calls that are not ours
 *          syscall
 *   back:  displaced ...
 *          jmp behind the displaced instructions
 */
#ifndef HEPWRAP_SITES_H
#define HEPWRAP_SITES_H
#include <stdbool.h>
#include <stdint.h>

#define SYSCALL_BYTES 2
#define JUMP_BYTES 5
#define NUMBER_BYTES 5  /* of mov $imm32,%eax before the call */
#define MOST_DISPLACED 8
#define STUB_BYTES 32
#define STUB_BACK 15    /* offset of `back` in the stub */
#define REACH 0x7fff0000L /* how far a jump leads, with room to spare */

struct stub_text {
    uint8_t bytes[STUB_BYTES];
};

/* Bytes of whole instructions, at least 3, that may be moved from behind a call; 0: unknown, the site stays as it is. */
unsigned displaced_length(const uint8_t *behind, unsigned available);

/* Does the site always make this call?  `before`: the NUMBER_BYTES bytes before it. */
bool makes_only(const uint8_t *before, uint64_t number);

struct stub_text stub_for(uint64_t stub, uint64_t gate, uint64_t site, const uint8_t *displaced, unsigned length);

/* JUMP_BYTES bytes at `from` that lead to `to`. */
void jump_text(uint8_t *text, uint64_t from, uint64_t to);

static inline bool in_reach(uint64_t a, uint64_t b)
{
    int64_t distance = (int64_t)(a - b);
    return distance > -REACH && distance < REACH;
}

#endif
