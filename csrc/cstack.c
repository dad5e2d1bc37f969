/* C stacks for fibers.
 *
 * A fiber runs on a stack of its own, so that it can stop where C code waits for its function: then the stack is kept
 * until it goes on (hard.c).  As a rule it stops elsewhere, and the stack goes back to a pool at once.
 *
 *     guard | C stack, growing downward ........ high | CStack, the data stack's first chunk |
 *
 * Address space is all that the unused part costs: pages that were never touched have no memory. */
#define STACKFUL_SWITCH_IS_HERE
#include "core.h"

#if HAVE_STACK_SWITCH
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_STACK
#define MAP_STACK 0
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

#define CHUNK_SIZE ((size_t)8 << 10)
#define MOST_POOLED 64

/* How many there may be. Linux counts mappings of memory, of which each takes two, and a process that has no more of them
 * gets no more memory. */
static Py_ssize_t
most_stacks(void)
{
    long mappings = 0;
#ifdef __linux__
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL) {
        if (fscanf(file, "%ld", &mappings) != 1) {
            mappings = 0;
        }
        (void)fclose(file);
    }
#endif
    return (Py_ssize_t)(mappings > 0 ? mappings : 65530) / 8 * 3;
}

static CStack *
cstack_new(CoreState *core)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (core->stacks_most == 0) {
        core->stacks_most = most_stacks();
    }
    if (core->stacks_made >= core->stacks_most) {
        return NULL;
    }
    char *low = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (low == MAP_FAILED) {
        return NULL;
    }
    if (mprotect(low, page, PROT_NONE) < 0) {
        (void)munmap(low, STACK_SIZE);
        return NULL;
    }
#ifdef MADV_NOHUGEPAGE
    (void)madvise(low, STACK_SIZE, MADV_NOHUGEPAGE); /* a stack takes a page or two, not two megabytes */
#endif
    char *end = low + STACK_SIZE, *chunk = end - CHUNK_SIZE;
    CStack *stack = (CStack *)(((uintptr_t)chunk - sizeof(CStack)) & ~(uintptr_t)63);
    stack->low = low;
    stack->high = (char *)stack;
    thread_stack_init(&stack->unused, low + page, stack->high, (StackChunk *)chunk, CHUNK_SIZE);
    stack->run.resumption.stack = stack;
#ifdef VALGRIND_STACK_REGISTER
    stack->valgrind_id = VALGRIND_STACK_REGISTER(low, stack->high);
#endif
    core->stacks_made++;
    return stack;
}

static void
cstack_free(CoreState *core, CStack *stack)
{
    core->stacks_made--;
#ifdef VALGRIND_STACK_REGISTER
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#endif
    (void)munmap(stack->low, STACK_SIZE);
}
#else
static CStack *
cstack_new(CoreState *Py_UNUSED(core))
{
    return NULL;
}

static void
cstack_free(CoreState *Py_UNUSED(core), CStack *Py_UNUSED(stack))
{
}
#endif

/* Is there C stack for another evaluation, and what it will call? On whichever stack this is. */
bool
cstack_has_room(PyThreadState *ts)
{
    Fiber *fiber = fiber_active_here;
    while (fiber != NULL && fiber->resumption->stack == NULL) {
        fiber = fiber->next_active;
    }
    return c_stack_has_room(ts, fiber == NULL ? NULL : fiber->resumption->stack->low);
}

/* Modules have come or gone: is greenlet one of them? Stacks that were in use by then stay as they are, for greenlets may
 * lie on them. */
NOINLINE bool
cstacks_look_again(CoreState *core)
{
    if (core->makes_no_stacks) {
        return false;
    }
    core->modules_seen = PyDict_GET_SIZE(core->modules);
    PyObject *greenlet = PyDict_GetItemString(core->modules, "greenlet._greenlet");
    if (greenlet != NULL && PyModule_Check(greenlet) && PyModule_GetDef(greenlet) != NULL) {
        core->makes_no_stacks = true;
        core->modules_seen = -1; /* looked again each time, which says no */
        core->stacks = NULL;
        core->stacks_pooled = 0;
    }
    return !core->makes_no_stacks;
}

/* A stack from the pool, or a new one; NULL, without an exception, where there is none. */
CStack *
cstack_take_slowly(CoreState *core)
{
    CStack *stack = core->stacks;
    if (!cstacks_are_safe(core) || !c_stack_suffices(STACK_SIZE)) {
        return NULL;
    }
    if (stack == NULL) {
        return cstack_new(core);
    }
    core->stacks = stack->next;
    core->stacks_pooled--;
    return stack;
}

void
cstack_give(CoreState *core, CStack *stack)
{
    if (!cstacks_are_safe(core)) {
        return;
    }
    if (core->stacks_pooled == MOST_POOLED) {
        cstack_free(core, stack);
        return;
    }
    stack->kept = (Kept){0};
    stack->next = core->stacks;
    core->stacks = stack;
    core->stacks_pooled++;
}

void
cstacks_free(CoreState *core)
{
    Py_CLEAR(core->modules);
    while (core->stacks != NULL) {
        CStack *stack = core->stacks;
        core->stacks = stack->next;
        cstack_free(core, stack);
    }
}
