/* Transfers that need not leave the interpreter loop.
 *
 * As with `suspend`, a loop around `transfer` is what matters: the frame that was resumed transfers again, at a call that
 * has been checked, to a fiber that waits.  Then the stub's return goes on with that fiber's innermost frame, in the
 * evaluation that this fiber was resumed with.  Whoever called the evaluator finds in the Resumption which fiber it is
 * now, and holds a reference to that one.  All else goes the long way (control.c). */
#include "core.h"

enum { OTHER, VALUE, ERROR }; /* the stub's locals */

/* The fiber that is transferred to, if there is nothing about it or the arguments that must be looked at twice. */
static inline Fiber *
find_target(Fiber *from, Frame *stub, CoreState *core)
{
    Fiber *to = (Fiber *)slot_object(frame_slots(stub)[OTHER]);
    if (to == NULL || !(Py_IS_TYPE(to, Py_TYPE(from)) || Py_IS_TYPE(to, core->fiber_type)) ||
        to->phase != FIBER_PARKED || to->context != NULL ||
        slot_object(frame_slots(stub)[ERROR]) != Py_None || slot_object(frame_slots(stub)[VALUE]) == NULL) {
        return NULL;
    }
    return to;
}

/* The driver's reference to `from` becomes one to `to`: `from` must be held by somebody else. A generator's caller
 * looks at the generator afterwards (generator_type.c). */
static inline bool
may_be_left(Fiber *from, CoreState *core)
{
    return !from->is_root && from->context == NULL && Py_REFCNT(from) > 1 && !Py_IS_TYPE(from, core->generator_type);
}

/* `to` becomes the active fiber in the stead of `from`. */
static inline void
pass_on(Fiber *from, Fiber *to, PyThreadState *ts)
{
    to->resumption = from->resumption;
    to->resumption->fiber = to;
    to->exc.previous_item = from->exc.previous_item;
    ts->exc_info = to->handling;
    to->ts = ts;
    to->thread = from->thread;
    to->next_active = from->next_active;
    fiber_active_here = to;
    to->phase = FIBER_ACTIVE;
    from->ts = NULL;
    from->active = NULL;
    from->phase = FIBER_PARKED;
}

static inline void
switch_to(Fiber *to, Fiber *from, PyThreadState *ts, Frame *stub)
{
    Parked *innermost = to->inner;
    Resumption *resumption = from->resumption;
    frame_set_previous(&to->outermost->frame, resumption->frame);
    frame_relink_switch(ts, stub, &from->active->frame, &innermost->frame);
    fiber_put_back(from);
    pass_on(from, to, ts);
    to->inner = innermost->outer;
    to->active = innermost;
    to->depth--;
    /* The frame that goes on is counted, and the stub, which will return. */
    recursion_charge(ts, &resumption->recursion, to->depth + 2);
    Py_INCREF(to);
    Py_DECREF(from);
}

/* Transfer as `~gate` in the stub: the value, which the stub returns into the other fiber; or NULL, and nothing has
 * happened. */
PyObject *
fiber_switch(PyObject *gate)
{
    CoreState *core = ((Gate *)gate)->core;
    Fiber *from = fiber_active_here;
    if (UNLIKELY(from == NULL || core == NULL || from->core != core || !may_be_left(from, core))) {
        return NULL;
    }
    PyThreadState *ts = from->ts;
    Frame *stub = thread_frame(ts);
    if (UNLIKELY(stub == NULL || (PyObject *)frame_code(stub) != core->stub_codes[STUB_TRANSFER] ||
                 !fiber_calls_again(from, stub) ||
                 !frame_returns_quietly(ts, stub, core->stub_exits[STUB_TRANSFER]))) {
        return NULL;
    }
    Fiber *to = find_target(from, stub, core);
    if (UNLIKELY(to == NULL || !recursion_had_room(ts, &from->resumption->recursion, to->depth) ||
                 !frame_is_up_to_date(ts, &to->inner->frame))) {
        return NULL;
    }
    PyObject *value = slot_object(frame_slots(stub)[VALUE]);
    frame_slots(stub)[VALUE] = slot_empty();
    switch_to(to, from, ts, stub);
    return value;
}
