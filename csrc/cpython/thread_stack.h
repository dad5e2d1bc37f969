/* Where C code and Python code of a thread have their stacks: what is exchanged when a fiber goes on on its own. */
#ifndef STACKFUL_CPYTHON_THREAD_STACK_H
#define STACKFUL_CPYTHON_THREAD_STACK_H

#include "internal/pycore_context.h"
#include "internal/pycore_interp.h"

typedef struct {
    StackChunk *chunk; /* of the data stack */
    PyObject **top, **limit;
    CLimits limits;
} ThreadStack;

static inline void
thread_stack_save(PyThreadState *ts, ThreadStack *stack)
{
    stack->chunk = ts->datastack_chunk;
    stack->top = ts->datastack_top;
    stack->limit = ts->datastack_limit;
    c_limits_save(ts, &stack->limits);
}

static inline void
thread_stack_put(PyThreadState *ts, const ThreadStack *stack)
{
    ts->datastack_chunk = stack->chunk;
    ts->datastack_top = stack->top;
    ts->datastack_limit = stack->limit;
    c_limits_put(ts, &stack->limits);
}

/* An unused stack: C code between `low` and `high`, and `size` bytes at `chunk` where the data stack begins. That chunk
 * is never freed by popping frames: the first place is left out (v3.12.5 Python/pystate.c, push_chunk). */
static inline void
thread_stack_init(ThreadStack *stack, char *low, char *high, StackChunk *chunk, size_t size)
{
    chunk->previous = NULL;
    chunk->size = size;
    chunk->top = 0;
    stack->chunk = chunk;
    stack->top = &chunk->data[1];
    stack->limit = (PyObject **)((char *)chunk + size);
    c_limits_init(&stack->limits, low, high);
}

/* What is under way in this thread that cannot be left and gone on with later, or NULL. */
static inline const char *
thread_must_stay(PyThreadState *ts)
{
    if (ts->interp->gc.collecting) {
        return "the garbage collector is at work";
    }
    if (ts->tracing > 0) {
        return "a trace function or a callback of sys.monitoring runs";
    }
    return ts->recursion_headroom > 0 ? "an exception is being made" : NULL;
}

/* The contexts that were entered since `base` was the current one (v3.13.0 Python/context.c, _PyContext_Enter): taken off
 * the thread, innermost first; NULL: none. A context that the thread was given meanwhile, because it had none, stays. */
static inline PyObject *
contexts_detach(PyThreadState *ts, PyObject *base)
{
    PyContext *inner = (PyContext *)ts->context, *outer = inner;
    if ((PyObject *)inner == base || inner == NULL || !inner->ctx_entered) {
        return NULL;
    }
    while ((PyObject *)outer->ctx_prev != base && outer->ctx_prev != NULL && outer->ctx_prev->ctx_entered) {
        outer = outer->ctx_prev;
    }
    ts->context = (PyObject *)outer->ctx_prev;
    ts->context_ver++;
    outer->ctx_prev = NULL;
    return (PyObject *)inner;
}

/* Another one (or NULL) becomes the current context of the thread: the old one. Both references change their owners. */
static inline PyObject *
context_exchange(PyThreadState *ts, PyObject *context)
{
    PyObject *old = ts->context;
    ts->context = context;
    ts->context_ver++;
    return old;
}

static inline void
contexts_attach(PyThreadState *ts, PyObject *inner)
{
    PyContext *outer = (PyContext *)inner;
    if (inner == NULL) {
        return;
    }
    while (outer->ctx_prev != NULL) {
        outer = outer->ctx_prev;
    }
    outer->ctx_prev = (PyContext *)ts->context;
    ts->context = inner;
    ts->context_ver++;
}

#endif
