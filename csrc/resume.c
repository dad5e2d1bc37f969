/* Running a fiber, on its stack: from resume() to the next suspension, the result or an exception. */
#include "core.h"

static ALWAYS_INLINE void
enter(Fiber *fiber, PyThreadState *ts, Resumption *resumption, CStack *stack)
{
    resumption->fiber = fiber;
    resumption->stack = stack;
    thread_stack_save(ts, &resumption->outer);
    if (stack != NULL) {
        thread_stack_put(ts, &stack->unused);
    }
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
enter_parked(Fiber *fiber, PyThreadState *ts, Resumption *resumption, CStack *stack)
{
    enter(fiber, ts, resumption, stack);
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

static ALWAYS_INLINE void
leave(Fiber *fiber, PyThreadState *ts, Resumption *resumption, CStack *stack, bool suspended)
{
    if (suspended) {
        leave_stub(fiber, ts);
    }
    thread_set_frame(ts, resumption->frame);
    const ThreadStack *base = stack != NULL ? &stack->unused : &resumption->outer;
    if (UNLIKELY(ts->datastack_chunk != base->chunk)) {
        thread_trim(ts, base->chunk, base->top);
    }
    if (stack != NULL) {
        thread_stack_put(ts, &resumption->outer);
    }
    else if (base->chunk != NULL) {
        ts->datastack_top = base->top;
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
        ts->datastack_top = resumption_base(resumption)->top;
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
begin(Run *run, PyThreadState *ts)
{
    Fiber *fiber = run->fiber;
    Resumption resumption;
    PyObject *result, *arguments = fiber->arguments, *keywords = fiber->keywords;
    fiber->arguments = NULL;
    fiber->keywords = NULL;
    enter(fiber, ts, &resumption, run->stack);
    result = run_fresh(fiber, ts, arguments, keywords);
    leave(fiber, ts, &resumption, run->stack, fiber->suspending);
    drop_outside(fiber, arguments, keywords, NULL, NULL);
    return result;
}

/* After an evaluation: what the fiber that has come out of it comes to; run->fiber is that one. */
static inline PyObject *
come_out(Run *run, PyThreadState *ts, Resumption *resumption, PyObject *result)
{
    result = run_outward(ts, resumption, result);
    run->fiber = resumption->fiber;
    leave(run->fiber, ts, resumption, run->stack, run->fiber->suspending);
    return result;
}

/* Run the parked frames: give `value` to the waiting suspend, or raise `thrown` there. */
static PyObject *
go_on(Run *run, PyThreadState *ts, PyObject *value, PyObject *thrown)
{
    Fiber *fiber = run->fiber;
    Resumption resumption;
    PyObject *result;
    enter_parked(fiber, ts, &resumption, run->stack);
    if (thrown != NULL) {
        /* The suspended frames' exc_info is current: what they handle becomes its context. */
        PyErr_SetObject((PyObject *)Py_TYPE(thrown), thrown);
        Py_DECREF(thrown);
    }
    result = evaluate_innermost(fiber, ts, &resumption, value);
    return come_out(run, ts, &resumption, result);
}

/* Call what run->next says, in the innermost level. Uses that up. */
static PyObject *
call_on(Run *run, PyThreadState *ts)
{
    Fiber *fiber = run->fiber;
    Next call = run->next;
    Resumption resumption;
    PyObject *few[2], *const *arguments = few, *function = call.callee, *result;
    Py_ssize_t count = 0;
    run->next = (Next){0};
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
    enter_parked(fiber, ts, &resumption, run->stack);
    thread_set_frame(ts, fiber->inner->place);
    recursion_charge(ts, &resumption.recursion, fiber->depth);
    result = call_callee(fiber, ts, function, arguments, (size_t)count, call.keywords);
    result = come_out(run, ts, &resumption, result);
    drop_outside(run->fiber, call.callee, call.argument, call.arguments, call.keywords);
    return result;
}

/* Perform the operation that the fiber was left for, and go on; with another fiber if run->next says so. */
static PyObject *
operate(Run *run, PyThreadState *ts)
{
    PyObject *result;
    control_perform(run->fiber, &run->next);
    if (run->next.fiber != NULL) {
        return NULL;
    }
    if (run->next.callee != NULL) {
        return call_on(run, ts);
    }
    Next next = run->next;
    run->next = (Next){0};
    result = go_on(run, ts, next.value, next.thrown);
    return result;
}

/* What a run comes to: the value that the fiber suspended with, its result, or an exception; nothing when run->next says
 * which fiber goes on. */
static PyObject *
settle(Run *run, PyThreadState *ts, PyObject *result)
{
    Fiber *fiber = run->fiber;
    while (fiber->suspending == OPERATING || (fiber->suspending && result == NULL)) {
        if (result == NULL) {
            /* A signal handler or a trace function raised inside of `suspend`, when the frames were
             * parked already: the exception belongs to them. */
            PyObject *thrown = exception_take();
            control_forget(fiber);
            fiber->suspending = RUNNING;
            result = go_on(run, ts, NULL, thrown);
        }
        else {
            Py_DECREF(result);
            result = operate(run, ts);
            if (run->next.fiber != NULL) {
                return NULL;
            }
        }
        fiber = run->fiber;
    }
    return finish(fiber, result);
}

/* Run a fresh or parked fiber. */
void *
run_fiber(void *argument)
{
    Run *run = argument;
    PyThreadState *ts = run->ts;
    PyObject *value = run->value, *thrown = run->thrown, *result;
    run->value = run->thrown = NULL;
    run->is_odd = true;
    if (run->fiber->phase == FIBER_FRESH) {
        Py_XDECREF(value);
        result = begin(run, ts);
    }
    else {
        result = go_on(run, ts, value, thrown);
    }
    return settle(run, ts, result);
}

static NOINLINE PyObject *
end_parked_run(Run *run, PyThreadState *ts, Resumption *resumption, PyObject *result)
{
    run->is_odd = true;
    result = come_out(run, ts, resumption, result);
    return settle(run, ts, result);
}

/* The same, shortened for a parked fiber that suspends again: with a stack, or without one. */
static ALWAYS_INLINE PyObject *
run_briefly(Run *run, CStack *stack)
{
    PyThreadState *ts = run->ts;
    Fiber *fiber = run->fiber;
    Resumption resumption;
    PyObject *result;
    enter_parked(fiber, ts, &resumption, stack);
    result = evaluate_innermost(fiber, ts, &resumption, run->value);
    fiber = resumption.fiber;
    if (UNLIKELY(fiber->suspending != SUSPENDING || result == NULL)) {
        return end_parked_run(run, ts, &resumption, result);
    }
    run->fiber = fiber;
    fiber->active = NULL;
    leave(fiber, ts, &resumption, stack, true);
    fiber->suspending = RUNNING;
    return result;
}

void *
run_parked_fiber(void *argument)
{
    CStack *stack = argument;
    return run_briefly(&stack->run, stack);
}
