/* The switch by POSIX's ucontext, for every other machine. What waits is a ucontext_t on its own stack. */
#include <stdint.h>
#include <ucontext.h>

static THREAD_LOCAL void *passed; /* to whoever goes on */

static void
enter_stack(unsigned high, unsigned low)
{
    /* makecontext passes integers: the address of what stack_call was called with comes in two. */
    void **call = (void **)(((uintptr_t)high << 16 << 16) | (uintptr_t)low);
    StackEntry run = (StackEntry)(uintptr_t)call[0];
    void **resumer = call[2];
    passed = run(call[1]);
    (void)setcontext((ucontext_t *)*resumer);
}

void *
stack_call(char *low, char *high, StackEntry run, void *argument, void **resumer)
{
    ucontext_t here, there;
    void *call[3] = {(void *)(uintptr_t)run, argument, resumer};
    uintptr_t address = (uintptr_t)call;
    (void)getcontext(&there);
    there.uc_stack.ss_sp = low;
    there.uc_stack.ss_size = (size_t)(high - low);
    there.uc_link = NULL;
    makecontext(&there, (void (*)(void))enter_stack, 2, (unsigned)(address >> 16 >> 16), (unsigned)address);
    *resumer = &here;
    (void)swapcontext(&here, &there);
    return passed;
}

void *
stack_switch(void **save, void *load, void *value)
{
    ucontext_t here;
    *save = &here;
    passed = value;
    (void)swapcontext(&here, (ucontext_t *)load);
    return passed;
}
