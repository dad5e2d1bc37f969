/* 3.11 and 3.12: the thread's frames hang on its `cframe`, and `prev_instr` is the code unit before the next instruction. */
#ifndef STACKFUL_CPYTHON_POSITIONS_311_H
#define STACKFUL_CPYTHON_POSITIONS_311_H

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

/* The instruction before this one is the next. */
static inline void
frame_stand_before_exit(Frame *f, Exit *exit)
{
    f->prev_instr = exit - 2;
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

#endif
