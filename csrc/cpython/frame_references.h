/* What 3.11, 3.12 and 3.13 have in common: slots are plain PyObject pointers, the stack height is
 * an index (`stacktop`), and chunks of the data stack come from the arena allocator. */
#ifndef STACKFUL_CPYTHON_FRAME_REFERENCES_H
#define STACKFUL_CPYTHON_FRAME_REFERENCES_H

/* Supplied by the version's own header, used below. */
static inline PyCodeObject *frame_code(Frame *f);
static inline PyObject *frame_function(Frame *f);
static inline void frame_copy_position(Frame *to, Frame *from);

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

static inline PyObject **
frame_slots(Frame *f)
{
    return f->localsplus;
}

static inline PyObject *
frame_first_local(Frame *f)
{
    return f->localsplus[0];
}

static inline int
frame_depth(Frame *f)
{
    return f->stacktop;
}

static inline void
frame_push(Frame *f, PyObject *value)
{
    f->localsplus[f->stacktop++] = value;
}

static inline PyFrameObject *
frame_object(Frame *f)
{
    return f->frame_obj;
}

static inline PyObject *
frame_locals_mapping(Frame *f)
{
    return f->f_locals;
}

static inline void
frame_set_depth(Frame *f, int depth)
{
    f->stacktop = depth;
}

/* The used part of a frame, in bytes. */
static inline size_t
frame_used(Frame *f)
{
    return (size_t)((char *)&f->localsplus[f->stacktop] - (char *)f);
}

/* Copy the used part of `from` to `to`, which then owns its references; frame objects follow. */
static inline void
frame_move(Frame *to, Frame *from)
{
    memcpy(to, from, frame_used(from));
    if (to->frame_obj != NULL) {
        to->frame_obj->f_frame = to;
    }
}

/* The same contents with references of its own; no frame object, and no cached view of locals. */
static inline void
frame_duplicate(Frame *to, Frame *from)
{
    memcpy(to, from, frame_used(from));
    to->frame_obj = NULL;
    to->previous = NULL;
    Py_INCREF(frame_function(to));
    Py_INCREF(frame_code(to));
    if (frame_code(to)->co_flags & CO_OPTIMIZED) {
        to->f_locals = NULL;
    }
    Py_XINCREF(to->f_locals);
    for (int i = 0; i < to->stacktop; i++) {
        Py_XINCREF(to->localsplus[i]);
    }
}

static inline size_t
frame_size(PyCodeObject *code)
{
    return ((size_t)FRAME_SPECIALS_SIZE + code->co_nlocalsplus + code->co_stacksize) * sizeof(PyObject *);
}

/* Give the frame's contents to its frame object, which outlives it.
 * As v3.11.2 Objects/../Python/frame.c, take_ownership; f_back is set by the caller. */
static inline void
frame_give_to_object(Frame *f, PyFrameObject *object)
{
    Frame *mine = (Frame *)object->_f_frame_data;
    memcpy(mine, f, frame_used(f));
    mine->owner = FRAME_OWNED_BY_FRAME_OBJECT;
    mine->previous = NULL;
    object->f_frame = mine;
    if (!PyObject_GC_IsTracked((PyObject *)object)) {
        PyObject_GC_Track((PyObject *)object);
    }
}

/* Chunks above the remembered one go back to the arena allocator that they came from
 * (v3.12.5 Python/pystate.c, push_chunk and _PyThreadState_PopFrame; v3.11.2 the same). */
static inline void
thread_trim(PyThreadState *ts, StackChunk *chunk, PyObject **top, PyObject **limit)
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
        ts->datastack_limit = limit;
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

static inline Frame *
generator_frame(PyGenObject *generator)
{
    return (Frame *)generator->gi_iframe;
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
    return generator->gi_frame_state >= FRAME_COMPLETED;
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

/* The fresh frame of a generator takes position and contents of another of the same code. */
static inline void
generator_frame_fill(Frame *to, Frame *from)
{
    PyObject **slots = to->localsplus;
    int old = to->stacktop;
    for (int i = 0; i < old; i++) {
        Py_CLEAR(slots[i]);
    }
    for (int i = 0; i < from->stacktop; i++) {
        slots[i] = Py_XNewRef(from->localsplus[i]);
    }
    to->stacktop = from->stacktop;
    frame_copy_position(to, from);
}

#endif
