/* What all versions have in common: the chain of frames, chunks of the data stack that come from the
 * arena allocator, the states of generators. */
#ifndef STACKFUL_CPYTHON_FRAME_COMMON_H
#define STACKFUL_CPYTHON_FRAME_COMMON_H

#include "internal/pycore_interp.h"

#ifndef GIL_HOLDER
#define GIL_HOLDER(gil) ((gil)->last_holder)
#endif

#ifndef THREAD_CURRENT_IS_INLINE
static inline PyThreadState *
thread_current(void)
{
    return PyThreadState_Get();
}

/* For code that runs in one interpreter: whoever took its GIL last has it (v3.12.5 and v3.13.0 Python/ceval_gil.c,
 * take_gil). The thread state that was found last is only compared with that one: so nothing waits for these loads, nor for a
 * call, and what that calls to find a variable of the thread. */
typedef struct {
    struct _gil_runtime_state *gil;
    PyThreadState *last;
} ThreadFinder;

static NOINLINE PyThreadState *
thread_find(ThreadFinder *finder)
{
    PyThreadState *ts = PyThreadState_Get();
    finder->gil = ts->interp->ceval.gil;
    finder->last = GIL_HOLDER(finder->gil) == ts ? ts : NULL;
    return ts;
}

static inline void
thread_finder_init(ThreadFinder *finder)
{
    (void)thread_find(finder);
}

static inline PyThreadState *
thread_running(ThreadFinder *finder)
{
    PyThreadState *ts = finder->last;
    if (UNLIKELY(ts != GIL_HOLDER(finder->gil))) {
        return thread_find(finder);
    }
    assert(ts == PyThreadState_Get());
    return ts;
}
#endif

static inline Frame *
frame_previous(Frame *f)
{
    return f->previous;
}

static inline void
frame_set_previous(Frame *f, Frame *previous)
{
    f->previous = previous;
}

static inline bool
frame_is_generator(Frame *f)
{
    return f->owner == FRAME_OWNED_BY_GENERATOR;
}

static inline PyFrameObject *
frame_object(Frame *f)
{
    return f->frame_obj;
}

static inline Frame *
frame_of_object(PyFrameObject *object)
{
    return object->f_frame;
}

static inline PyObject *
frame_locals_mapping(Frame *f)
{
    return f->f_locals;
}

static inline size_t
frame_size(PyCodeObject *code)
{
    return ((size_t)FRAME_SPECIALS_SIZE + code->co_nlocalsplus + code->co_stacksize) * sizeof(PyObject *);
}

/* Chunks above the remembered one go back to the arena allocator that they came from
 * (v3.12.5 Python/pystate.c, push_chunk and _PyThreadState_PopFrame; v3.11.2 the same). */
static inline void
thread_trim(PyThreadState *ts, StackChunk *chunk, PyObject **top)
{
    while (ts->datastack_chunk != chunk && ts->datastack_chunk->previous != NULL) {
        PyObjectArenaAllocator arena;
        StackChunk *dead = ts->datastack_chunk;
        ts->datastack_chunk = dead->previous;
        PyObject_GetArenaAllocator(&arena);
        arena.free(arena.ctx, dead, dead->size);
    }
    if (chunk != NULL) {
        ts->datastack_top = top;
        ts->datastack_limit = (PyObject **)((char *)chunk + chunk->size);
    }
    else if (ts->datastack_chunk != NULL) {
        /* The thread had no data stack before: keep the root chunk, empty. */
        StackChunk *root = ts->datastack_chunk;
        ts->datastack_top = &root->data[1];
        ts->datastack_limit = (PyObject **)((char *)root + root->size);
    }
}

/* Will the next frame of `bytes` be pushed at the data stack's top, not into a new chunk?
 * (v3.12.5 Include/internal/pycore_frame.h, _PyThreadState_HasStackSpace.) */
static inline bool
thread_has_room(PyThreadState *ts, size_t bytes)
{
    return ts->datastack_top != NULL &&
           (Py_ssize_t)(bytes / sizeof(PyObject *)) < ts->datastack_limit - ts->datastack_top;
}

/* Make the data stack end at `end`, with no room behind it: `full` plays the last chunk, and what
 * is pushed goes to new ones (v3.12.5 Python/pystate.c, push_chunk). */
static inline void
thread_end_stack_at(PyThreadState *ts, StackChunk *full, char *end)
{
    full->previous = ts->datastack_chunk;
    full->size = (size_t)(end - (char *)full);
    full->top = 0;
    ts->datastack_chunk = full;
    ts->datastack_top = ts->datastack_limit = (PyObject **)end;
}

static inline bool
generator_is_running(PyGenObject *generator)
{
    return generator->gi_frame_state == FRAME_EXECUTING;
}

/* Ended, or closed: it has no frame any more. */
static inline bool
generator_is_finished(PyGenObject *generator)
{
    return generator->gi_frame_state > FRAME_EXECUTING;
}

static inline bool
generator_is_fresh(PyGenObject *generator)
{
    return generator->gi_frame_state == FRAME_CREATED;
}

static inline void
generator_set_state(PyGenObject *generator, int state, PyObject *handled)
{
    generator->gi_frame_state = (int8_t)state;
    Py_XSETREF(generator->gi_exc_state.exc_value, Py_XNewRef(handled));
}

static inline PyObject *
generator_handled(PyGenObject *generator)
{
    return generator->gi_exc_state.exc_value;
}

static inline void
generator_copy_state(PyGenObject *to, PyGenObject *from)
{
    generator_set_state(to, from->gi_frame_state, from->gi_exc_state.exc_value);
}

/* It will not be closed when it is dropped; its frame is cleared with it (v3.12.5 Objects/object.c,
 * PyObject_CallFinalizer, and Objects/genobject.c, gen_dealloc). */
static inline void
generator_forbid_closing(PyGenObject *generator)
{
    _PyGC_SET_FINALIZED((PyObject *)generator);
}

/* Is an asynchronous generator in the middle of an asend, athrow or aclose? */
static inline bool
generator_is_awaited(PyGenObject *generator)
{
    return generator->gi_running_async;
}

static inline void
generator_set_awaited(PyGenObject *generator, bool awaited)
{
    generator->gi_running_async = awaited;
}

/* The hooks of the event loop (sys.set_asyncgen_hooks) see the copy when it is first advanced. */
static inline void
generator_copy_closed(PyGenObject *to, PyGenObject *from)
{
    to->gi_closed = from->gi_closed;
}

#endif
