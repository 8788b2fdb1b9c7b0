/* What runtime and tracer say to each other: one text for both sides. */
#ifndef HEPWRAP_PROTOCOL_H
#define HEPWRAP_PROTOCOL_H

/* A system call number that no kernel has.  The filter always sends it to the tracer, which skips it.
 *   rdi, rsi, rdx, r10, r8, r9: the arguments of the call that is asked about; rbx: its number;
 *   r12, r13: offset of the virtual directory that the first, second path is relative to, 0 for the host's.
 *             (getdents: r13 is the position in the directory r12)
 *   r14: why (enum reason) | follow the last symbolic link? << 8 | RESOLVE_... of openat2 << 16
 *        | the call's flags, wherever they stood, << 32.
 * The tracer turns it into futex(2), waiting while the slot's word is `word`: question and wait are one system call, so
 * that no signal falls between the two and is forgotten.
 *   rax: what futex says; r8: the ticket, word << 32 | slot, or negative where nothing was asked: then rax is why.
 *   r14: UPCALL_TAKEN; else the tracer has not seen it, as a filter of the program's own has answered instead.
 *   rdi, rsi, rdx and r10 are spent. */
#define UPCALL_NUMBER 0x68707770
#define UPCALL_TAKEN (~0UL)

#ifndef __ASSEMBLER__
enum reason {
    REASON_ASK = 0,    /* the index does not know */
    REASON_STALE = 1,  /* what the index knew was wrong, or the stand-in could not be opened through /proc */
    REASON_GIVE = 2,   /* open the stand-in of the inode in r12 (0: the directory of memory files) and send it through the
                           other end of the socket r13 */
    REASON_EXECUTE = 3, /* no question: the tracer makes the call of number rbx, with the arguments that stand in place, and
                           remembers what the program shall be called: r12, r13: offsets of AT_EXECFN and of the task's
                           name.  rbx = -1: it forgets them.  rax is the result of that call */
    REASON_SHOW = 4,   /* the descriptor in place of the flags is a table of /proc: send one to read in its place, as above */
    REASON_LISTED = 5, /* no question: the tracer notes that "/" is listed */
};
#endif

/* In place of whether a last link is followed: the call is about `base` itself, whatever its path says. */
#define THE_BASE_ITSELF 2

/* Bytes the runtime may use below the caller's stack pointer, the 128 of the red zone included. */
#define STACK_LIMIT 456

/* Every system call of a kernel has a number below this (asm/unistd_64.h). */
#define NUMBERS 512

/* The frame of a call, at r15 in compiled code: where its number stands (no longer needed at the end), where it returns
 * to, and how far above it the caller's stack pointer is. */
#define FRAME_NUMBER 80
#define FRAME_BACK 88
#define FRAME_BYTES 264

/* Bytes of an area of stubs (core/patch.c). */
#define AREA_BYTES 0x10000

/* Bits beside the length of the index that the bootstrap knows: there is an area of stubs to be mapped; nothing is left to be
 * done after it.  What it needs for that lies so many bytes below the stack pointer of the new program: the first
 * instruction, place and offset of the area, the names of the files of stubs and of the image. */
#define WANT_AREA 1
#define ALONE 2
#define BELOW_ENTRY 8
#define BELOW_OFFSET 16
#define BELOW_AREA 24
#define BELOW_STUBS 64
#define BELOW_IMAGE 96

/* Words at the head of the image, after the header's magic: offsets of what the tracer jumps to. */
#define IMAGE_MAGIC 0x31676d6970776568UL
#ifndef __ASSEMBLER__
struct image_head {
    unsigned long magic;
    unsigned int entry;     /* a caught system call: rax number, rcx return address */
    unsigned int fault;     /* r15 frame: returns -EFAULT */
    unsigned int mend;      /* r15 frame: sets a signal that the kernel has reset, and the mask; then -EFAULT */
    unsigned int begun;     /* from the entry to here nothing has changed but flags and r11, which a call does not keep */
    unsigned int others;    /* from here to mend: calls that are not ours, on their way back */
    unsigned int held;      /* here a task does nothing, for ever */
    unsigned int call;      /* one system call, in the name of a task that is stopped at both its ends */
    unsigned int bootstrap; /* maps the index after an exec, ends in the program or in UPCALL_NUMBER */
    unsigned int code;      /* from here on r15 is the frame, and a fault is a bad pointer; before, the stack's end */
    unsigned int size;      /* of the whole image */
};
#endif
#endif
