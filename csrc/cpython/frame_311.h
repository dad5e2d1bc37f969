/* CPython 3.11: `is_entry` marks the frame at which a C evaluation began, `prev_instr` is the code
 * unit before the next instruction, and the entry frame is cleared by whoever called the evaluator. */
#ifndef STACKFUL_CPYTHON_FRAME_311_H
#define STACKFUL_CPYTHON_FRAME_311_H

#include "internal/pycore_pystate.h"

/* Here it is a load; from 3.12 on a thread's own variable, which is not exported. */
#define THREAD_CURRENT_IS_INLINE
static inline PyThreadState *
thread_current(void)
{
    return _PyThreadState_GET();
}

typedef char ThreadFinder; /* nothing is to be remembered */

static inline void
thread_finder_init(ThreadFinder *Py_UNUSED(finder))
{
}

static inline PyThreadState *
thread_running(ThreadFinder *Py_UNUSED(finder))
{
    return thread_current();
}

/* What the innermost evaluation knows about tracing, those outside of it learn when it ends (v3.11.2 Python/ceval.c,
 * RETURN_VALUE). */
static inline void
cframe_inherit_tracing(_PyCFrame *to, _PyCFrame *from)
{
    to->use_tracing = from->use_tracing;
}

/* How deep destructors are nested: from 50 on, objects wait until the outermost one ends (v3.11.2 Objects/object.c,
 * _PyTrash_thread_deposit_object). */
#define TRASH_NESTING trash_delete_nesting

#include "cpython/c_stack_311.h"
#include "cpython/evaluations_cframe.h"
#include "cpython/positions_311.h"
#include "cpython/frame_references.h"

/* The evaluator leaves the entry frame to its caller (v3.11.2 Python/ceval.c, _PyEval_Vector). */
#define FRAME_ENTRY_LEFT_TO_CALLER 1

#include "cpython/stub_code.h"

#define FRAMES_SWITCH_DIRECTLY (!INTERPRETER_ASSERTS)
#define FRAMES_RUN_TOGETHER (!INTERPRETER_ASSERTS)

typedef struct {
    int used; /* not what is left: the limit may be changed meanwhile */
} Recursion;

static inline void
recursion_save(PyThreadState *ts, Recursion *saved)
{
    saved->used = ts->recursion_limit - ts->recursion_remaining;
}

static inline void
recursion_restore(PyThreadState *ts, const Recursion *saved)
{
    ts->recursion_remaining = ts->recursion_limit - saved->used;
}

static inline void
recursion_charge(PyThreadState *ts, const Recursion *saved, Py_ssize_t frames)
{
    ts->recursion_remaining = ts->recursion_limit - saved->used - (int)frames;
}

static inline void
recursion_shift(Recursion *saved, int by)
{
    saved->used += by;
}

static inline int
recursion_beyond(const Recursion *saved, const Recursion *base)
{
    return saved->used - base->used;
}

/* Python and C recursion share one counter here. */
static inline bool
recursion_has_room(PyThreadState *ts, Py_ssize_t frames)
{
    return ts->recursion_remaining > frames + 2;
}

static inline bool
recursion_had_room(PyThreadState *ts, const Recursion *saved, Py_ssize_t frames)
{
    return ts->recursion_limit - saved->used > frames + 2;
}

/* The exception that is set, normalised; none is set afterwards. */
static inline PyObject *
exception_take(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* Set an exception; steals it. */
static inline void
exception_put(PyObject *value)
{
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(value)), value, PyException_GetTraceback(value));
}

static inline PyObject *
frame_function(Frame *f)
{
    return (PyObject *)f->f_func;
}

static inline bool
frame_is_plain(Frame *f)
{
    return f->owner == FRAME_OWNED_BY_THREAD;
}

static inline bool
frame_called_by_c(Frame *f)
{
    return f->is_entry || f->previous == NULL;
}

static inline bool
frame_was_called_from(Frame *f, Frame *caller)
{
    return f->previous == caller && !f->is_entry;
}

static inline Frame *
frame_beyond_c(Frame *f)
{
    return f->previous;
}

/* CALL_FUNCTION_EX always goes through C (v3.11.2 Python/ceval.c, do_call_core). */
static inline bool
frame_is_suspended_call(int opcode)
{
    return opcode == CALL;
}

