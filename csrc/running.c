/* Which fiber runs here, and which have resumed it. */
#include "core.h"

/* The active fibers of this OS thread, most recent first. Each takes itself off when it is left. */
THREAD_LOCAL Fiber *fiber_active_here;

bool
fiber_is_of_thread(Fiber *fiber, PyThreadState *ts)
{
    return fiber->ts == ts && fiber->thread == ts->id;
}

/* Which fiber an exception state belongs to. The chain of these (exc_info) is what all that
 * switches stacks saves and restores, so it tells the truth where our list alone does not: under
 * greenlets, fibers can be left in another order than they were entered. */
static Fiber *
owner_of(_PyErr_StackItem *item, PyThreadState *ts)
{
    for (Fiber *fiber = fiber_active_here; fiber != NULL; fiber = fiber->next_active) {
        if (&fiber->exc == item) {
            return fiber_is_of_thread(fiber, ts) ? fiber : NULL;
        }
    }
    return NULL;
}

/* The fiber that runs the current code; generators' exception states may lie above its own. */
Fiber *
fiber_running_here(PyThreadState *ts)
{
    Fiber *fiber = fiber_active_here;
    if (fiber == NULL || (fiber->handling == ts->exc_info && fiber_is_of_thread(fiber, ts))) {
        return fiber; /* as nearly always */
    }
    fiber = NULL;
    for (_PyErr_StackItem *item = ts->exc_info; item != NULL && fiber == NULL; item = item->previous_item) {
        fiber = owner_of(item, ts);
    }
    return fiber;
}

/* The fiber that `fiber`, active on this thread, has resumed; NULL when it is the running one. */
Fiber *
fiber_resumed_by(PyThreadState *ts, Fiber *fiber)
{
    Fiber *above = NULL;
    for (_PyErr_StackItem *item = ts->exc_info; item != NULL; item = item->previous_item) {
        Fiber *owner = owner_of(item, ts);
        if (owner == fiber) {
            return above;
        }
        above = owner != NULL ? owner : above;
    }
    return NULL;
}

/* The nearest active fiber outside of `fiber`, which is active on this thread; or NULL. */
Fiber *
fiber_resumer(PyThreadState *ts, Fiber *fiber)
{
    Fiber *resumer = NULL;
    for (_PyErr_StackItem *item = fiber->exc.previous_item; item != NULL && resumer == NULL;
         item = item->previous_item) {
        resumer = owner_of(item, ts);
    }
    return resumer;
}

NOINLINE void
fiber_take_off_list(Fiber *fiber)
{
    Fiber **link = &fiber_active_here;
    while (*link != NULL && *link != fiber) {
        link = &(*link)->next_active;
    }
    if (*link != NULL) {
        *link = fiber->next_active;
    }
}

/* Bring the code of the frames that are current up to date with the events that are set. */
NOINLINE void
callers_bring_up_to_date(PyThreadState *ts)
{
    for (Frame *f = thread_frame(ts); f != NULL; f = frame_previous(f)) {
        if (frame_is_generator(f) || frame_is_plain(f)) {
            frame_hear_of_events(ts, f);
        }
    }
}

/* is_capturable(): whether `suspend` would leave no C frame behind. */
PyObject *
core_is_capturable(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    CoreState *core = core_state(module);
    PyThreadState *ts = PyThreadState_Get();
    Fiber *fiber = fiber_running_here(ts);
    Frame *stub = thread_frame(ts);
    if (fiber == NULL || fiber->core != core || (fiber->is_root && fiber->guest == NULL) || stub == NULL || fiber->suspending ||
        (PyObject *)frame_code(stub) != core->stub_codes[STUB_ASK]) {
        Py_RETURN_FALSE;
    }
    int found = fiber_could_park(fiber, ts, stub, PY_SSIZE_T_MAX);
    return found < 0 ? NULL : PyBool_FromLong(found);
}
