/* Recognising call sites: only instructions that mean the same elsewhere, and only those that compilers put there. */
#include <string.h>
#include "sites.h"

/* One instruction that may stand behind a call: what its first bytes must be, under a mask, and how long it is;
 * length 0: it is not to be moved, whatever a later row says. */
struct form {
    uint8_t length, tested;
    uint8_t value[6], mask[6];
};

/* Not here, as code jumps to it from elsewhere: movslq %eax,... of an int that is handed on (musl, where compilers have
 * merged the ways to it); comparisons with other numbers (dietlibc's -132, which calls through the vdso come to as well). */
static const struct form forms[] = {
    {0, 3, {0x48, 0x89, 0xc4}, {0xff, 0xff, 0xff}}, /* mov %rax,%rsp: the stub's stack is the program's */
    {0, 2, {0x89, 0xc4}, {0xff, 0xff}},             /* mov %eax,%esp */
    {6, 6, {0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff}, {0xff, 0xff, 0xfe, 0xff, 0xff, 0xff}}, /* cmp $-4096 or -4095,%rax */
    {5, 5, {0x3d, 0x00, 0xf0, 0xff, 0xff}, {0xff, 0xfe, 0xff, 0xff, 0xff}},             /* cmp $-4096 or -4095,%eax */
    {4, 3, {0x48, 0x83, 0xf8}, {0xff, 0xff, 0xff}}, /* cmp $imm8,%rax */
    {3, 2, {0x83, 0xf8}, {0xff, 0xff}},             /* cmp $imm8,%eax */
    {3, 3, {0x48, 0x85, 0xc0}, {0xff, 0xff, 0xff}}, /* test %rax,%rax */
    {3, 3, {0x48, 0x89, 0xc0}, {0xff, 0xff, 0xf8}}, /* mov %rax,%rax..%rdi */
    {3, 3, {0x49, 0x89, 0xc0}, {0xff, 0xff, 0xf8}}, /* mov %rax,%r8..%r15 */
    {3, 3, {0x41, 0x89, 0xc0}, {0xff, 0xff, 0xf8}}, /* mov %eax,%r8d..%r15d */
    {2, 2, {0x89, 0xc0}, {0xff, 0xf8}},             /* mov %eax,%eax..%edi */
    {2, 2, {0x48, 0x98}, {0xff, 0xff}},             /* cltq */
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

static unsigned length_of_one(const uint8_t *at, unsigned available)
{
    for (unsigned i = 0; i < FORM_COUNT; i++) {
        const struct form *form = &forms[i];
        bool same = form->tested <= available && form->length <= available;
        for (unsigned byte = 0; same && byte < form->tested; byte++)
            same = (at[byte] & form->mask[byte]) == form->value[byte];
        if (same)
            return form->length;
    }
    return 0;
}

unsigned displaced_length(const uint8_t *behind, unsigned available)
{
    unsigned length = 0;
    while (length < JUMP_BYTES - SYSCALL_BYTES) {
        unsigned one = length_of_one(behind + length, available - length);
        if (!one)
            return 0;
        length += one;
    }
    return length;
}

bool makes_only(const uint8_t *before, uint64_t number)
{
    uint32_t immediate;
    memcpy(&immediate, before + 1, sizeof immediate);
    return before[0] == 0xb8 && immediate == number;
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

struct stub_text stub_for(uint64_t stub, uint64_t gate, uint64_t site, const uint8_t *displaced, unsigned length)
{
    static const uint8_t head[STUB_BACK] = {0x48, 0x8d, 0x0d, 0x08, 0, 0, 0, 0xff, 0x25, 0, 0, 0, 0, 0x0f, 0x05};
    struct stub_text text = {{0}};
    memcpy(text.bytes, head, sizeof head);
    put_distance(text.bytes + 9, stub + 13, gate);
    memcpy(text.bytes + STUB_BACK, displaced, length);
    uint64_t at = stub + STUB_BACK + length;
    jump_text(text.bytes + STUB_BACK + length, at, site + SYSCALL_BYTES + length);
    return text;
}
