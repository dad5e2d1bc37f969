/* The switch for AArch64, AAPCS64: x19 to x29, the low halves of v8 to v15 and fpcr are the callee's to preserve.
 *
 * What waits looks like this, 176 bytes, and `*resumer`, `*save`, `load` are its lowest address:
 *
 *     0 x29  8 x30 (return address)  16 x19 ... 88 x28  96 d8 ... 152 d15  160 fpcr
 *
 * While `run` is running, x19 is `resumer`, and the caller's frame ends 176 bytes above where that points: that is the
 * unwind information. */
#ifndef STACKFUL_MACHINE_AARCH64_H
#define STACKFUL_MACHINE_AARCH64_H

#define IN_FRAME_OF_ITS_OWN
#define RETURNS_BY_JUMP

/* Here every return looks up who waits. */
static inline void
stack_keep(char *Py_UNUSED(high))
{
}

void *stack_call(void **resumer, char *low, char *high, StackFunction function, void *a, void *b, void *c, void *d)
    __attribute__((visibility("hidden")));
void *stack_switch(void **save, void *load, void *value) __attribute__((visibility("hidden")));

#ifdef STACKFUL_SWITCH_IS_HERE /* in one file only: cstack.c */
#define SAVE_REGISTERS                                                                                       \
    "    stp x29, x30, [sp, #-176]!\n    .cfi_adjust_cfa_offset 176\n"                                       \
    "    .cfi_rel_offset x29, 0\n    .cfi_rel_offset x30, 8\n"                                               \
    "    stp x19, x20, [sp, #16]\n    .cfi_rel_offset x19, 16\n    .cfi_rel_offset x20, 24\n"                \
    "    stp x21, x22, [sp, #32]\n    .cfi_rel_offset x21, 32\n    .cfi_rel_offset x22, 40\n"                \
    "    stp x23, x24, [sp, #48]\n    .cfi_rel_offset x23, 48\n    .cfi_rel_offset x24, 56\n"                \
    "    stp x25, x26, [sp, #64]\n    .cfi_rel_offset x25, 64\n    .cfi_rel_offset x26, 72\n"                \
    "    stp x27, x28, [sp, #80]\n    .cfi_rel_offset x27, 80\n    .cfi_rel_offset x28, 88\n"                \
    "    stp d8, d9, [sp, #96]\n"                                                                            \
    "    stp d10, d11, [sp, #112]\n"                                                                         \
    "    stp d12, d13, [sp, #128]\n"                                                                         \
    "    stp d14, d15, [sp, #144]\n"                                                                         \
    "    mrs x9, fpcr\n"                                                                                     \
    "    str x9, [sp, #160]\n"

#define RESTORE_REGISTERS                                                                                    \
    "    ldp x19, x20, [sp, #16]\n"                                                                          \
    "    ldp x21, x22, [sp, #32]\n"                                                                          \
    "    ldp x23, x24, [sp, #48]\n"                                                                          \
    "    ldp x25, x26, [sp, #64]\n"                                                                          \
    "    ldp x27, x28, [sp, #80]\n"                                                                          \
    "    ldp d8, d9, [sp, #96]\n"                                                                            \
    "    ldp d10, d11, [sp, #112]\n"                                                                         \
    "    ldp d12, d13, [sp, #128]\n"                                                                         \
    "    ldp d14, d15, [sp, #144]\n"                                                                         \
    "    ldp x29, x30, [sp], #176\n    .cfi_adjust_cfa_offset -176\n"

__asm__(
    ".pushsection .text\n"
    ".balign 16\n"
    ".globl stack_call\n"
    ".hidden stack_call\n"
    ".type stack_call, %function\n"
    "stack_call:\n"
    "    .cfi_startproc\n"
    SAVE_REGISTERS
    "    mov x9, sp\n"
    "    str x9, [x0]\n"
    "    mov x19, x0\n"
    "    mov sp, x2\n"
    "    mov x9, x3\n"
    /* DW_CFA_def_cfa_expression, 6 bytes: DW_OP_breg19 0, DW_OP_deref, DW_OP_plus_uconst 176 */
    "    .cfi_escape 0x0f, 0x06, 0x83, 0x00, 0x06, 0x23, 0xb0, 0x01\n"
    "    mov x0, x4\n"
    "    mov x1, x5\n"
    "    mov x2, x6\n"
    "    mov x3, x7\n"
    "    mov x29, xzr\n"
    "    blr x9\n"
    "    ldr x9, [x19]\n"
    "    mov sp, x9\n"
    "    .cfi_def_cfa sp, 176\n"
    RESTORE_REGISTERS
    "    ret\n"
    "    .cfi_endproc\n"
    ".size stack_call, . - stack_call\n"
    "\n"
    ".balign 16\n"
    ".globl stack_switch\n"
    ".hidden stack_switch\n"
    ".type stack_switch, %function\n"
    "stack_switch:\n"
    "    .cfi_startproc\n"
    SAVE_REGISTERS
    "    mov x9, sp\n"
    "    str x9, [x0]\n"
    "    mov sp, x1\n"
    "    ldr x9, [sp, #160]\n"
    "    msr fpcr, x9\n"
    "    mov x0, x2\n"
    RESTORE_REGISTERS
    "    ret\n"
    "    .cfi_endproc\n"
    ".size stack_switch, . - stack_switch\n"
    ".popsection\n");
#endif

#endif
