/* Between the two files of lending: lending.c has the rules, handover.c carries them out. */
#ifndef HEPWRAP_LENDING_H
#define HEPWRAP_LENDING_H
#include "core.h"

/* A borrower, stopped at a system call of its own, which makes calls for us. */
struct proxy {
    struct tracer *tracer;
    pid_t id;
    struct user_regs_struct regs; /* of its own call, which is skipped */
    uint64_t mask, buffer;        /* its signal mask, and where `kept` is from */
    unsigned char kept[sizeof(struct user_regs_struct)];
    bool stop;                  /* it was told to stop meanwhile */
    bool over;                  /* it has ended */
    bool seen;                  /* and been waited for: */
    int status;
};

void proxy_begin(struct proxy *proxy, const struct user_regs_struct *at_call);
long proxy_ptrace(struct proxy *proxy, long request, pid_t task, uint64_t address, uint64_t data); /* result or -errno */
void proxy_end(struct proxy *proxy, long result); /* that of its own call, and it goes on */

/* Is it one of ours: has it the runtime?  Not so who has executed a program while we did not trace it. */
bool has_runtime(const struct tracer *tracer, pid_t id);

/* Of a task with a loan.  Held: it loops in the runtime, all signals blocked, and its state is in the loan. */
bool hold_and_detach(const struct tracer *tracer, struct task *task); /* it is stopped by us; false: it is gone */
void put_back(struct task *task); /* the same; what was not held stays as it is */
bool hold_by(struct proxy *proxy, struct task *task); /* stopped by the borrower */
void put_back_by(struct proxy *proxy, struct task *task);
/* Attached by the borrower a moment ago: put back, and stopped as ptrace(2) has it, or running. */
void hand_over(struct proxy *proxy, struct task *task);

/* Is it there, alive, and the one that was lent?  Another may have its number by now. */
bool is_itself(const struct task *task);
bool seize_again(struct tracer *tracer, const struct task *task); /* false: it cannot be had, or is about to end */
void adopt_descendants(struct tracer *tracer, pid_t id); /* threads and children that it has made while it was not ours */

#endif
