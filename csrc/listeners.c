/* What trace and profile functions hear of an exception that goes outward.
 *
 * A frame that waits on the heap gets an exception by being evaluated with it, and the evaluator
 * reports that as it reports generator.throw: as a call (v3.13.0 Python/legacy_tracing.c,
 * sys_trace_throw; v3.11.2 Python/ceval.c, TRACE_FUNCTION_THROW_ENTRY).  When it is the next frame
 * in, not somebody outside, that raises, nobody has called: that one report is kept from them.
 * Callbacks of sys.monitoring do hear PY_THROW. */
#include "core.h"

/* Where the thread's own functions are kept meanwhile. */
static THREAD_LOCAL Resumption *kept_in;

static int
trace_but_call(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    Py_tracefunc trace = kept_in->trace;
    PyThreadState_Get()->c_tracefunc = trace;
    return what == PyTrace_CALL ? 0 : trace(object, frame, what, argument);
}

static int
profile_but_call(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    Py_tracefunc profile = kept_in->profile;
    PyThreadState_Get()->c_profilefunc = profile;
    return what == PyTrace_CALL ? 0 : profile(object, frame, what, argument);
}

/* Put before the thread's trace and profile functions what keeps from them the call that is reported
 * next: the evaluation that follows begins with it. */
void
listeners_miss_call(PyThreadState *ts, Resumption *resumption)
{
    if (ts->tracing) {
        return; /* nothing is reported now */
    }
    kept_in = resumption;
    if (ts->c_tracefunc != NULL) {
        resumption->trace = ts->c_tracefunc;
        ts->c_tracefunc = trace_but_call;
    }
    if (ts->c_profilefunc != NULL) {
        resumption->profile = ts->c_profilefunc;
        ts->c_profilefunc = profile_but_call;
    }
}

/* Afterwards: where no call was reported. */
void
listeners_restore(PyThreadState *ts, Resumption *resumption)
{
    if (ts->c_tracefunc == trace_but_call) {
        ts->c_tracefunc = resumption->trace;
    }
    if (ts->c_profilefunc == profile_but_call) {
        ts->c_profilefunc = resumption->profile;
    }
}
