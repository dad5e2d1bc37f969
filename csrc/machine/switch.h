/* Another stack for C code: the one thing that C cannot say.
 *
 *   stack_call(resumer, low, high, function, a, b, c, d)   call function(a, b, c, d) on the stack between `low` and `high`,
 *                                            and return what it returns; meanwhile *resumer is where the caller waits
 *   stack_switch(save, load, value)          wait at *save, and go on at `load` instead, where `value` is what the
 *                                            stack_switch returns that waits there, or the stack_call
 *
 *   stack_keep(high)                         after a switch away from the function: when it returns, *resumer is read
 *                                            again, and whoever waits there at last gets the result.  `resumer` must be
 *                                            the address of the second word above `high`
 *
 * Both are written for x86-64 and AArch64; elsewhere `ucontext` does it, at the price of two system calls a switch, and
 * where there is nothing of the kind HAVE_STACK_SWITCH is 0. */
#ifndef STACKFUL_MACHINE_SWITCH_H
#define STACKFUL_MACHINE_SWITCH_H

typedef void *(*StackFunction)(void *a, void *b, void *c, void *d);

#if defined(__x86_64__) && !defined(__ILP32__) && defined(__GNUC__) && !defined(_WIN32) && !defined(STACKFUL_UCONTEXT)
#define HAVE_STACK_SWITCH 1
#include "machine/x86_64.h"
#elif defined(__aarch64__) && defined(__ELF__) && !defined(STACKFUL_UCONTEXT)
#define HAVE_STACK_SWITCH 1
#include "machine/aarch64.h"
#elif defined(__unix__) || defined(__APPLE__)
#define HAVE_STACK_SWITCH 1
#include "machine/ucontext.h"
#else
#define HAVE_STACK_SWITCH 0
#define IN_FRAME_OF_ITS_OWN
#define RETURNS_BY_JUMP
#endif

#endif
