/* An exec that is on its way to its first instruction: what inject.c and gift.c share. */
#ifndef HEPWRAP_INJECT_H
#define HEPWRAP_INJECT_H
#include <sys/resource.h>
#include "core.h"

#define BORROWED 64 /* bytes of the program's text that are lent to us, whole words */

struct injection;
/* What to do when the routine has ended; false: the task cannot be served, and tracer->failure says why. */
typedef bool then_do(struct injection *in, const struct user_regs_struct *regs);

struct injection {
    struct tracer *tracer;
    struct task *owner;
    struct user_regs_struct saved;
    struct fame fame;           /* of the plan that has led here */
    uint64_t place;             /* where the routine lies */
    unsigned char kept[BORROWED]; /* what was there before */
    bool certain;               /* names lead it to us */
    struct prepared prepared;   /* what is known of the program */
    struct rlimit descriptors;  /* the limit before it was raised */
    bool descriptors_raised, space_raised;
    uint64_t window;            /* bytes of the index that are mapped */
    int64_t fd;                 /* of the image in the task, or why there is none */
    int32_t pair[2];            /* sockets of the task's */
    then_do *then;
};

/* inject.c: steps for gift.c */
bool inject_call(struct injection *in, then_do *then, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
int64_t inject_result(const struct user_regs_struct *regs); /* of that call */
bool inject_map(struct injection *in); /* the image, whose descriptor is in->fd */
/* false, and why stands in tracer->failure; true where the task has been killed. */
bool inject_refuse(struct injection *in, const char *what, int64_t code);

/* gift.c: a descriptor of the image through a pair of sockets. */
bool gift_begin(struct injection *in);

/* limits.c: true where the limit was raised just now, so that it is worth trying again. */
bool limits_raise_descriptors(struct injection *in);
bool limits_raise_space(struct injection *in, uint64_t bytes);
bool limits_narrow_window(struct injection *in);
void limits_restore(struct injection *in);

#endif
