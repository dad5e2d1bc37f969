/* Another stack for C code: the one thing that no C can say.
 *
 *   stack_call(low, high, run, argument, resumer)   call run(argument) on the stack between `low` and `high`, and return
 *                                                   what it returns; meanwhile *resumer is where the caller waits
 *   stack_switch(save, load, value)                 wait at *save, and go on at `load` instead, where `value` is what
 *                                                   the stack_switch returns that waits there, or the stack_call
 *
 * The registers that a callee must preserve (System V ABI for x86-64; AAPCS64), the floating point control words among
 * them, are kept on the stack that waits.  When `run` returns, *resumer is read again: whoever waits there at last
 * gets the result.  Addresses on a stack are read by debuggers through the unwind information that stands here.
 *
 * Elsewhere `ucontext` does it, at the price of two system calls a switch. */
#ifndef STACKFUL_MACHINE_SWITCH_H
#define STACKFUL_MACHINE_SWITCH_H

typedef void *(*StackEntry)(void *argument);

#if defined(__x86_64__) && defined(__ELF__) && !defined(STACKFUL_UCONTEXT)
#define HAVE_STACK_SWITCH 1
#define STACK_SWITCH_IS_OURS 1
#elif defined(__aarch64__) && defined(__ELF__) && !defined(STACKFUL_UCONTEXT)
#define HAVE_STACK_SWITCH 1
#define STACK_SWITCH_IS_OURS 1
#elif defined(__unix__) || defined(__APPLE__)
#define HAVE_STACK_SWITCH 1
#define STACK_SWITCH_IS_OURS 0
#else
#define HAVE_STACK_SWITCH 0
#define STACK_SWITCH_IS_OURS 0
#endif

#if !HAVE_STACK_SWITCH /* there are no other stacks */
#define stack_call(low, high, run, argument, resumer) run(argument)
#else
void *stack_call(char *low, char *high, StackEntry run, void *argument, void **resumer) __attribute__((visibility("hidden")));
void *stack_switch(void **save, void *load, void *value) __attribute__((visibility("hidden")));
#endif

#endif
