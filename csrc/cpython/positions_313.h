/* From 3.13 on: `instr_ptr` is the instruction itself, `return_offset` leads past it; the thread state
 * holds the current frame and, above the bits of eval_breaker, the version of instrumentation. */
#ifndef STACKFUL_CPYTHON_POSITIONS_313_H
#define STACKFUL_CPYTHON_POSITIONS_313_H

#include "internal/pycore_ceval.h"

#define FRAME_ENTRY_LEFT_TO_CALLER 0

/* Supplied by the version's own header, used below. */
static inline PyCodeObject *frame_code(Frame *f);

static inline Frame *
thread_frame(PyThreadState *ts)
{
    return ts->current_frame;
}

static inline void
thread_set_frame(PyThreadState *ts, Frame *f)
{
    ts->current_frame = f;
}

/* A function gets its version when it is made, and loses it with its code: calls of it are then not
 * specialised any more (v3.13.0 Objects/funcobject.c, func_set_code, _PyFunction_SetVersion).
 * Code objects have versions of their own: nothing else has this one. */
static inline void
function_renew_version(PyFunctionObject *function)
{
    if (function->func_version == 0) {
        function->func_version = ((PyCodeObject *)function->func_code)->co_version;
    }
}

static inline const void *
frame_position(Frame *f)
{
    return f->instr_ptr;
}

static inline int
frame_unit(Frame *f)
{
    return (int)(f->instr_ptr - _PyCode_CODE(frame_code(f)));
}

static inline bool
frame_is_suspended_call(int opcode)
{
    return opcode == CALL || opcode == CALL_KW || opcode == CALL_FUNCTION_EX;
}

/* Not done for an exception: unwinding into a caller leaves instr_ptr at the call, and handlers
 * and line numbers are found from there (v3.13.0 Python/ceval.c, resume_with_error). */
static inline void
frame_step_over_call(Frame *f)
{
    f->instr_ptr += f->return_offset;
}

static inline void
frame_copy_position(Frame *to, Frame *from)
{
    to->instr_ptr = from->instr_ptr;
    to->return_offset = from->return_offset;
}

/* The instruction before this one is the next. */
static inline void
frame_stand_before_exit(Frame *f, Exit *exit)
{
    f->instr_ptr = exit - 1;
}

/* The unit of the `yield` at which a generator waits: instr_ptr is past it already
 * (v3.13.0 Python/bytecodes.c, YIELD_VALUE). */
static inline int
frame_yield_unit(Frame *f)
{
    return frame_unit(f) - 1;
}

/* The state of a generator that waits at the yield at `unit`. */
static inline int
generator_suspended_state(Frame *f, int unit)
{
    /* YIELD_VALUE's argument tells a delegating yield (v3.13.0 Python/bytecodes.c, YIELD_VALUE). */
    return FRAME_SUSPENDED + (_PyCode_CODE(frame_code(f))[unit].op.arg & 1);
}

static inline void
frame_set_yield_position(Frame *f, int unit)
{
    f->instr_ptr = _PyCode_CODE(frame_code(f)) + unit + 1;
}

static inline void
frame_set_call_position(Frame *f, int unit, int caches)
{
    f->instr_ptr = _PyCode_CODE(frame_code(f)) + unit;
    f->return_offset = (uint16_t)(1 + caches);
}

/* Was the code instrumented for other events than those that are set now? Running frames are
 * brought up to date when events change, others by RESUME (v3.13.0 Python/bytecodes.c, RESUME). */
static inline bool
code_is_stale(PyThreadState *ts, PyCodeObject *code)
{
    return (ts->eval_breaker & ~(uintptr_t)_PY_EVAL_EVENTS_MASK) != code->_co_instrumentation_version &&
           ts->tracing == 0;
}

/* Another number when other events are set. */
static inline uintptr_t
thread_events(PyThreadState *ts)
{
    return ts->eval_breaker & ~(uintptr_t)_PY_EVAL_EVENTS_MASK;
}

static inline void
frame_set_at_start(Frame *f)
{
    f->instr_ptr = _PyCode_CODE(frame_code(f));
}

#endif
