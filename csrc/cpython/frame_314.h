/* CPython 3.14: tagged references on the stack, function and code among them; an entry frame belongs to
 * the interpreter. */
#ifndef STACKFUL_CPYTHON_FRAME_314_H
#define STACKFUL_CPYTHON_FRAME_314_H

#include "cpython/frame_stackrefs.h"
#include "cpython/recursion_314.h"
#include "cpython/evaluations_frame.h"
#include "cpython/positions_313.h"

static inline bool
frame_is_complete(Frame *f)
{
    return !_PyFrame_IsIncomplete(f);
}

static inline void
frame_set_names(Frame *f, PyObject *function, PyCodeObject *code)
{
    f->f_funcobj = PyStackRef_FromPyObjectNew(function);
    f->f_executable = PyStackRef_FromPyObjectNew((PyObject *)code);
}

static inline void
frame_drop_names(Frame *f)
{
    Py_CLEAR(f->f_locals);
    PyStackRef_CLOSE(f->f_funcobj);
    PyStackRef_CLOSE(f->f_executable);
}

#ifndef TYPE_LOOPS_BY_NUMBER
#define TYPE_LOOPS_BY_NUMBER(type) false
#endif

static inline bool
type_loops_by_number(PyTypeObject *type)
{
    return TYPE_LOOPS_BY_NUMBER(type);
}

#define FRAME_OWNED_BY_ENTRY FRAME_OWNED_BY_INTERPRETER

#include "cpython/entry_frames.h"

#endif
