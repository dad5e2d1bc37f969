/* The switch for x86-64, System V ABI.
 *
 * What waits is a record at its stack pointer, beyond the 128 bytes that were in use below it (the ABI's red zone):
 *
 *     0 where it goes on   8 rbp   16 mxcsr, x87 control word (0: see below)   24 r12   32 r13   40 r14   48 r15
 *
 * rbx is named as overwritten; with the others it makes all that a callee preserves.  A function that returns on the other
 * stack has preserved them, rbx too, so that nothing needs to be read again; its return address is the last word of that
 * stack.  When the stack has been kept meanwhile, somebody else is waiting: then that word leads to stack_end_kept, which
 * looks who (stack_keep).
 *
 * A switch ends by a jump, for processors predict where `ret` goes by the calls before it, which were made on another
 * stack.  Frames around these two are found by rbp (IN_FRAME_OF_ITS_OWN), which is preserved: so debuggers, and all else
 * that unwinds stacks, go on from one stack to the other.
 *
 * Control words of floating point are the callee's to preserve as well.  A stack_switch does; to read them at each
 * stack_call would cost as much as the call.  So C code that has changed them, and calls Python code that stops in there,
 * leaves them changed to the resumer the first time. */
#ifndef STACKFUL_MACHINE_X86_64_H
#define STACKFUL_MACHINE_X86_64_H

#if defined(__clang__)
#define IN_FRAME_OF_ITS_OWN
#else
#define IN_FRAME_OF_ITS_OWN __attribute__((optimize("no-omit-frame-pointer")))
#endif

/* For functions that end after a switch: they return by a jump, too.  What `ret` was predicted to go to is the call before
 * it, on the other stack; a jump goes where it went before.  (GCC's attribute is for other jumps instead of `ret`, and
 * excludes control-flow enforcement.) */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CET__)
#define RETURNS_BY_JUMP NOINLINE __attribute__((function_return("thunk-extern")))
#else
#define RETURNS_BY_JUMP
#endif

#define OVERWRITTEN                                                                                                      \
    "rbx", "r9", "r10", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",   \
        "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

#define SAVE_REGISTERS                                                                                                   \
    "leaq -184(%%rsp), %%rsp\n" /* before it is written: signal handlers take what is below */                          \
    "    movq %%rsp, %%rbx\n"                                                                                            \
    "    leaq 1f(%%rip), %%r9\n"                                                                                         \
    "    movq %%r9, (%%rbx)\n"                                                                                           \
    "    movq %%rbp, 8(%%rbx)\n"                                                                                         \
    "    movq %%r12, 24(%%rbx)\n"                                                                                        \
    "    movq %%r13, 32(%%rbx)\n"                                                                                        \
    "    movq %%r14, 40(%%rbx)\n"                                                                                        \
    "    movq %%r15, 48(%%rbx)\n"

/* rsp is the record when it is gone on here. */
#define RESTORE_REGISTERS                                                                                                \
    "1:  movq 8(%%rsp), %%rbp\n"                                                                                         \
    "    movq 24(%%rsp), %%r12\n"                                                                                        \
    "    movq 32(%%rsp), %%r13\n"                                                                                        \
    "    movq 40(%%rsp), %%r14\n"                                                                                        \
    "    movq 48(%%rsp), %%r15\n"                                                                                        \
    "    leaq 184(%%rsp), %%rsp\n"

static ALWAYS_INLINE void *
stack_call(void **Py_UNUSED(resumer), char *Py_UNUSED(low), char *high, StackFunction function, void *a, void *b, void *c, void *d)
{
    register char *top __asm__("r8") = high;
    void *result = (void *)function;
    __asm__ volatile(SAVE_REGISTERS
                     "    movl $0, 16(%%rbx)\n"
                     "    movq %%rbx, 8(%%r8)\n"
                     "    movq %%r8, %%rsp\n"
                     "    call *%%rax\n"
                     "    leaq 184(%%rbx), %%rsp\n"
                     "    jmp 2f\n"
                     RESTORE_REGISTERS
                     "2:\n"
                     : "+a"(result), "+D"(a), "+S"(b), "+d"(c), "+c"(d), "+r"(top)
                     :
                     : OVERWRITTEN);
    return result;
}

static ALWAYS_INLINE void *
stack_switch(void **save, void *load, void *value)
{
    __asm__ volatile(SAVE_REGISTERS
                     "    stmxcsr 16(%%rbx)\n"
                     "    fnstcw 20(%%rbx)\n"
                     "    movl 16(%%rbx), %%r10d\n"
                     "    movw 20(%%rbx), %%r11w\n"
                     "    movq %%rbx, (%%rdi)\n"
                     "    movq %%rsi, %%rsp\n"
                     "    movl 16(%%rsp), %%ecx\n"
                     "    cmpl $0, %%ecx\n"
                     "    je 3f\n"
                     "    cmpl %%ecx, %%r10d\n"
                     "    jne 2f\n"
                     "    cmpw 20(%%rsp), %%r11w\n"
                     "    je 3f\n"
                     "2:  ldmxcsr 16(%%rsp)\n" /* slow, and hardly ever other ones */
                     "    fldcw 20(%%rsp)\n"
                     "3:  jmp *(%%rsp)\n"
                     RESTORE_REGISTERS
                     : "+a"(value), "+D"(save), "+S"(load)
                     :
                     : "rcx", "rdx", "r8", OVERWRITTEN);
    return value;
}

void stack_end_kept(void) __attribute__((visibility("hidden")));

/* The stack is kept: who waits for the function's end is to be looked up, in the second word above `high`. */
static inline void
stack_keep(char *high)
{
    ((void **)high)[-1] = (void *)((char *)stack_end_kept + 1);
}

#ifdef STACKFUL_SWITCH_IS_HERE /* in one file only: cstack.c */
__asm__(".pushsection .text\n"
        ".balign 16\n"
        ".globl stack_end_kept\n"
        ".hidden stack_end_kept\n"
        ".type stack_end_kept, @function\n"
        "stack_end_kept:\n"
        "    .cfi_startproc\n"
        /* DW_CFA_def_cfa_expression, 6 bytes: DW_OP_breg7 (rsp) 8, DW_OP_deref, DW_OP_plus_uconst 184 */
        "    .cfi_escape 0x0f, 0x06, 0x77, 0x08, 0x06, 0x23, 0xb8, 0x01\n"
        "    .cfi_offset rip, -184\n"
        "    .cfi_offset rbp, -176\n"
        "    .cfi_offset r12, -160\n"
        "    .cfi_offset r13, -152\n"
        "    .cfi_offset r14, -144\n"
        "    .cfi_offset r15, -136\n"
        "    nop\n" /* a return address is looked up by the instruction before it */
        "    movq 8(%rsp), %rsp\n"
        "    jmp *(%rsp)\n"
        "    .cfi_endproc\n"
        ".size stack_end_kept, . - stack_end_kept\n"
        "\n"
        ".balign 16\n"
        ".globl __x86_return_thunk\n" /* the name that GCC gives it */
        ".hidden __x86_return_thunk\n"
        ".type __x86_return_thunk, @function\n"
        "__x86_return_thunk:\n"
        "    .cfi_startproc\n"
        "    popq %rcx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_register rip, rcx\n"
        "    jmp *%rcx\n"
        "    .cfi_endproc\n"
        ".size __x86_return_thunk, . - __x86_return_thunk\n"
        ".popsection\n");
#endif

#endif
