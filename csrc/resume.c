/* Running a fiber: from resume() to the next suspension, the result or an exception. */
#include "core.h"

static inline void
enter(Fiber *fiber, PyThreadState *ts, Resumption *resumption)
{
    resumption->fiber = fiber;
    resumption->chunk = ts->datastack_chunk;
    resumption->top = ts->datastack_top;
    recursion_save(ts, &resumption->recursion);
    resumption->frame = thread_frame(ts);
    fiber->exc.previous_item = ts->exc_info;
    ts->exc_info = fiber->handling;
    fiber->resumption = resumption;
    fiber->ts = ts;
    fiber->thread = ts->id;
    fiber->phase = FIBER_ACTIVE;
    fiber->next_active = fiber_active_here;
    fiber_active_here = fiber;
}

static inline void
enter_parked(Fiber *fiber, PyThreadState *ts, Resumption *resumption)
{
    enter(fiber, ts, resumption);
    frame_set_previous(&fiber->outermost->frame, resumption->frame);
}

#if FRAME_ENTRY_LEFT_TO_CALLER
/* The frame of `suspend` was left as it stood, on top of the data stack. */
static inline void
leave_stub(Fiber *fiber, PyThreadState *ts)
{
    Frame *stub = fiber->stub;
    if (frame_object(stub) == NULL && ts->datastack_chunk == fiber->stub_chunk) {
        frame_release(stub); /* nothing that it holds dies: nothing can be pushed over it */
        return;
    }
    ts->datastack_chunk = fiber->stub_chunk; /* instead of resumption->full */
    ts->datastack_top = (PyObject **)((char *)stub + frame_size(frame_code(stub)));
    ts->datastack_limit = (PyObject **)((char *)fiber->stub_chunk + fiber->stub_chunk->size);
    thread_set_frame(ts, fiber->resumption->frame);
    frame_discard(stub);
}
#else
static inline void
leave_stub(Fiber *fiber, PyThreadState *Py_UNUSED(ts))
{
    if (STUBS_EXIT_DIRECTLY && LIKELY(fiber->exit != NULL)) {
        exit_undo(fiber->exit);
    }
}
#endif

static inline void
leave(Fiber *fiber, PyThreadState *ts, Resumption *resumption, bool suspended)
{
    if (suspended) {
        leave_stub(fiber, ts);
    }
    thread_set_frame(ts, resumption->frame);
    if (LIKELY(ts->datastack_chunk == resumption->chunk)) {
        ts->datastack_top = resumption->top;
    }
    else {
        thread_trim(ts, resumption->chunk, resumption->top);
    }
    recursion_restore(ts, &resumption->recursion);
    ts->exc_info = fiber->exc.previous_item;
    if (LIKELY(fiber_active_here == fiber)) {
        fiber_active_here = fiber->next_active;
    }
    else {
        fiber_take_off_list(fiber);
    }
    fiber->ts = NULL;
    fiber->phase = suspended ? FIBER_PARKED : FIBER_DEAD;
}

/* Evaluate the innermost parked frame where it lies. `value` is what its call comes to; NULL: an
 * exception is set instead. Steals it. Meanwhile a switch may put another fiber, and a reference to that
 * one, into the place of this one: afterwards resumption->fiber is who has come out. */
static inline PyObject *
evaluate_innermost(Fiber *fiber, PyThreadState *ts, Resumption *resumption, PyObject *value)
{
    Parked *parked = fiber->inner;
    Frame *frame = &parked->frame;
    fiber->inner = parked->outer;
    fiber->active = parked;
    fiber->depth--;
    /* The evaluator links the frame to what is current: so f_back is the true caller. */
    thread_set_frame(ts, frame_previous(frame));
    recursion_charge(ts, &resumption->recursion, fiber->depth);
    frame_bring_up_to_date(ts, frame);
    if (LIKELY(value != NULL)) {
        frame_step_over_call(frame);
        frame_push(frame, value);
    }
    return frame_evaluate(ts, frame, value == NULL);
}

