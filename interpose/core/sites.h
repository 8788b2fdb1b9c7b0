/* What a call site looks like, and what is written in its place.  Pure: bytes in, bytes out.
 *
 * One instruction becomes one jump, so that nobody is ever inside of it.  In front of the call, where one of 5 bytes stands
 * there that is known, as its number does:
 *   site:  mov $number,%eax   becomes   jmp stub
 *          (instructions)               (instructions)
 *          syscall                      syscall           stays: who comes to it otherwise is caught as before
 *   stub:  mov $number,%eax
 *          (instructions)
 *          lea behind(%rip),%rcx                          where the call returns to, as the kernel says it
 *          jmp *gate(%rip)                                the runtime's door: it returns to rcx, or to rcx - 2, the call
 *                                                         itself, for calls that are not ours
 * Else in place of the call, together with the instruction behind it:
 *   site:  syscall            becomes   jmp stub          5 bytes: the call and 3 bytes of what is behind it
 *          displaced                    (the rest of it stays, and is never executed)
 *   stub:  lea back(%rip),%rcx
 *          jmp *gate(%rip)
 *          syscall
 *   back:  displaced
 *          jmp behind what is displaced
 * The third byte of this jump, where calls return to that are in the kernel now, and others may jump to, is int3: the
 * stub lies where that is so.  Whoever meets it goes on at `back`.
 */
#ifndef HEPWRAP_SITES_H
#define HEPWRAP_SITES_H
#include <stdbool.h>
#include <stdint.h>

#define SYSCALL_BYTES 2
#define JUMP_BYTES 5
#define LOOK_BEFORE 33    /* bytes in front of a call that are looked at */
#define LOOK_BEHIND 6     /* and behind it */
#define SITE_BEHIND (LOOK_BEFORE + SYSCALL_BYTES)
#define SITE_TEXT (SITE_BEHIND + LOOK_BEHIND) /* all that is looked at */
#define STUB_BYTES 32
#define STUB_BACK 15      /* offset of `back` in a stub of the second kind */
#define MOST_KEPT 19      /* in front of a call: with what leads from there to the runtime they fill a stub */
#define STACK_WORDS 16    /* above the stack pointer, where a number may have come from */
#define BREAKPOINT 0xcc   /* int3 */
#define REACH 0x7fff0000L /* how far a jump leads, with room to spare */

/* What is known of a site, in bytes. */
struct shape {
    uint8_t front;  /* from the jump to the call; 0: it takes the call's place */
    uint8_t before; /* in front of the call: what it is known again by */
    uint8_t behind; /* of the displaced instruction; 0: none is */
};

/* Bytes of the stub that stand for those of the site. */
static inline unsigned kept_bytes(struct shape shape)
{
    return shape.front ? shape.front : SYSCALL_BYTES + (unsigned)shape.behind;
}

struct stub_text {
    uint8_t bytes[STUB_BYTES];
};

/* Does the jump lie in one line of the cache? */
bool in_one_line(uint64_t jump);

/* text: SITE_TEXT bytes around a call.  Is there an instruction in front of it that can be replaced?  number: of the call
 * that was made; stack: STACK_WORDS words at rsp; at: its address, where the jump must lie in one line; else 0. */
bool shape_in_front(struct shape *shape, const uint8_t *text, uint64_t number, const uint64_t *stack, uint64_t at);

/* Can the call itself be, with the instruction behind it?  available: bytes of that which could be read. */
bool shape_behind(struct shape *shape, const uint8_t *text, unsigned available);

/* Are these two the same, as far as the shape goes? */
bool same_site(struct shape shape, const uint8_t *text, const uint8_t *other);

/* `site` is the address of the call, `kept` what stood at the jump. */
struct stub_text stub_for(struct shape shape, uint64_t stub, uint64_t gate, uint64_t site, const uint8_t *kept);

/* May the stub lie there?  For the jump from the call its breakpoint must come out. */
bool stub_fits(struct shape shape, uint64_t site, uint64_t stub);

/* JUMP_BYTES bytes at `from` that lead to `to`. */
void jump_text(uint8_t *text, uint64_t from, uint64_t to);

static inline bool in_reach(uint64_t a, uint64_t b)
{
    int64_t distance = (int64_t)(a - b);
    return distance > -REACH && distance < REACH;
}

#endif
