/* CPython 3.13: plain references on the stack, positions as in later versions. */
#ifndef STACKFUL_CPYTHON_FRAME_313_H
#define STACKFUL_CPYTHON_FRAME_313_H

#include "cpython/frame_references.h"
#define C_RECURSION_OF_STACK Py_C_RECURSION_LIMIT
#include "cpython/c_stack_311.h"
#include "cpython/evaluations_frame.h"
#include "cpython/recursion_312.h"
#include "cpython/positions_313.h"

/* Set when the experimental JIT is on (v3.13.0 Python/pylifecycle.c, init_interp_main). */
static inline bool
thread_has_jit(PyThreadState *ts)
{
    return ts->interp->optimizer != NULL;
}

static inline PyCodeObject *
frame_code(Frame *f)
{
    return (PyCodeObject *)f->f_executable;
}

static inline bool
frame_is_complete(Frame *f)
{
    return f->owner == FRAME_OWNED_BY_GENERATOR ||
           (PyCode_Check(f->f_executable) && !_PyFrame_IsIncomplete(f));
}

static inline PyObject *
frame_function(Frame *f)
{
    return f->f_funcobj;
}

static inline void
frame_set_names(Frame *f, PyObject *function, PyCodeObject *code)
{
    f->f_funcobj = Py_NewRef(function);
    f->f_executable = Py_NewRef(code);
}

static inline void
frame_drop_names(Frame *f)
{
    Py_CLEAR(f->f_locals);
    Py_DECREF(f->f_funcobj);
    Py_DECREF(f->f_executable);
}

#define FRAME_OWNED_BY_ENTRY FRAME_OWNED_BY_CSTACK
#include "cpython/entry_frames.h"

/* The frame that is current where the running evaluation was entered. */
static inline void
thread_set_outer_frame(PyThreadState *Py_UNUSED(ts), Frame *Py_UNUSED(f))
{
}

#include "cpython/direct_exit.h"

#endif
