/* Until 3.13 CPython does not know how much C stack there is: it counts, and from 3.12 on apart from Python's recursion. */
#ifndef STACKFUL_CPYTHON_C_STACK_311_H
#define STACKFUL_CPYTHON_C_STACK_311_H

#if defined(__GLIBC__)
#include <pthread.h>
#endif

#define STACK_MARGIN (256 * 1024)

/* The stack of the thread, from `lowest` on: a margin of it is kept free. */
typedef struct {
    char *lowest;
    size_t size;
} ThreadsOwnStack;

static THREAD_LOCAL ThreadsOwnStack own_stack;

static NOINLINE void
find_own_stack(void)
{
#if defined(__GLIBC__)
    pthread_attr_t attributes;
    void *address = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstack(&attributes, &address, &size);
        (void)pthread_attr_destroy(&attributes);
        own_stack.lowest = (char *)address + (size > 4 * STACK_MARGIN ? STACK_MARGIN : size / 4);
        own_stack.size = size;
    }
#endif
}

static inline const ThreadsOwnStack *
c_stack_of_thread(void)
{
    if (UNLIKELY(own_stack.lowest == NULL)) {
        find_own_stack();
    }
    return &own_stack;
}

/* May code of this thread run on a stack of that size instead of its own? Not where that is larger: limits of recursion are
 * numbers, and say nothing about the size; who raises them gives the thread a large stack. */
static inline bool
c_stack_suffices(size_t size)
{
    /* 0, not known yet, is no size either */
    return LIKELY(own_stack.size - 1 < size) || c_stack_of_thread()->size <= size;
}

/* Each nested resume takes C stack, which recursion limits count only roughly. */
static inline bool
c_stack_has_room(PyThreadState *Py_UNUSED(ts), char *low)
{
    char *here = __builtin_frame_address(0);
    return here > (low != NULL ? low + STACK_MARGIN : c_stack_of_thread()->lowest);
}

/* What is counted for each C stack apart. From 3.12 on C recursion is; a stack of a fiber has as much room as a thread's. */
typedef struct {
#ifdef TRASH_NESTING
    int trash;
#endif
#ifdef C_RECURSION_OF_STACK
    int recursion;
#endif
} CLimits;

static inline void
c_limits_save(PyThreadState *ts, CLimits *limits)
{
#ifdef TRASH_NESTING
    limits->trash = ts->TRASH_NESTING;
#endif
#ifdef C_RECURSION_OF_STACK
    limits->recursion = ts->c_recursion_remaining;
#endif
}

static inline void
c_limits_put(PyThreadState *ts, const CLimits *limits)
{
#ifdef TRASH_NESTING
    ts->TRASH_NESTING = limits->trash;
#endif
#ifdef C_RECURSION_OF_STACK
    ts->c_recursion_remaining = limits->recursion;
#endif
}

static inline void
c_limits_init(CLimits *limits, char *Py_UNUSED(low), char *Py_UNUSED(high))
{
#ifdef TRASH_NESTING
    limits->trash = 0;
#endif
#ifdef C_RECURSION_OF_STACK
    limits->recursion = C_RECURSION_OF_STACK;
#endif
}

#endif
