/* Running a fiber: from resume() to the next suspension, the result or an exception. */
#define _GNU_SOURCE
#include "core.h"
#include <pthread.h>

#define STACK_MARGIN (256 * 1024)

/* The innermost running fiber of this OS thread. One thread may run several interpreters in turn:
 * a fiber counts only for the thread state that runs it. */
#if defined(__GLIBC__)
static __thread Fiber *running __attribute__((tls_model("initial-exec")));
#else
static _Thread_local Fiber *running;
#endif

Fiber *
fiber_running_here(PyThreadState *ts)
{
    Fiber *fiber = running;
    return fiber != NULL && fiber->ts == ts ? fiber : NULL;
}

static void
enter(Fiber *fiber, PyThreadState *ts, Resumption *resumption)
{
    resumption->chunk = ts->datastack_chunk;
    resumption->top = ts->datastack_top;
    resumption->limit = ts->datastack_limit;
    recursion_save(ts, &resumption->recursion);
    resumption->frame = thread_frame(ts);
    fiber->exc.previous_item = ts->exc_info;
    ts->exc_info = &fiber->exc;
    fiber->resumption = resumption;
    fiber->resumer = running;
    fiber->ts = ts;
    fiber->phase = FIBER_ACTIVE;
    running = fiber;
}

#if FRAME_ENTRY_LEFT_TO_CALLER
/* The frame of `suspend` was left as it stood, on top of the data stack. */
static void
discard_stub(Fiber *fiber, PyThreadState *ts)
{
    Frame *stub = fiber->stub;
    ts->datastack_chunk = fiber->stub_chunk; /* instead of resumption->full */
    ts->datastack_top = (PyObject **)((char *)stub + frame_size(frame_code(stub)));
    ts->datastack_limit = (PyObject **)((char *)fiber->stub_chunk + fiber->stub_chunk->size);
    thread_set_frame(ts, fiber->resumption->frame);
    frame_discard(stub);
}
#endif

static void
leave(Fiber *fiber, PyThreadState *ts, Resumption *resumption)
{
#if FRAME_ENTRY_LEFT_TO_CALLER
    if (fiber->suspending) {
        discard_stub(fiber, ts);
    }
#endif
    thread_set_frame(ts, resumption->frame);
    thread_trim(ts, resumption->chunk, resumption->top, resumption->limit);
    recursion_restore(ts, &resumption->recursion);
    ts->exc_info = fiber->exc.previous_item;
    fiber->exc.previous_item = NULL;
    running = fiber->resumer;
    fiber->resumer = NULL;
    fiber->resumption = NULL;
    fiber->ts = NULL;
    fiber->phase = fiber->suspending ? FIBER_PARKED : FIBER_DEAD;
}

/* Evaluate the parked frames, innermost first; each result is pushed on the next one out. */
static PyObject *
run_parked(Fiber *fiber, PyThreadState *ts, PyObject *value)
{
    Resumption *resumption = fiber->resumption;
    Parked *parked;
    frame_set_previous(&fiber->outermost->frame, resumption->frame);
    while ((parked = fiber->inner) != NULL) {
        Frame *frame = &parked->frame;
        fiber->inner = parked->outer;
        fiber->active = parked;
        fiber->depth--;
        /* The evaluator links the frame to what is current: so f_back is the true caller. */
        thread_set_frame(ts, parked->outer != NULL ? &parked->outer->frame : resumption->frame);
        recursion_charge(ts, &resumption->recursion, fiber->depth);
        if (value != NULL) {
            frame_step_over_call(frame);
            frame_push(frame, value);
        }
        value = frame_evaluate(ts, frame, value == NULL);
        if (fiber->suspending) {
            break;
        }
        fiber->active = NULL;
        /* The evaluator popped the frame from where it lay: not from the data stack. */
        ts->datastack_top = resumption->top;
#if FRAME_ENTRY_LEFT_TO_CALLER
        frame_discard(frame);
#endif
        parked_free(parked);
    }
    fiber->active = NULL;
    return value;
}

static PyObject *
run_fresh(Fiber *fiber)
{
    PyObject *arguments = fiber->arguments, *keywords = fiber->keywords, *result;
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (keywords != NULL) {
        count -= PyTuple_GET_SIZE(keywords);
    }
    fiber->arguments = NULL;
    fiber->keywords = NULL;
    result = PyObject_Vectorcall(
        fiber->function, ((PyTupleObject *)arguments)->ob_item, (size_t)count, keywords);
    Py_DECREF(arguments);
    Py_XDECREF(keywords);
    return result;
}

