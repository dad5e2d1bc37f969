/* What 3.12 and later share: every evaluation begins with an entry frame on the C stack, and code is
 * instrumented for events. The version's own header says which owner marks an entry frame
 * (FRAME_OWNED_BY_ENTRY), and how function and code are written. */
#ifndef STACKFUL_CPYTHON_ENTRY_FRAMES_H
#define STACKFUL_CPYTHON_ENTRY_FRAMES_H

static inline PyObject *
exception_take(void)
{
    return PyErr_GetRaisedException();
}

static inline void
exception_put(PyObject *value)
{
    PyErr_SetRaisedException(value);
}

/* The interpreter's own trampolines have no function (v3.13.0 Include/internal/pycore_frame.h,
 * _PyFrame_PushTrampolineUnchecked: f_funcobj is None); their code is not a real code object. */
static inline bool
frame_is_plain(Frame *f)
{
    return f->owner == FRAME_OWNED_BY_THREAD && PyFunction_Check(frame_function(f));
}

static inline bool
frame_called_by_c(Frame *f)
{
    return f->previous == NULL || f->previous->owner == FRAME_OWNED_BY_ENTRY;
}

static inline bool
frame_was_called_from(Frame *f, Frame *caller)
{
    return f->previous == caller;
}

static inline Frame *
frame_beyond_c(Frame *f)
{
    return f->previous == NULL ? NULL : f->previous->previous;
}

static inline void
frame_init(Frame *f, PyObject *function, PyCodeObject *code, PyObject *locals)
{
    memset(f, 0, offsetof(Frame, localsplus));
    frame_set_names(f, function, code);
    f->f_globals = ((PyFunctionObject *)function)->func_globals;
    f->f_builtins = ((PyFunctionObject *)function)->func_builtins;
    f->f_locals = Py_XNewRef(locals);
    f->owner = FRAME_OWNED_BY_THREAD;
}

/* The stub returns into the entry frame beneath `base`, whose INTERPRETER_EXIT leaves the loop
 * (v3.12.5 Python/bytecodes.c, INTERPRETER_EXIT). The frames between are parked: whoever walks the
 * stack meanwhile, to instrument its code for instance, goes on at the resumer. */
static inline void
frame_relink_exit(Frame *stub, Frame *base, Frame *resumer)
{
    stub->previous = base->previous;
    base->previous->previous = resumer;
}

/* CPython's assertions want a returning frame to be the last on the data stack (v3.12.5
 * Python/ceval.c, clear_thread_frame). Ours lies on the heap; under assertions the data stack is
 * therefore made to end at the frame: a chunk without any room behind it. */
static inline PyObject *
frame_evaluate(PyThreadState *ts, Frame *f, int throwing)
{
#ifdef Py_DEBUG
    StackChunk *chunk = ts->datastack_chunk, full;
    PyObject **top = ts->datastack_top, **limit = ts->datastack_limit, *result;
    thread_end_stack_at(ts, &full, (char *)f + frame_size(frame_code(f)));
    result = _PyEval_EvalFrameDefault(ts, f, throwing);
    thread_trim(ts, &full, top);
    ts->datastack_chunk = chunk;
    ts->datastack_top = top;
    ts->datastack_limit = limit;
    return result;
#else
    return _PyEval_EvalFrameDefault(ts, f, throwing);
#endif
}

/* The same as a function of which the address is taken. */
#ifdef Py_DEBUG
#define FRAME_EVALUATE frame_evaluate
#else
#define FRAME_EVALUATE _PyEval_EvalFrameDefault
#endif

/* Instrument code for the events that are set now. _Py_Instrument is not exported, but evaluating
 * with an exception begins with it (v3.12.5 and v3.13.0 Python/ceval.c, _PyEval_EvalFrameDefault,
 * throwflag). So a frame of the same code, that stands before its first instruction, is made to
 * raise; `tracing` keeps that from being reported. */
static NOINLINE void
code_instrument(PyThreadState *ts, Frame *f)
{
    PyCodeObject *code = frame_code(f);
    PyObject **top = ts->datastack_top, *pending = PyErr_Occurred() ? exception_take() : NULL;
    Frame *dummy = PyMem_Calloc(1, frame_size(code));
    if (dummy != NULL) { /* else the next RESUME will do it */
        frame_init(dummy, frame_function(f), code, NULL);
        for (int i = 0; i < code->co_nlocalsplus; i++) {
            frame_slots(dummy)[i] = slot_empty();
        }
        frame_set_depth(dummy, code->co_nlocalsplus);
        frame_set_at_start(dummy);
        PyErr_SetNone(PyExc_RuntimeError);
        ts->tracing++;
        (void)frame_evaluate(ts, dummy, 1);
        ts->tracing--;
        ts->datastack_top = top;
        PyErr_Clear();
        PyMem_Free(dummy);
    }
    if (pending != NULL) {
        exception_put(pending);
    }
}

/* A parked frame goes on behind a call, not at a RESUME, where the interpreter would look. */
static inline void
frame_bring_up_to_date(PyThreadState *ts, Frame *f)
{
    if (UNLIKELY(code_is_stale(ts, frame_code(f)))) {
        code_instrument(ts, f);
    }
}

/* The same for a frame that is running, which has no RESUME before it: also where nothing is reported at the moment (v3.12.5
 * and v3.13.0 Python/instrumentation.c, instrument_all_executing_code_objects). */
static inline void
frame_hear_of_events(PyThreadState *ts, Frame *f)
{
    if (frame_code(f)->_co_instrumentation_version != thread_events(ts)) {
        code_instrument(ts, f);
    }
}

#endif