/* The innermost of the frames that wait is one of a segment: copy it. Where that fails, the frames of
 * that segment are lost, and the error goes to the next one out. Steals and returns the value. */
static NOINLINE PyObject *
bring_up_innermost(Fiber *fiber, PyThreadState *ts, PyObject *value)
{
    PyObject *thrown = value == NULL ? exception_take() : NULL;
    Segment *unused = NULL;
    thread_set_frame(ts, fiber->inner->place);
    if (stand_in_expand(fiber->core, &fiber->inner, &unused) == 0) {
        thread_set_frame(ts, fiber->inner->place);
        Py_XDECREF(unused);
    }
    else {
        Parked *lost = fiber->inner;
        fiber->inner = lost->outer;
        fiber->depth -= parked_count(lost);
        thread_set_frame(ts, fiber->inner->place); /* destructors run, and may look at their callers */
        parked_free_node(lost);
        Py_CLEAR(value);
        Py_CLEAR(thrown);
    }
    if (thrown != NULL) {
        exception_put(thrown);
    }
    return value;
}

/* As long as frames end instead of suspending, each result goes to the next frame out; of whichever
 * fiber that is: resumption->fiber. */
static NOINLINE PyObject *
run_outward(PyThreadState *ts, Resumption *resumption, PyObject *value)
{
    Fiber *fiber = resumption->fiber;
    while (!fiber->suspending) {
        Parked *ended = fiber->active;
        /* The evaluator popped the frame from where it lay: not from the data stack. */
        ts->datastack_top = resumption->top;
        if (ended != NULL) {
            fiber->active = NULL;
#if FRAME_ENTRY_LEFT_TO_CALLER
            frame_discard(&ended->frame);
#endif
            parked_free(ended);
        }
        if (value == NULL && PyErr_Occurred() == fiber->core->abort_signal) {
            thread_set_frame(ts, fiber->inner == NULL ? resumption->frame : fiber->inner->place);
            abort_look_again(fiber, ts);
        }
        while (fiber->inner == fiber->floor && fiber->floor != NULL) {
            value = level_end(fiber, ts, value);
        }
        if (fiber->inner == NULL) {
            break;
        }
        if (parked_is_stand_in(fiber->inner)) {
            value = bring_up_innermost(fiber, ts, value);
            continue; /* it may have been the level's last */
        }
        bool quietly = value == NULL && (ts->c_tracefunc != NULL || ts->c_profilefunc != NULL);
        if (quietly) {
            listeners_miss_call(ts, resumption);
        }
        value = evaluate_innermost(fiber, ts, resumption, value);
        fiber = resumption->fiber;
        if (quietly) {
            listeners_restore(ts, resumption);
        }
    }
    fiber->active = NULL;
    return value;
}

/* Call the fiber's function, or what begins a level. Only the frame that this call pushes is its first:
 * other code that the call runs meanwhile (destructors, odd comparisons of names) lies elsewhere. */
static PyObject *
call_callee(Fiber *fiber, PyThreadState *ts, PyObject *callee, PyObject *const *arguments, size_t count,
            PyObject *keywords)
{
    PyObject *result;
    fiber->callee = callee;
    fiber->first_place = NULL;
    if (fiber->is_direct && thread_has_room(ts, frame_size((PyCodeObject *)PyFunction_GET_CODE(callee)))) {
        fiber->first_place = ts->datastack_top;
    }
    result = PyObject_Vectorcall(callee, arguments, count, keywords);
    fiber->callee = NULL;
    return result;
}

static PyObject *
run_fresh(Fiber *fiber, PyThreadState *ts, PyObject *arguments, PyObject *keywords)
{
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (keywords != NULL) {
        count -= PyTuple_GET_SIZE(keywords);
    }
    return call_callee(fiber, ts, fiber->function, ((PyTupleObject *)arguments)->ob_item, (size_t)count, keywords);
}