/* An exception thrown at a function that has not begun: it never does. */
static void
abandon_fresh(Fiber *fiber)
{
    Py_CLEAR(fiber->arguments);
    Py_CLEAR(fiber->keywords);
}

static PyObject *
finish(Fiber *fiber, PyObject *result)
{
    if (fiber->suspending) {
        PyObject *value = fiber->value;
        fiber->suspending = false;
        fiber->stub = NULL;
        fiber->value = NULL;
        Py_XDECREF(result); /* what the stub returned: nothing that matters */
        return value;
    }
    Py_CLEAR(fiber->exc.exc_value);
    fiber->value = Py_XNewRef(result);
    return result;
}

/* Each nested resume takes C stack, which recursion limits count only roughly. Where the thread's
 * stack can be found, a margin of it is kept free. */
static bool
stack_has_room(void)
{
#if defined(__GLIBC__)
    static __thread char *lowest __attribute__((tls_model("initial-exec")));
    char here;
    if (lowest == NULL) {
        pthread_attr_t attributes;
        void *address = NULL;
        size_t size = 0;
        if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
            return true;
        }
        (void)pthread_attr_getstack(&attributes, &address, &size);
        (void)pthread_attr_destroy(&attributes);
        lowest = (char *)address + (size > 4 * STACK_MARGIN ? STACK_MARGIN : size / 4);
    }
    return &here > lowest;
#else
    return true;
#endif
}

static int
check_can_run(Fiber *fiber, PyThreadState *ts)
{
    if (!stack_has_room()) {
        PyErr_Format(PyExc_RecursionError, "too many fibers have resumed each other to resume %R: "
                     "the thread's C stack is used up", fiber);
        return -1;
    }
    if (!recursion_has_room(ts, fiber->depth)) {
        PyErr_Format(PyExc_RecursionError,
                     "maximum recursion depth exceeded: no room for %R; resume it from less deep, or "
                     "raise sys.setrecursionlimit", fiber);
        return -1;
    }
    if (fiber->context != NULL && PyContext_Enter(fiber->context) < 0) {
        return -1;
    }
    return 0;
}

static PyObject *
run_once(Fiber *fiber, PyThreadState *ts, PyObject *value, PyObject *thrown, bool is_fresh)
{
    Resumption resumption;
    PyObject *result;
    enter(fiber, ts, &resumption);
    if (thrown != NULL) {
        /* The suspended frames' exc_info is current: what they handle becomes its context. */
        PyErr_SetObject((PyObject *)Py_TYPE(thrown), thrown);
        Py_DECREF(thrown);
    }
    if (!is_fresh) {
        result = run_parked(fiber, ts, value);
    }
    else if (value != NULL) {
        Py_DECREF(value);
        result = run_fresh(fiber);
    }
    else {
        abandon_fresh(fiber);
        result = NULL;
    }
    leave(fiber, ts, &resumption);
    return result;
}

/* Run a fresh or parked fiber: give `value` to the waiting suspend, or raise `thrown` there.
 * Steals both. On misuse the fiber is untouched. */
PyObject *
fiber_run(Fiber *fiber, PyObject *value, PyObject *thrown)
{
    PyThreadState *ts = PyThreadState_Get();
    PyObject *result, *context = fiber->context;
    if (check_can_run(fiber, ts) < 0) {
        Py_XDECREF(value);
        Py_XDECREF(thrown);
        return NULL;
    }
    Py_INCREF(fiber);
    Py_XINCREF(context);
    result = run_once(fiber, ts, value, thrown, fiber->phase == FIBER_FRESH);
    while (fiber->suspending && result == NULL) {
        /* A signal handler or a trace function raised inside of `suspend`, when the frames were
         * parked already: the exception belongs to them. */
        thrown = exception_take();
        fiber->suspending = false;
        Py_CLEAR(fiber->value);
        result = run_once(fiber, ts, NULL, thrown, false);
    }
    result = finish(fiber, result);
    if (context != NULL) {
        if (PyContext_Exit(context) < 0) {
            Py_CLEAR(result);
        }
        Py_DECREF(context);
    }
    Py_DECREF(fiber);
    return result;
}
