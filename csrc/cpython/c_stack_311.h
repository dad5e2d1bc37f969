/* Until 3.13 CPython does not know how much C stack there is. */
#ifndef STACKFUL_CPYTHON_C_STACK_311_H
#define STACKFUL_CPYTHON_C_STACK_311_H

#if defined(__GLIBC__)
#include <pthread.h>
#endif

#define STACK_MARGIN (256 * 1024)
#define UNKNOWN ((char *)UINTPTR_MAX)

/* Each nested resume takes C stack, which recursion limits count only roughly. Where the thread's
 * stack can be found, a margin of it is kept free. */
#if defined(__GLIBC__)
static __thread char *c_stack_lowest __attribute__((tls_model("initial-exec"))) = UNKNOWN;

static NOINLINE bool
c_stack_reaches(char *here)
{
    if (c_stack_lowest == UNKNOWN) {
        pthread_attr_t attributes;
        void *address = NULL;
        size_t size = 0;
        if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
            return true;
        }
        (void)pthread_attr_getstack(&attributes, &address, &size);
        (void)pthread_attr_destroy(&attributes);
        c_stack_lowest = (char *)address + (size > 4 * STACK_MARGIN ? STACK_MARGIN : size / 4);
    }
    return here > c_stack_lowest;
}

static inline bool
c_stack_has_room(PyThreadState *Py_UNUSED(ts))
{
    char *here = __builtin_frame_address(0);
    return LIKELY(here > c_stack_lowest) || c_stack_reaches(here);
}
#else
static inline bool
c_stack_has_room(PyThreadState *Py_UNUSED(ts))
{
    return true;
}
#endif

#endif
