/* Recognising call sites: only instructions that mean the same elsewhere, and only those that compilers put there. */
#include <string.h>
#include "sites.h"

#define CACHE_LINE 64

/* One instruction that may stand behind a call: what its first bytes must be, under a mask, and how long it is;
 * length 0: it is not to be moved, whatever a later row says. */
struct form {
    uint8_t length, tested;
    uint8_t value[6], mask[6];
};

/* Not here: instructions of two bytes, as the next one would lie within the jump.  Nor what code jumps to from elsewhere,
 * which would be a stop each time: movslq %eax,... of an int that is handed on (musl, where compilers have merged the ways
 * to it); comparisons with other numbers (dietlibc's -132, which calls through the vdso come to as well). */
static const struct form forms[] = {
    {0, 3, {0x48, 0x89, 0xc4}, {0xff, 0xff, 0xff}}, /* mov %rax,%rsp: the stub's stack is the program's */
    {6, 6, {0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff}, {0xff, 0xff, 0xfe, 0xff, 0xff, 0xff}}, /* cmp $-4096 or -4095,%rax */
    {5, 5, {0x3d, 0x00, 0xf0, 0xff, 0xff}, {0xff, 0xfe, 0xff, 0xff, 0xff}},             /* cmp $-4096 or -4095,%eax */
    {4, 3, {0x48, 0x83, 0xf8}, {0xff, 0xff, 0xff}}, /* cmp $imm8,%rax */
    {3, 2, {0x83, 0xf8}, {0xff, 0xff}},             /* cmp $imm8,%eax */
    {3, 3, {0x48, 0x85, 0xc0}, {0xff, 0xff, 0xff}}, /* test %rax,%rax */
    {3, 3, {0x48, 0x89, 0xc0}, {0xff, 0xff, 0xf8}}, /* mov %rax,%rax..%rdi */
    {3, 3, {0x49, 0x89, 0xc0}, {0xff, 0xff, 0xf8}}, /* mov %rax,%r8..%r15 */
    {3, 3, {0x41, 0x89, 0xc0}, {0xff, 0xff, 0xf8}}, /* mov %eax,%r8d..%r15d */
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

static bool is_form(const struct form *form, const uint8_t *at, unsigned available)
{
    bool same = form->tested <= available && form->length <= available;
    for (unsigned byte = 0; same && byte < form->tested; byte++)
        same = (at[byte] & form->mask[byte]) == form->value[byte];
    return same;
}

bool shape_behind(struct shape *shape, const uint8_t *text, unsigned available)
{
    for (unsigned i = 0; i < FORM_COUNT; i++)
        if (is_form(&forms[i], text + SITE_BEHIND, available)) {
            *shape = (struct shape){.before = JUMP_BYTES, .behind = forms[i].length};
            return forms[i].length != 0;
        }
    return false;
}

/* Through these all calls go that pthread_cancel(3) may end: to the byte, as compilers made them of what glibc (since
 * 2.41) and musl write.  In the first, also where it is musl's, a thread that is cancelled looks whether the call itself
 * was interrupted, so the call has to stay where it is; the second is of static programs without threads.  in_front: where
 * they have instructions of JUMP_BYTES bytes. */
static const struct front {
    uint8_t length, in_front[3];
    uint8_t text[LOOK_BEFORE];
} fronts[] = {
    {33, {5, 10, 15}, {0x49, 0x89, 0xfb,             /* mov %rdi,%r11 */
             0x48, 0x89, 0xf0,             /* mov %rsi,%rax */
             0x48, 0x89, 0xd7,             /* mov %rdx,%rdi */
             0x48, 0x89, 0xce,             /* mov %rcx,%rsi */
             0x4c, 0x89, 0xc2,             /* mov %r8,%rdx */
             0x4d, 0x89, 0xca,             /* mov %r9,%r10 */
             0x4c, 0x8b, 0x44, 0x24, 0x08, /* mov 8(%rsp),%r8 */
             0x4c, 0x8b, 0x4c, 0x24, 0x10, /* mov 16(%rsp),%r9 */
             0x4c, 0x89, 0x5c, 0x24, 0x08 /* mov %r11,8(%rsp) */}},
    {23, {8}, {0x48, 0x89, 0xf8,             /* mov %rdi,%rax */
             0x4d, 0x89, 0xc2,             /* mov %r8,%r10 */
             0x48, 0x89, 0xf7,             /* mov %rsi,%rdi */
             0x4d, 0x89, 0xc8,             /* mov %r9,%r8 */
             0x48, 0x89, 0xd6,             /* mov %rdx,%rsi */
             0x4c, 0x8b, 0x4c, 0x24, 0x08, /* mov 8(%rsp),%r9 */
             0x48, 0x89, 0xca /* mov %rcx,%rdx */}},
};
#define FRONT_COUNT (sizeof fronts / sizeof fronts[0])

/* mov $number,%eax; behind a REX prefix with its last bit set it is mov $number,%r8d. */
static bool sets_number(const uint8_t *at, uint64_t number)
{
    uint32_t immediate;
    memcpy(&immediate, at + 1, sizeof immediate);
    return at[0] == 0xb8 && immediate == number && (at[-1] & 0xf1) != 0x41;
}

/* Bytes of an instruction as they stand between the number and the call, to set arguments: mov and movslq from register
 * to register, mov of a constant, xor of a register with itself.  0: it is none, or changes rax or rsp. */
static unsigned length_between(const uint8_t *at)
{
    enum { REX_W = 8, REX_R = 4, REX_X = 2, REX_B = 1, RSP = 4 };
    unsigned rex = (at[0] & 0xf0) == 0x40 ? at[0] : 0, first = rex != 0, code = at[first], mode = at[first + 1];
    unsigned reg = (mode >> 3 & 7) | (rex & REX_R) << 1, rm = (mode & 7) | (rex & REX_B) << 3, changed, length;
    if ((code & 0xf8) == 0xb8 && !(rex & REX_W)) {
        changed = (code & 7) | (rex & REX_B) << 3;
        length = 5;
    } else if (mode >> 6 == 3 && (code == 0x89 || (code == 0x31 && reg == rm) || (code == 0x63 && rex & REX_W))) {
        changed = code == 0x63 ? reg : rm;
        length = 2;
    } else {
        return 0;
    }
    return rex & REX_X || !changed || changed == RSP ? 0 : first + length;
}

static bool are_between(const uint8_t *at, unsigned bytes)
{
    while (bytes) {
        unsigned one = length_between(at);
        if (!one || one > bytes)
            return false;
        at += one;
        bytes -= one;
    }
    return true;
}

/* How far in front of the call the number is set, with nothing but such instructions between; 0: nowhere. */
static unsigned number_before(const uint8_t *call, uint64_t number)
{
    for (unsigned front = JUMP_BYTES; front <= MOST_KEPT; front++)
        if (sets_number(call - front, number) && are_between(call - front + JUMP_BYTES, front - JUMP_BYTES))
            return front;
    return 0;
}

/* mov offset(%rsp),%rax */
static bool loads_number(const uint8_t *at, uint64_t number, const uint64_t *stack)
{
    static const uint8_t load[] = {0x48, 0x8b, 0x44, 0x24};
    return !memcmp(at, load, sizeof load) && at[4] % 8 == 0 && at[4] / 8 < STACK_WORDS && stack[at[4] / 8] == number;
}

bool in_one_line(uint64_t jump)
{
    return jump / CACHE_LINE == (jump + JUMP_BYTES - 1) / CACHE_LINE;
}

/* In a body that is known as a whole. */
static bool shape_of_body(struct shape *shape, const uint8_t *text, uint64_t at)
{
    for (unsigned i = 0; i < FRONT_COUNT; i++) {
        const struct front *front = &fronts[i];
        if (memcmp(text + LOOK_BEFORE - front->length, front->text, front->length))
            continue;
        for (unsigned j = 0; j < sizeof front->in_front && front->in_front[j]; j++) {
            *shape = (struct shape){.front = front->in_front[j], .before = front->length};
            if (!at || in_one_line(at - shape->front))
                return true;
        }
    }
    return false;
}

bool shape_in_front(struct shape *shape, const uint8_t *text, uint64_t number, const uint64_t *stack, uint64_t at)
{
    const uint8_t *call = text + LOOK_BEFORE;
    unsigned front = loads_number(call - JUMP_BYTES, number, stack) ? JUMP_BYTES : number_before(call, number);
    *shape = (struct shape){.front = (uint8_t)front, .before = (uint8_t)(front + 1)}; /* with what may be a prefix */
    return front ? !at || in_one_line(at - front) : shape_of_body(shape, text, at);
}

bool same_site(struct shape shape, const uint8_t *text, const uint8_t *other)
{
    unsigned first = LOOK_BEFORE - (unsigned)shape.before;
    return !memcmp(text + first, other + first, shape.before + SYSCALL_BYTES + (unsigned)shape.behind);
}

static void put_distance(uint8_t *at, uint64_t from, uint64_t to)
{
    int32_t distance = (int32_t)(int64_t)(to - from);
    memcpy(at, &distance, sizeof distance);
}

void jump_text(uint8_t *text, uint64_t from, uint64_t to)
{
    text[0] = 0xe9;
    put_distance(text + 1, from + JUMP_BYTES, to);
}

bool stub_fits(struct shape shape, uint64_t site, uint64_t stub)
{
    uint8_t text[JUMP_BYTES];
    jump_text(text, site, stub);
    return shape.front || text[SYSCALL_BYTES] == BREAKPOINT;
}

static struct stub_text stub_in_front(uint64_t stub, uint64_t gate, uint64_t site, const uint8_t *moved, unsigned length)
{
    static const uint8_t tail[] = {0x48, 0x8d, 0x0d, 0, 0, 0, 0, 0xff, 0x25, 0, 0, 0, 0};
    struct stub_text text = {{0}};
    memcpy(text.bytes, moved, length);
    memcpy(text.bytes + length, tail, sizeof tail);
    put_distance(text.bytes + length + 3, stub + length + 7, site + SYSCALL_BYTES);
    put_distance(text.bytes + length + 9, stub + length + 13, gate);
    return text;
}

static struct stub_text stub_behind(uint64_t stub, uint64_t gate, uint64_t site, const uint8_t *moved, unsigned length)
{
    static const uint8_t head[STUB_BACK] = {0x48, 0x8d, 0x0d, 0x08, 0, 0, 0, 0xff, 0x25, 0, 0, 0, 0, 0x0f, 0x05};
    struct stub_text text = {{0}};
    memcpy(text.bytes, head, sizeof head);
    put_distance(text.bytes + 9, stub + 13, gate);
    memcpy(text.bytes + STUB_BACK, moved, length);
    uint64_t at = stub + STUB_BACK + length;
    jump_text(text.bytes + STUB_BACK + length, at, site + SYSCALL_BYTES + length);
    return text;
}

struct stub_text stub_for(struct shape shape, uint64_t stub, uint64_t gate, uint64_t site, const uint8_t *kept)
{
    return shape.front ? stub_in_front(stub, gate, site, kept, shape.front)
                       : stub_behind(stub, gate, site, kept + SYSCALL_BYTES, shape.behind);
}
