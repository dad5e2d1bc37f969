/* From 3.14 on Python frames are counted, and C recursion is limited by the stack's address. */
#ifndef STACKFUL_CPYTHON_RECURSION_314_H
#define STACKFUL_CPYTHON_RECURSION_314_H

#include "cpython/recursion_python.h"
#include "internal/pycore_ceval.h"

static inline bool
recursion_has_room(PyThreadState *ts, Py_ssize_t frames)
{
    return ts->py_recursion_remaining > frames + 2;
}

/* The evaluator refuses to begin beyond a soft limit of the C stack (v3.14.0 Python/ceval.c,
 * _PyEval_EvalFrameDefault, _Py_EnterRecursiveCallTstate); it will look a little deeper than here,
 * hence a margin of 1. With a margin of 2 objects are put off instead of deallocated (v3.14.0
 * Objects/object.c, _Py_Dealloc): so a chain of fibers that die in each other's frames can run
 * their `finally` blocks. Where the limits stand in the thread state is not relied on. */
static inline bool
c_stack_has_room(PyThreadState *ts)
{
    return !_Py_ReachedRecursionLimitWithMargin(ts, 1);
}

#endif
