/* From 3.14 on Python frames are counted, and C recursion is limited by the stack's address. */
#ifndef STACKFUL_CPYTHON_RECURSION_314_H
#define STACKFUL_CPYTHON_RECURSION_314_H

#include "cpython/recursion_python.h"
#include "internal/pycore_ceval.h"
#include "internal/pycore_pythonrun.h"
#include "internal/pycore_tstate.h"

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
c_stack_has_room(PyThreadState *ts, char *Py_UNUSED(low))
{
    return !_Py_ReachedRecursionLimitWithMargin(ts, 1);
}

/* The limits are those of the stack in use. */
static inline bool
c_stack_suffices(size_t Py_UNUSED(size))
{
    return true;
}

/* What depends on which C stack is in use (v3.14.0 Python/ceval.c, tstate_set_stack). layout.c checks by behaviour that these
 * are the limits. */
typedef struct {
    uintptr_t top, soft, hard;
} CLimits;

static inline void
c_limits_save(PyThreadState *ts, CLimits *limits)
{
    _PyThreadStateImpl *thread = (_PyThreadStateImpl *)ts;
    limits->top = thread->c_stack_top;
    limits->soft = thread->c_stack_soft_limit;
    limits->hard = thread->c_stack_hard_limit;
}

static inline void
c_limits_put(PyThreadState *ts, const CLimits *limits)
{
    _PyThreadStateImpl *thread = (_PyThreadStateImpl *)ts;
    thread->c_stack_top = limits->top;
    thread->c_stack_soft_limit = limits->soft;
    thread->c_stack_hard_limit = limits->hard;
}

/* Those of an unused stack between these addresses. */
static inline void
c_limits_init(CLimits *limits, char *low, char *high)
{
    limits->top = (uintptr_t)high;
    limits->hard = (uintptr_t)low + _PyOS_STACK_MARGIN_BYTES;
    limits->soft = limits->hard + _PyOS_STACK_MARGIN_BYTES;
}

#endif
