/* Where C code and Python code of a thread have their stacks: what is exchanged when a fiber goes on on its own. */
#ifndef STACKFUL_CPYTHON_THREAD_STACK_H
#define STACKFUL_CPYTHON_THREAD_STACK_H

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

#endif