static inline void
frame_step_over_call(Frame *Py_UNUSED(f))
{
    /* prev_instr is already the call's last code unit. */
}

static inline void
frame_copy_position(Frame *to, Frame *from)
{
    to->prev_instr = from->prev_instr;
}

static inline void
frame_set_call_position(Frame *f, int unit, int caches)
{
    f->prev_instr = _PyCode_CODE(f->f_code) + unit + caches;
}

static inline void
frame_init(Frame *f, PyObject *function, PyCodeObject *code, PyObject *locals)
{
    memset(f, 0, offsetof(Frame, localsplus));
    f->f_func = (PyFunctionObject *)Py_NewRef(function);
    f->f_code = (PyCodeObject *)Py_NewRef(code);
    f->f_globals = ((PyFunctionObject *)function)->func_globals;
    f->f_builtins = ((PyFunctionObject *)function)->func_builtins;
    f->f_locals = Py_XNewRef(locals);
    f->owner = FRAME_OWNED_BY_THREAD;
}

/* RETURN_VALUE leaves the loop from a frame that is_entry and unlinks it to `previous`
 * (v3.11.2 Python/ceval.c, RETURN_VALUE). The stub is then cleared by us: frame_discard. */
static inline void
frame_relink_exit(Frame *stub, Frame *base, Frame *resumer)
{
    stub->is_entry = true;
    base->is_entry = false;
    stub->previous = resumer;
#ifdef Py_DEBUG
    /* An assertion of RETURN_VALUE: what was current before the evaluation is the stub's caller. */
    thread_current()->cframe->previous->current_frame = resumer;
#endif
}

/* `to` becomes what the evaluation was entered at, and what lies outside of it the frame that entered it. */
static inline void
frame_relink_switch(PyThreadState *ts, Frame *stub, Frame *from, Frame *to)
{
    from->is_entry = false;
    to->is_entry = true;
    ts->cframe->previous->current_frame = to->previous;
    stub->previous = to;
}

static inline bool
frame_returns_quietly(PyThreadState *ts, Frame *stub, Exit *Py_UNUSED(exit))
{
    return ts->cframe->use_tracing == 0 && stub->frame_obj == NULL;
}

/* Would nobody hear of a stub that is evaluated from `~` on? */
static inline bool
stub_enters_quietly(PyThreadState *ts, Exit *exit)
{
    return exit != &no_exit && ts->cframe->use_tracing == 0;
}

static inline void
frame_set_caller(Frame *f, Frame *caller)
{
    f->previous = caller;
    f->is_entry = false;
}

/* `outer` takes the place of the stub, which is what is evaluated and will return into `inner`. */
static inline void
frame_enter_batch(Frame *stub, Frame *inner, Frame *outer)
{
    outer->previous = stub->previous;
    outer->is_entry = true;
    stub->previous = inner;
    stub->is_entry = false;
}

static inline bool
frame_is_up_to_date(PyThreadState *Py_UNUSED(ts), Frame *Py_UNUSED(f))
{
    return true;
}

/* Code is not instrumented here. */
static inline uintptr_t
thread_events(PyThreadState *Py_UNUSED(ts))
{
    return 0;
}

static inline void
frame_bring_up_to_date(PyThreadState *Py_UNUSED(ts), Frame *Py_UNUSED(f))
{
}

static inline void
frame_hear_of_events(PyThreadState *Py_UNUSED(ts), Frame *Py_UNUSED(f))
{
}

static inline PyObject *
frame_evaluate(PyThreadState *ts, Frame *f, int throwing)
{
    return _PyEval_EvalFrameDefault(ts, f, throwing);
}

#define FRAME_EVALUATE _PyEval_EvalFrameDefault

static inline void
frame_drop_names(Frame *f)
{
    Py_CLEAR(f->f_locals);
    Py_DECREF(f->f_func);
    Py_DECREF(f->f_code);
}

/* A frame that holds nothing but its function and code, for CPython to clear in the stead of one
 * that was moved away. Takes new references: the moved frame keeps the old ones. */
static inline void
frame_hollow(Frame *f)
{
    f->stacktop = 0;
    f->f_locals = NULL;
    f->frame_obj = NULL;
    Py_INCREF(f->f_func);
    Py_INCREF(f->f_code);
}

#endif
