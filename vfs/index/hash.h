/* Hashing a path, eight bytes at a time: by the writer over a text of known length, by the lookup while it looks for the
 * end.  A path hashes alike whether it is one text, or a directory, a slash and a name.  Freestanding.
 */
#ifndef HEPWRAP_HASH_H
#define HEPWRAP_HASH_H
#include "layout.h"

#define PATH_LIMIT 4096
#define HASH_START 0UL
#define HASH_FACTOR 0x9e3779b97f4a7c15UL /* 2^64 by the golden ratio: odd, its bits evenly mixed */
#define EACH_BYTE 0x0101010101010101UL
#define SMALLEST_PAGE 4096UL

/* Eight bytes wherever they lie, whatever they are. */
typedef u64 loose_word __attribute__((aligned(1), may_alias));

/* The high bits of a product depend on all of the factor's, the low ones on little: they change places, for the next
 * step.  Measured on a million names that differ in some digits: as good as random (1.46 cells for a hit in a table half
 * full, no two equal hashes); a rotation by 5 before the multiplication needed 3.6, and had 16 pairs of equal hashes. */
static inline u64 hash_word(u64 hash, u64 word)
{
    u64 product = (hash ^ word) * HASH_FACTOR;
    return product << 29 | product >> 35;
}

/* The hash of `length` bytes: `hash` is of their whole words, `rest` the up to 7 bytes behind those. */
static inline u64 hash_end(u64 hash, u64 rest, u64 length)
{
    hash = hash_word(hash_word(hash, rest), length);
    return hash ^ hash >> 32; /* tables look at the lowest bits, tags are the highest */
}

static inline u64 hash_words(const char *text, u64 length)
{
    u64 hash = HASH_START;
    for (u64 i = 0; i + 8 <= length; i += 8)
        hash = hash_word(hash, *(const loose_word *)(text + i));
    return hash;
}

/* The bytes of a text behind its whole words. */
static inline u64 rest_of(const char *text, u64 length)
{
    u64 rest = 0;
    for (u64 i = length & ~7UL; i < length; i++)
        rest |= (u64)(u8)text[i] << 8 * (i & 7);
    return rest;
}

static inline u64 hash_text(const char *text, u64 length)
{
    return hash_end(hash_words(text, length), rest_of(text, length), length);
}

/* 0x80 in each byte that is zero. */
static inline u64 zero_bytes(u64 word)
{
    const u64 low = 0x7f * EACH_BYTE;
    return ~(((word & low) + low) | word | low);
}

/* Eight bytes of a text, those behind its end of no meaning.  Nothing is touched behind the page that the end lies in,
 * nor behind `most` bytes: there is a zero then. */
static inline __attribute__((no_sanitize_address)) u64 word_of(const char *text, u64 most)
{
    if (((u64)text & (SMALLEST_PAGE - 1)) <= SMALLEST_PAGE - 8 && most >= 8)
        return *(const volatile loose_word *)text;
    u64 word = 0;
    for (u64 i = 0; i < 8 && i < most; i++) {
        u64 byte = (u8)((const volatile char *)text)[i];
        word |= byte << 8 * i;
        if (!byte)
            break;
    }
    return word;
}

/* A path while it is read: a directory's path and a slash, or nothing, and `text`, hashed as one. */
struct reading {
    const char *text;
    u64 length;     /* of text, so far */
    u64 hash, rest; /* of the whole words so far, and the bytes that wait for the next, */
    u64 bits;       /* so many of it */
    u64 slash;      /* 1 + position of the last slash of text; 0: there is none */
    u64 above_hash, above_rest; /* hash and rest of what is before that slash */
};

static inline void add_byte(struct reading *r, u64 byte)
{
    r->rest |= byte << r->bits;
    r->bits += 8;
    if (r->bits == 64) {
        r->hash = hash_word(r->hash, r->rest);
        r->rest = r->bits = 0;
    }
}

/* `base_hash`: the whole words of `base`, hashed. */
static inline struct reading start_reading(const char *base, u64 base_length, u64 base_hash, const char *text)
{
    struct reading r = {text, 0, HASH_START, 0, 0, 0, 0, 0};
    if (!base)
        return r;
    r.hash = base_hash;
    r.rest = rest_of(base, base_length);
    r.bits = 8 * (base_length & 7);
    add_byte(&r, '/');
    return r;
}

/* Reads `text` to its end; 0: it is too long. */
static inline __attribute__((always_inline)) int read_to_end(struct reading *r)
{
    while (r->length < PATH_LIMIT) {
        u64 fresh = word_of(r->text + r->length, PATH_LIMIT - r->length);
        u64 word = r->rest | fresh << r->bits, used = r->bits;
        u64 ends = zero_bytes(fresh) << used, slashes = zero_bytes(fresh ^ '/' * EACH_BYTE) << used;
        u64 end = ends ? (u64)__builtin_ctzl(ends) - 7 : 64;
        if (ends) {
            word &= (1UL << end) - 1;
            slashes &= (1UL << end) - 1;
        }
        if (slashes) {
            u64 at = 56 - (u64)__builtin_clzl(slashes);
            r->above_hash = r->hash;
            r->above_rest = word & ((1UL << at) - 1);
            r->slash = r->length + (at - used) / 8 + 1;
        }
        r->length += (end - used) / 8;
        r->rest = word;
        if (ends)
            return r->length < PATH_LIMIT;
        r->hash = hash_word(r->hash, word);
        r->rest = r->bits = 0;
    }
    return 0;
}
#endif
