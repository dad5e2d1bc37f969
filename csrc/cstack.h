/* Going from stack to stack, in the sight of those who watch a program's memory.
 *
 * The address sanitiser is told of every switch (sanitizer/common_interface_defs.h), valgrind of each stack (cstack.c).
 * In other builds nothing of that is there. */
#ifndef STACKFUL_CSTACK_H
#define STACKFUL_CSTACK_H

#include "types.h"

#if HAVE_STACK_SWITCH && defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>

static THREAD_LOCAL CStack *watched_stack __attribute__((unused)); /* whose function is about to be called */

/* On the stack: tell that it has come here; and where it goes, when the function has returned. */
__attribute__((no_sanitize("address"), unused)) static void *
call_watched(void *a, void *b, void *c, void *d)
{
    CStack *stack = watched_stack;
    __sanitizer_finish_switch_fiber(NULL, &stack->watched.resumer_low, &stack->watched.resumer_size);
    void *result = stack->watched.function(a, b, c, d);
    __sanitizer_start_switch_fiber(NULL, stack->watched.resumer_low, stack->watched.resumer_size);
    return result;
}

#define CSTACK_ENTER(stack, SWITCH)                                                                           \
    void *mine;                                                                                               \
    __sanitizer_start_switch_fiber(&mine, (stack)->low, (size_t)((stack)->high - (stack)->low));              \
    void *result = SWITCH;                                                                                    \
    __sanitizer_finish_switch_fiber(mine, NULL, NULL);                                                        \
    return result

static inline void *
cstack_call(CStack *stack, StackFunction function, void *a, void *b, void *c, void *d)
{
    stack->watched.function = function;
    watched_stack = stack;
    CSTACK_ENTER(stack, stack_call(&stack->resumer, stack->low, stack->high, call_watched, a, b, c, d));
}

static inline void *
cstack_enter(CStack *stack, void *value)
{
    CSTACK_ENTER(stack, stack_switch(&stack->resumer, stack->kept.waiter, value));
}

static inline void *
cstack_leave(CStack *stack, void *value)
{
    void *mine;
    stack_keep(stack->high);
    __sanitizer_start_switch_fiber(&mine, stack->watched.resumer_low, stack->watched.resumer_size);
    void *result = stack_switch(&stack->kept.waiter, stack->resumer, value);
    __sanitizer_finish_switch_fiber(mine, &stack->watched.resumer_low, &stack->watched.resumer_size);
    return result;
}
#elif HAVE_STACK_SWITCH
/* Call the function on the stack. */
static ALWAYS_INLINE void *
cstack_call(CStack *stack, StackFunction function, void *a, void *b, void *c, void *d)
{
    return stack_call(&stack->resumer, stack->low, stack->high, function, a, b, c, d);
}

/* Go on where it was left. */
static ALWAYS_INLINE void *
cstack_enter(CStack *stack, void *value)
{
    return stack_switch(&stack->resumer, stack->kept.waiter, value);
}

/* Leave it as it stands: the resumer goes on. */
static ALWAYS_INLINE void *
cstack_leave(CStack *stack, void *value)
{
    stack_keep(stack->high);
    return stack_switch(&stack->kept.waiter, stack->resumer, value);
}
#else /* no fiber has one */
static inline void *
cstack_call(CStack *Py_UNUSED(stack), StackFunction function, void *a, void *b, void *c, void *d)
{
    return function(a, b, c, d);
}

static inline void *
cstack_enter(CStack *Py_UNUSED(stack), void *value)
{
    return value;
}

static inline void *
cstack_leave(CStack *Py_UNUSED(stack), void *value)
{
    return value;
}
#endif

#endif
