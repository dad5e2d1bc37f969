/* The switch by POSIX's ucontext, for every other machine. What waits is a ucontext_t on its own stack. */
#ifndef STACKFUL_MACHINE_UCONTEXT_H
#define STACKFUL_MACHINE_UCONTEXT_H

#include <stdint.h>
#include <ucontext.h>

#define IN_FRAME_OF_ITS_OWN
#define RETURNS_BY_JUMP

/* Here every return looks up who waits. */
static inline void
stack_keep(char *Py_UNUSED(high))
{
}

typedef struct {
    StackFunction function;
    void *a, *b, *c, *d, **resumer;
} StackCall;

extern THREAD_LOCAL void *stack_passed; /* to whoever goes on, in whichever file */
#ifdef STACKFUL_SWITCH_IS_HERE
THREAD_LOCAL void *stack_passed;
#endif

/* makecontext passes integers: an address comes in two. */
static void
stack_enter(unsigned high, unsigned low)
{
    StackCall call = *(StackCall *)(((uintptr_t)high << 16 << 16) | (uintptr_t)low);
    stack_passed = call.function(call.a, call.b, call.c, call.d);
    (void)setcontext((ucontext_t *)*call.resumer);
}

static NOINLINE void *
stack_call(void **resumer, char *low, char *high, StackFunction function, void *a, void *b, void *c, void *d)
{
    ucontext_t here, there;
    StackCall call = {function, a, b, c, d, resumer};
    uintptr_t address = (uintptr_t)&call;
    (void)getcontext(&there);
    there.uc_stack.ss_sp = low;
    there.uc_stack.ss_size = (size_t)(high - low);
    there.uc_link = NULL;
    makecontext(&there, (void (*)(void))stack_enter, 2, (unsigned)(address >> 16 >> 16), (unsigned)address);
    *resumer = &here;
    (void)swapcontext(&here, &there);
    return stack_passed;
}

static NOINLINE void *
stack_switch(void **save, void *load, void *value)
{
    ucontext_t here;
    *save = &here;
    stack_passed = value;
    (void)swapcontext(&here, (ucontext_t *)load);
    return stack_passed;
}

#endif
