/* The door of the runtime.  The C code is compiled not to touch rbp and r15 at all.  rax = number, rdi rsi rdx r10 r8 r9 = arguments, rcx = return address; result in rax.
 * Everything else is kept.  No push above the red zone, no write to the program's stack but below it.
 */
#include "protocol.h"
    .section .head, "ax"
    .globl hepwrap_image
hepwrap_image:
    .quad IMAGE_MAGIC
    .long hepwrap_entry - hepwrap_image
    .long hepwrap_fault - hepwrap_image
    .long hepwrap_mend - hepwrap_image
    .long hepwrap_begun - hepwrap_image
    .long hepwrap_not_ours - hepwrap_image
    .long hepwrap_held - hepwrap_image
    .long hepwrap_call - hepwrap_image
    .long hepwrap_bootstrap - hepwrap_image
    .long hepwrap_code - hepwrap_image
    .long hepwrap_end - hepwrap_image

    .text
    .globl hepwrap_entry
hepwrap_entry:
    cmp $NUMBERS, %rax
    jae hepwrap_not_ours
    lea hepwrap_ours(%rip), %r11
    movzbl (%r11, %rax), %r11d
    test %r11d, %r11d
    jz hepwrap_not_ours
    testb $0, -STACK_LIMIT(%rsp) /* a stack that ends too early faults here, and nowhere behind */
hepwrap_begun:
    lea -128(%rsp), %rsp
    push %r15
    push %r14
    push %r13
    push %r12
    push %rbx
    push %rcx
    push %rax
    push %r9
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    lea -32(%rsp), %rsp
    mov %rsp, %r15
    mov %r11d, %edi
    call hepwrap_main
hepwrap_leave:
    lea 32(%r15), %rsp
    pop %rdi
    pop %rsi
    pop %rdx
    pop %r10
    pop %r8
    pop %r9
    lea 8(%rsp), %rsp
    pop %rcx
    pop %rbx
    pop %r12
    pop %r13
    pop %r14
    pop %r15
    lea 128(%rsp), %rsp
    jmp *%rcx

/* A patched site that makes all sorts of calls: back to the syscall instruction in its stub. */
hepwrap_not_ours:
    lea -2(%rcx), %rcx
    jmp *%rcx

/* After a fault whose signal may have been reset, all signals blocked: rdi = the signal, rbx = its handler before,
 * r12 = the mask to go on with, r13 = that mask if the signal has been reset.  Of the frame only the way back counts. */
hepwrap_mend:
    mov $13, %eax
    xor %esi, %esi
    mov %r15, %rdx
    mov $8, %r10d
    syscall
    test %rax, %rax
    jnz 1f
    cmp %rax, (%r15)
    jne 1f
    mov %r13, %r12
    mov %rbx, (%r15)
    mov $13, %eax
    mov %r15, %rsi
    xor %edx, %edx
    syscall
1:  mov %r12, FRAME_NUMBER(%r15)
    mov $14, %eax
    mov $2, %edi
    lea FRAME_NUMBER(%r15), %rsi
    xor %edx, %edx
    mov $8, %r10d
    syscall
hepwrap_fault:
    mov $-14, %rax
    jmp hepwrap_leave

/* Of a task between two tracers, and of one that has borrowed another (core/lending.c). */
hepwrap_held:
    pause
    jmp hepwrap_held
hepwrap_call:
    syscall
    int3

/* After an exec, in the steps of the routine that mapped the image (core/inject.c): rbx, rbp = its address and length,
 * r8 = the descriptor, r14 = bytes of the index, and perhaps WANT_AREA or ALONE, r15 = the new name
 * of the task, or 0, rcx = a place in the routine.
 * Ends in a stop with mmap's result in r12, and that for the area in r14; the descriptor is closed where the first went
 * well.  ALONE, it ends in the program, whose first instruction stands below the stack pointer: the page that the routine
 * was written to becomes what the file has, unless it can be written to. */
hepwrap_bootstrap:
    mov $9, %eax
    lea (%rbx, %rbp), %rdi
    mov %rcx, %rbx
    mov $0x100001, %r10d /* MAP_SHARED | MAP_FIXED_NOREPLACE */
    mov %r14, %r13
    mov %r14, %rsi
    and $-4096, %rsi
    mov $1, %edx
    mov %rbp, %r9
    syscall
    mov %rax, %r12
    cmp %rdi, %rax
    jne 1f
    mov $3, %eax
    mov %r8, %rdi
    syscall
    xor %r14d, %r14d
    test $WANT_AREA, %r13b
    jz 2f
    mov $2, %eax
    lea -BELOW_STUBS(%rsp), %rdi
    mov $0x80000, %esi
    syscall
    mov %rax, %r14
    test %rax, %rax
    js 1f
    mov %rax, %r8
    mov $9, %eax
    mov -BELOW_AREA(%rsp), %rdi
    mov $AREA_BYTES, %esi
    mov $5, %edx
    mov $0x100002, %r10d
    mov -BELOW_OFFSET(%rsp), %r9
    syscall
    mov %rax, %r14
    mov $3, %eax
    mov %r8, %rdi
    syscall
    cmp -BELOW_AREA(%rsp), %r14
    jne 1f
2:  test %r15, %r15
    jz 3f
    mov $157, %eax
    mov $15, %edi
    mov %r15, %rsi
    xor %edx, %edx
    xor %r10d, %r10d
    xor %r8d, %r8d
    syscall
3:  test $ALONE, %r13b
    jz 1f
    mov $158, %eax /* arch_prctl(ARCH_GET_FS): can its result be stored there? */
    mov $0x1003, %edi
    mov %rbx, %rsi
    syscall
    test %rax, %rax
    jz 1f
    mov $28, %eax /* madvise(MADV_DONTNEED) */
    mov -BELOW_ENTRY(%rsp), %rdi
    and $-4096, %rdi
    mov $4096, %esi
    mov $4, %edx
    syscall
    test %rax, %rax
    jnz 1f
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
    xor %ebp, %ebp
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
    lea -BELOW_ENTRY(%rsp), %rsp
    push $0
    popf
    ret
1:  mov $UPCALL_NUMBER, %eax
    syscall
    int3
hepwrap_code:
    .section .note.GNU-stack, "", @progbits
