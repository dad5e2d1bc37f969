/* CPython 3.12: an entry frame on the C stack begins every C evaluation; `prev_instr` is the code
 * unit before the next instruction, and `return_offset` is where a callee's return goes on. */
#ifndef STACKFUL_CPYTHON_FRAME_312_H
#define STACKFUL_CPYTHON_FRAME_312_H

#include "cpython/frame_references.h"
#include "internal/pycore_interp.h"

/* The evaluator clears every frame that it leaves (v3.12.5 Python/ceval.c, exit_unwind). */
#define FRAME_ENTRY_LEFT_TO_CALLER 0

#include "cpython/c_stack_311.h"
#include "cpython/recursion_312.h"

/* Without a JIT, or with one that sys._jit tells of. */
static inline bool
thread_has_jit(PyThreadState *Py_UNUSED(ts))
{
    return false;
}

static inline Frame *
thread_frame(PyThreadState *ts)
{
    return ts->cframe->current_frame;
}

static inline void
thread_set_frame(PyThreadState *ts, Frame *f)
{
    ts->cframe->current_frame = f;
}

/* A function without a version gets one when a call of it is specialised. */
static inline void
function_renew_version(PyFunctionObject *Py_UNUSED(function))
{
}

static inline PyCodeObject *
frame_code(Frame *f)
{
    return f->f_code;
}

static inline bool
frame_is_complete(Frame *f)
{
    return !_PyFrame_IsIncomplete(f);
}

static inline const void *
frame_position(Frame *f)
{
    return f->prev_instr;
}

static inline int
frame_unit(Frame *f)
{
    return (int)(f->prev_instr - _PyCode_CODE(f->f_code));
}

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

/* The unit of the `yield` at which a generator waits. */
static inline int
frame_yield_unit(Frame *f)
{
    return frame_unit(f);
}

/* The state of a generator that waits at the yield at `unit`. */
static inline int
generator_suspended_state(Frame *Py_UNUSED(f), int Py_UNUSED(unit))
{
    return FRAME_SUSPENDED;
}

static inline void
frame_set_yield_position(Frame *f, int unit)
{
    f->prev_instr = _PyCode_CODE(f->f_code) + unit;
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