static inline PyObject *
finish(Fiber *fiber, PyObject *result)
{
    if (fiber->suspending) {
        fiber->suspending = RUNNING;
        return result;
    }
    Py_CLEAR(fiber->exc.exc_value);
    Py_XSETREF(fiber->result, Py_XNewRef(result)); /* a stored state may have had one before */
    return result;
}

static int
check_can_run(Fiber *fiber, PyThreadState *ts)
{
    if (!c_stack_has_room(ts)) {
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

/* Drop what a function was called with after the fiber has been left: destructors run outside of it, and must not resume
 * or copy it before what it was left for has been done. */
static void
drop_outside(Fiber *fiber, PyObject *a, PyObject *b, PyObject *c, PyObject *d)
{
    char phase = fiber->phase;
    fiber->phase = phase == FIBER_PARKED ? FIBER_ACTIVE : phase;
    Py_XDECREF(a);
    Py_XDECREF(b);
    Py_XDECREF(c);
    Py_XDECREF(d);
    fiber->phase = phase;
}

static PyObject *
begin(Fiber *fiber, PyThreadState *ts)
{
    Resumption resumption;
    PyObject *result, *arguments = fiber->arguments, *keywords = fiber->keywords;
    fiber->arguments = NULL;
    fiber->keywords = NULL;
    enter(fiber, ts, &resumption);
    result = run_fresh(fiber, ts, arguments, keywords);
    leave(fiber, ts, &resumption, fiber->suspending);
    drop_outside(fiber, arguments, keywords, NULL, NULL);
    return result;
}

/* After an evaluation: what the fiber that has come out of it comes to; *running is that one. */
static inline PyObject *
come_out(Fiber **running, PyThreadState *ts, Resumption *resumption, PyObject *result)
{
    result = run_outward(ts, resumption, result);
    *running = resumption->fiber;
    leave(*running, ts, resumption, (*running)->suspending);
    return result;
}

/* Run the parked frames: give `value` to the waiting suspend, or raise `thrown` there. */
static PyObject *
go_on(Fiber **running, PyThreadState *ts, PyObject *value, PyObject *thrown)
{
    Fiber *fiber = *running;
    Resumption resumption;
    PyObject *result;
    enter_parked(fiber, ts, &resumption);
    if (thrown != NULL) {
        /* The suspended frames' exc_info is current: what they handle becomes its context. */
        PyErr_SetObject((PyObject *)Py_TYPE(thrown), thrown);
        Py_DECREF(thrown);
    }
    result = evaluate_innermost(fiber, ts, &resumption, value);
    return come_out(running, ts, &resumption, result);
}

/* An exception thrown at a function that has not begun: it never does. */
static PyObject *
end_fresh(Fiber *fiber, PyObject *thrown)
{
    fiber->phase = FIBER_DEAD;
    Py_CLEAR(fiber->arguments);
    Py_CLEAR(fiber->keywords);
    PyErr_SetObject((PyObject *)Py_TYPE(thrown), thrown);
    Py_DECREF(thrown);
    return NULL;
}

/* Call what *next says, in the innermost level. Uses that up. */
static PyObject *
call_on(Fiber **running, PyThreadState *ts, Next *next)
{
    Fiber *fiber = *running;
    Next call = *next;
    Resumption resumption;
    PyObject *few[2], *const *arguments = few, *function = call.callee, *result;
    Py_ssize_t count = 0;
    *next = (Next){0};
    if (call.arguments != NULL) {
        arguments = ((PyTupleObject *)call.arguments)->ob_item;
        count = PyTuple_GET_SIZE(call.arguments) - (call.keywords == NULL ? 0 : PyTuple_GET_SIZE(call.keywords));
    }
    else if (PyMethod_Check(function) && is_direct(fiber->core, PyMethod_GET_FUNCTION(function))) {
        few[count++] = PyMethod_GET_SELF(function);
        function = PyMethod_GET_FUNCTION(function);
    }
    if (call.argument != NULL) {
        few[count++] = call.argument;
    }
    fiber->is_direct = is_direct(fiber->core, function);
    enter_parked(fiber, ts, &resumption);
    thread_set_frame(ts, fiber->inner->place);
    recursion_charge(ts, &resumption.recursion, fiber->depth);
    result = call_callee(fiber, ts, function, arguments, (size_t)count, call.keywords);
    result = come_out(running, ts, &resumption, result);
    drop_outside(*running, call.callee, call.argument, call.arguments, call.keywords);
    return result;
}

/* Perform the operation that the fiber was left for, and go on; with another fiber if *next says so. */
static PyObject *
operate(Fiber **running, PyThreadState *ts, Next *next)
{
    PyObject *result = NULL;
    control_perform(*running, next);
    if (next->fiber != NULL) {
        return NULL;
    }
    if (next->callee != NULL) {
        result = call_on(running, ts, next);
    }
    else {
        result = go_on(running, ts, next->value, next->thrown);
    }
    *next = (Next){0};
    return result;
}

/* What a run of the fiber comes to: the value it suspended with, its result, or an exception; nothing
 * when *next says which fiber goes on. *running is the one that has run at last. */
static NOINLINE PyObject *
settle(Fiber **running, PyThreadState *ts, PyObject *result, Next *next)
{
    Fiber *fiber = *running;
    while (fiber->suspending == OPERATING || (fiber->suspending && result == NULL)) {
        if (result == NULL) {
            /* A signal handler or a trace function raised inside of `suspend`, when the frames were
             * parked already: the exception belongs to them. */
            PyObject *thrown = exception_take();
            control_forget(fiber);
            fiber->suspending = RUNNING;
            result = go_on(running, ts, NULL, thrown);
        }
        else {
            Py_DECREF(result);
            result = operate(running, ts, next);
            if (next->fiber != NULL) {
                return NULL;
            }
        }
        fiber = *running;
    }
    return finish(fiber, result);
}

/* A fiber with a successor has ended: that one goes on, with its result or exception. */
static PyObject *
hand_on(Fiber *fiber, PyObject *result, Next *next)
{
    next->fiber = (Fiber *)fiber->control->successor;
    fiber->control->successor = NULL;
    next->value = result;
    next->thrown = result == NULL ? exception_take() : NULL;
    return NULL;
}

/* A fiber could not be transferred to, because it cannot be run: `from` gets the exception. */
static void
give_back(Fiber *from, Next *next)
{
    if (from != NULL && from->phase == FIBER_PARKED) {
        next->fiber = (Fiber *)Py_NewRef((PyObject *)from);
        next->thrown = exception_take();
    }
}

/* Run what *next says, which is used up; then *next says what to run instead, if anything. `from` transferred
 * there; *ran, a new reference, is who ran at last. */
static PyObject *
run_next(Next *next, PyThreadState *ts, Fiber *from, Fiber **ran)
{
    Fiber *fiber = next->fiber;
    PyObject *result, *value = next->value, *thrown = next->thrown, *context;
    *next = (Next){0};
    if (fiber->phase == FIBER_FRESH && thrown != NULL) {
        Py_XDECREF(value);
        *ran = fiber;
        return end_fresh(fiber, thrown);
    }
    if (fiber_check_idle(fiber, "go on with", value == NULL ? Py_None : value) < 0 || check_can_run(fiber, ts) < 0) {
        Py_XDECREF(value);
        Py_XDECREF(thrown);
        *ran = fiber;
        give_back(from, next);
        return NULL;
    }
    context = Py_XNewRef(fiber->context);
    if (fiber->phase == FIBER_FRESH) {
        Py_XDECREF(value);
        result = begin(fiber, ts);
    }
    else {
        result = go_on(&fiber, ts, value, thrown);
    }
    result = settle(&fiber, ts, result, next);
    if (context != NULL) {
        if (PyContext_Exit(context) < 0) {
            Py_CLEAR(result);
        }
        Py_DECREF(context);
    }
    if (fiber->phase == FIBER_DEAD && fiber->control != NULL && fiber->control->successor != NULL) {
        result = hand_on(fiber, result, next);
    }
    *ran = fiber;
    return result;
}

/* Run what *next says, and what follows by transfers, until a fiber suspends or has ended. */
static NOINLINE PyObject *
run_all(Next *next, PyThreadState *ts, Fiber *from)
{
    PyObject *result = NULL;
    Py_XINCREF(from);
    while (next->fiber != NULL) {
        Fiber *ran;
        result = run_next(next, ts, from, &ran);
        /* A fiber that was given back what it could not transfer to is not given it twice. */
        Py_XSETREF(from, next->fiber == from ? NULL : (Fiber *)Py_NewRef((PyObject *)ran));
        Py_DECREF(ran);
    }
    Py_XDECREF(from);
    return result;
}

/* What follows when a run has not come to a plain suspension. */
static NOINLINE PyObject *
end_run(Fiber **running, PyThreadState *ts, PyObject *result)
{
    Next next = {0};
    result = settle(running, ts, result, &next);
    Fiber *fiber = *running;
    if (next.fiber == NULL && fiber->phase == FIBER_DEAD && fiber->control != NULL &&
        fiber->control->successor != NULL) {
        result = hand_on(fiber, result, &next);
    }
    return next.fiber == NULL ? result : run_all(&next, ts, fiber);
}

static NOINLINE PyObject *
end_parked_run(Fiber **running, PyThreadState *ts, Resumption *resumption, PyObject *result)
{
    result = come_out(running, ts, resumption, result);
    return end_run(running, ts, result);
}

static NOINLINE PyObject *
run_slowly(Fiber *fiber, PyObject *value)
{
    return fiber_run(fiber, Py_NewRef(value), NULL);
}

/* The shortcut for a parked fiber without a context of its own that suspends again: what fiber_run
 * does then. Otherwise `outcome` makes something of the result. */
static ALWAYS_INLINE PyObject *
run_parked(Fiber *resumed, PyObject *value, PyObject *(*outcome)(Fiber *, PyObject *, bool), bool bare)
{
    PyThreadState *ts = thread_current();
    Fiber *fiber = resumed;
    Resumption resumption;
    PyObject *result;
    Py_INCREF(fiber);
    if (UNLIKELY(!c_stack_has_room(ts) || !recursion_has_room(ts, fiber->depth))) {
        result = outcome(fiber, run_slowly(fiber, value), bare);
        Py_DECREF(fiber);
        return result;
    }
    enter_parked(fiber, ts, &resumption);
    result = evaluate_innermost(fiber, ts, &resumption, Py_NewRef(value));
    fiber = resumption.fiber;
    if (LIKELY(fiber->suspending == SUSPENDING && result != NULL)) {
        fiber->active = NULL;
        leave(fiber, ts, &resumption, true);
        fiber->suspending = RUNNING;
    }
    else {
        Fiber *running = fiber; /* not `fiber`, which is to stay in a register */
        result = outcome(resumed, end_parked_run(&running, ts, &resumption, result), bare);
        fiber = running;
    }
    Py_DECREF(fiber);
    return result;
}

static inline PyObject *
result_itself(Fiber *Py_UNUSED(fiber), PyObject *result, bool Py_UNUSED(bare))
{
    return result;
}

PyObject *
fiber_resume_parked(Fiber *fiber, PyObject *value)
{
    return run_parked(fiber, value, result_itself, false);
}

/* The same for a generator, by its protocol (generator_type.c). */
PyObject *
fiber_advance(Fiber *fiber, PyObject *value, bool bare)
{
    return run_parked(fiber, value, generator_outcome, bare);
}

/* Run a fresh or parked fiber: give `value` to the waiting suspend, or raise `thrown` there.
 * Steals both. On misuse the fiber is untouched. */
PyObject *
fiber_run(Fiber *fiber, PyObject *value, PyObject *thrown)
{
    Next next = {.fiber = (Fiber *)Py_NewRef((PyObject *)fiber), .value = value, .thrown = thrown};
    return run_all(&next, PyThreadState_Get(), NULL);
}
