/* What 3.14 and 3.15 have in common: slots are tagged references (`_PyStackRef`), and the stack height
 * is a pointer (`stackpointer`).
 *
 * A slot may *borrow*: what LOAD_FAST_BORROW pushes, and what a callee gets of it as an argument or as
 * its function, is kept alive by a local of the same frame or of a caller's, which the compiler does
 * not let change meanwhile (v3.14.0 Python/flowgraph.c, optimize_load_fast). Frames that are parked
 * together are resumed, discarded and traversed in that same order, so these slots stay as they are;
 * whatever leaves that company (a copy, a frame object) gets references of its own. */
#ifndef STACKFUL_CPYTHON_FRAME_STACKREFS_H
#define STACKFUL_CPYTHON_FRAME_STACKREFS_H

#include "internal/pycore_interpframe.h"
#include "internal/pycore_stackref.h"
#include "cpython/frame_common.h"

typedef _PyStackRef FrameSlot;

static inline FrameSlot
slot_empty(void)
{
    return PyStackRef_NULL;
}

static inline FrameSlot
slot_of(PyObject *object)
{
    return object == NULL ? PyStackRef_NULL : PyStackRef_FromPyObjectSteal(object);
}

/* A number without an object: where an exception was raised (RERAISE), or how far a loop over a list
 * or tuple has come (FOR_ITER of 3.15). */
static inline bool
slot_is_number(FrameSlot slot)
{
    return PyStackRef_IsTaggedInt(slot);
}

static inline Py_ssize_t
slot_number(FrameSlot slot)
{
    return PyStackRef_UntagInt(slot);
}

static inline FrameSlot
slot_of_number(Py_ssize_t number)
{
    return PyStackRef_TagInt(number);
}

static inline PyObject *
slot_object(FrameSlot slot)
{
    return PyStackRef_IsNullOrInt(slot) ? NULL : PyStackRef_AsPyObjectBorrow(slot);
}

/* What it holds, which is an object; afterwards it is empty. */
static inline PyObject *
slot_take(FrameSlot *slot)
{
    PyObject *object = PyStackRef_AsPyObjectSteal(*slot);
    *slot = PyStackRef_NULL;
    return object;
}

static inline bool
slot_counts(FrameSlot slot)
{
    return !PyStackRef_IsNullOrInt(slot) && PyStackRef_RefcountOnObject(slot);
}

static inline void
slot_release(FrameSlot slot)
{
    if (!PyStackRef_IsNullOrInt(slot)) {
        PyStackRef_CLOSE(slot);
    }
}

/* The same contents, with a reference of its own where the other may borrow. */
static inline FrameSlot
slot_duplicate(FrameSlot slot)
{
    return PyStackRef_IsNullOrInt(slot) ? slot : PyStackRef_FromPyObjectNew(PyStackRef_AsPyObjectBorrow(slot));
}

/* Without a JIT, or with one that sys._jit tells of. */
static inline bool
thread_has_jit(PyThreadState *Py_UNUSED(ts))
{
    return false;
}

static inline PyCodeObject *
frame_code(Frame *f)
{
    return (PyCodeObject *)PyStackRef_AsPyObjectBorrow(f->f_executable);
}

static inline PyObject *
frame_function(Frame *f)
{
    return PyStackRef_AsPyObjectBorrow(f->f_funcobj);
}

static inline FrameSlot *
frame_slots(Frame *f)
{
    return f->localsplus;
}

static inline PyObject *
frame_first_local(Frame *f)
{
    return slot_object(f->localsplus[0]);
}

static inline int
frame_depth(Frame *f)
{
    return (int)(f->stackpointer - f->localsplus);
}

static inline void
frame_set_depth(Frame *f, int depth)
{
    f->stackpointer = f->localsplus + depth;
}

static inline void
frame_push(Frame *f, PyObject *value)
{
    *f->stackpointer++ = PyStackRef_FromPyObjectSteal(value);
}

/* Copy the used part; the stack pointer points into the copy. `visited` is a note that the collector
 * makes while it walks a thread's frames. */
static inline void
frame_copy_used(Frame *to, Frame *from)
{
    memcpy(to, from, (size_t)((char *)from->stackpointer - (char *)from));
    frame_set_depth(to, frame_depth(from));
    to->visited = 0;
}

static inline void
frame_move(Frame *to, Frame *from)
{
    frame_copy_used(to, from);
    if (to->frame_obj != NULL) {
        to->frame_obj->f_frame = to;
    }
}

static inline void
frame_duplicate(Frame *to, Frame *from)
{
    frame_copy_used(to, from);
    to->frame_obj = NULL;
    to->previous = NULL;
    to->f_executable = slot_duplicate(from->f_executable);
    to->f_funcobj = slot_duplicate(from->f_funcobj);
    if (frame_code(to)->co_flags & CO_OPTIMIZED) {
        to->f_locals = NULL;
    }
    Py_XINCREF(to->f_locals);
    for (int i = 0, depth = frame_depth(to); i < depth; i++) {
        to->localsplus[i] = slot_duplicate(from->localsplus[i]);
    }
}

/* What it was called with may be borrowed from its caller's locals (LOAD_FAST_BORROW): no longer. */
static inline void
frame_own(Frame *f)
{
    if (!slot_counts(f->f_funcobj)) {
        f->f_funcobj = slot_duplicate(f->f_funcobj);
    }
    for (int i = 0, depth = frame_depth(f); i < depth; i++) {
        if (!slot_counts(f->localsplus[i])) {
            f->localsplus[i] = slot_duplicate(f->localsplus[i]);
        }
    }
}

/* As v3.14.0 Python/frame.c, take_ownership; f_back is set by the caller. */
static inline void
frame_give_to_object(Frame *f, PyFrameObject *object)
{
    Frame *mine = (Frame *)object->_f_frame_data;
    _PyFrame_Copy(f, mine);
    mine->owner = FRAME_OWNED_BY_FRAME_OBJECT;
    object->f_frame = mine;
    if (!PyObject_GC_IsTracked((PyObject *)object)) {
        PyObject_GC_Track((PyObject *)object);
    }
}

/* A slot that borrows is not visited: whom it borrows from is, and the collector counts references. */
static inline int
slot_visit(FrameSlot slot, visitproc visit, void *arg)
{
    if (slot_counts(slot)) {
        Py_VISIT(PyStackRef_AsPyObjectBorrow(slot));
    }
    return 0;
}

static inline int
frame_visit(Frame *f, visitproc visit, void *arg)
{
    int stop = slot_visit(f->f_funcobj, visit, arg);
    if (stop == 0) {
        stop = slot_visit(f->f_executable, visit, arg);
    }
    for (int i = 0, depth = frame_depth(f); i < depth && stop == 0; i++) {
        stop = slot_visit(f->localsplus[i], visit, arg);
    }
    if (stop != 0) {
        return stop;
    }
    Py_VISIT(f->frame_obj);
    Py_VISIT(f->f_locals);
    return 0;
}

/* A frame that C code has interrupted: the evaluator has noted how much is on its stack. */
static inline int
frame_visit_running(Frame *f, visitproc visit, void *arg)
{
    return f->stackpointer == NULL ? 0 : frame_visit(f, visit, arg);
}

static inline Frame *
generator_frame(PyGenObject *generator)
{
    return &generator->gi_iframe;
}

#endif
