/* CPython 3.12: an entry frame on the C stack begins every C evaluation; `prev_instr` is the code
 * unit before the next instruction, and `return_offset` is where a callee's return goes on. */
#ifndef STACKFUL_CPYTHON_FRAME_312_H
#define STACKFUL_CPYTHON_FRAME_312_H

#define GIL_HOLDER(gil) ((PyThreadState *)_Py_atomic_load_relaxed(&(gil)->last_holder))
#include "cpython/frame_references.h"

/* The evaluator clears every frame that it leaves (v3.12.5 Python/ceval.c, exit_unwind). */
#define FRAME_ENTRY_LEFT_TO_CALLER 0

/* Nothing is inherited. */
static inline void
cframe_inherit_tracing(_PyCFrame *Py_UNUSED(to), _PyCFrame *Py_UNUSED(from))
{
}

/* How deep destructors are nested: from 50 on, objects wait until the outermost one ends (v3.12.5 Objects/object.c,
 * _PyTrash_begin). */
#define TRASH_NESTING trash.delete_nesting
#define C_RECURSION_OF_STACK C_RECURSION_LIMIT

#include "cpython/c_stack_311.h"
#include "cpython/evaluations_cframe.h"
#include "cpython/recursion_312.h"
#include "cpython/positions_311.h"

static inline bool
frame_is_suspended_call(int opcode)
{
    return opcode == CALL || opcode == CALL_FUNCTION_EX;
}

static inline void
frame_step_over_call(Frame *f)
{
    f->prev_instr += f->return_offset;
}

static inline void
frame_copy_position(Frame *to, Frame *from)
{
    to->prev_instr = from->prev_instr;
    to->return_offset = from->return_offset;
}

static inline void
frame_set_call_position(Frame *f, int unit, int caches)
{
    f->prev_instr = _PyCode_CODE(f->f_code) + unit + caches;
    f->return_offset = 0;
}

/* Was the code instrumented for other events than those that are set now? Running frames are
 * brought up to date when events change, others by RESUME (v3.12.5 Python/bytecodes.c, RESUME). */
static inline bool
code_is_stale(PyThreadState *ts, PyCodeObject *code)
{
    return code->_co_instrumentation_version != ts->interp->monitoring_version;
}

/* Another number when other events are set. */
static inline uintptr_t
thread_events(PyThreadState *ts)
{
    return ts->interp->monitoring_version;
}

static inline void
frame_set_at_start(Frame *f)
{
    f->prev_instr = _PyCode_CODE(f->f_code) - 1;
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
    f->f_code = (PyCodeObject *)Py_NewRef(code);
}

static inline void
frame_drop_names(Frame *f)
{
    Py_CLEAR(f->f_locals);
    Py_DECREF(f->f_funcobj);
    Py_DECREF(f->f_code);
}

#define FRAME_OWNED_BY_ENTRY FRAME_OWNED_BY_CSTACK
#include "cpython/entry_frames.h"

/* The frame that is current where the running evaluation was entered. */
static inline void
thread_set_outer_frame(PyThreadState *ts, Frame *f)
{
    ts->cframe->previous->current_frame = f;
}

#include "cpython/direct_exit.h"

#endif
