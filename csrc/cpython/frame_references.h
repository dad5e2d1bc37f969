/* What 3.11, 3.12 and 3.13 have in common: slots are plain PyObject pointers, and the stack height is
 * an index (`stacktop`). */
#ifndef STACKFUL_CPYTHON_FRAME_REFERENCES_H
#define STACKFUL_CPYTHON_FRAME_REFERENCES_H

#include "cpython/frame_common.h"

typedef PyObject *FrameSlot;

/* Supplied by the version's own header, used below. */
static inline PyCodeObject *frame_code(Frame *f);
static inline PyObject *frame_function(Frame *f);

static inline FrameSlot
slot_empty(void)
{
    return NULL;
}

static inline FrameSlot
slot_of(PyObject *object)
{
    return object;
}

static inline PyObject *
slot_object(FrameSlot slot)
{
    return slot;
}

/* What it holds, which is an object; afterwards it is empty. */
static inline PyObject *
slot_take(FrameSlot *slot)
{
    PyObject *object = *slot;
    *slot = NULL;
    return object;
}

/* Numbers without an object: not here. */
static inline bool
slot_is_number(FrameSlot Py_UNUSED(slot))
{
    return false;
}

static inline Py_ssize_t
slot_number(FrameSlot Py_UNUSED(slot))
{
    return 0;
}

static inline FrameSlot
slot_of_number(Py_ssize_t number)
{
    return PyLong_FromSsize_t(number); /* never asked for */
}

static inline bool
type_loops_by_number(PyTypeObject *Py_UNUSED(type))
{
    return false;
}

static inline bool
slot_counts(FrameSlot Py_UNUSED(slot))
{
    return true;
}

static inline void
slot_release(FrameSlot slot)
{
    Py_XDECREF(slot);
}

static inline FrameSlot
slot_duplicate(FrameSlot slot)
{
    return Py_XNewRef(slot);
}

static inline FrameSlot *
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
frame_set_depth(Frame *f, int depth)
{
    f->stacktop = depth;
}

static inline void
frame_push(Frame *f, PyObject *value)
{
    f->localsplus[f->stacktop++] = value;
}

/* The used part of a frame, in bytes. */
static inline size_t
frame_used(Frame *f)
{
    return (size_t)((char *)&f->localsplus[f->stacktop] - (char *)f);
}

static inline void
frame_move(Frame *to, Frame *from)
{
    memcpy(to, from, frame_used(from));
    if (to->frame_obj != NULL) {
        to->frame_obj->f_frame = to;
    }
}

static inline void
frame_duplicate(Frame *to, Frame *from)
{
    memcpy(to, from, offsetof(Frame, localsplus));
    to->frame_obj = NULL;
    to->previous = NULL;
    Py_INCREF(frame_function(to));
    Py_INCREF(frame_code(to));
    if (to->f_locals != NULL) {
        to->f_locals = frame_code(to)->co_flags & CO_OPTIMIZED ? NULL : Py_NewRef(to->f_locals);
    }
    for (int i = 0; i < to->stacktop; i++) {
        to->localsplus[i] = Py_XNewRef(from->localsplus[i]);
    }
}

static inline void
frame_own(Frame *Py_UNUSED(f))
{
}

/* As v3.11.2 Objects/../Python/frame.c, take_ownership; f_back is set by the caller. */
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

static inline int
frame_visit_slots(Frame *f, int count, visitproc visit, void *arg)
{
    Py_VISIT(f->frame_obj);
    Py_VISIT(frame_function(f));
    Py_VISIT(frame_code(f));
    Py_VISIT(f->f_locals);
    for (int i = 0; i < count; i++) {
        Py_VISIT(f->localsplus[i]);
    }
    return 0;
}

static inline int
frame_visit(Frame *f, visitproc visit, void *arg)
{
    return frame_visit_slots(f, f->stacktop, visit, arg);
}

/* A frame that C code has interrupted: how much is on its stack, only the evaluator knows. */
static inline int
frame_visit_running(Frame *f, visitproc visit, void *arg)
{
    return frame_visit_slots(f, f->stacktop < 0 ? frame_code(f)->co_nlocalsplus : f->stacktop, visit, arg);
}

static inline Frame *
generator_frame(PyGenObject *generator)
{
    return (Frame *)generator->gi_iframe;
}

#endif
