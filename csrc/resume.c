/* Running a fiber: from resume() to the next suspension, the result or an exception. */
#include "core.h"

static ALWAYS_INLINE void
enter(Fiber *fiber, PyThreadState *ts, Resumption *resumption, CStack *stack)
{
    resumption->fiber = fiber;
    thread_stack_save(ts, &resumption->outer);
    if (stack != NULL) {
        thread_stack_put(ts, &stack->unused);
    }
    recursion_save(ts, &resumption->recursion);
    resumption->frame = thread_frame(ts);
    resumption->context = ts->context;
    resumption->events = thread_events(ts);
    fiber->exc.previous_item = ts->exc_info;
    ts->exc_info = fiber->handling;
    fiber->resumption = resumption;
    fiber->ts = ts;
    fiber->thread = ts->id;
    fiber->phase = FIBER_ACTIVE;
    fiber->next_active = fiber_active_here;
    fiber_active_here = fiber;
}

static ALWAYS_INLINE void
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
    if (LIKELY(fiber->stub_chunk == NULL)) {
        frame_drop_names(stub);
        return;
    }
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
    callers_hear_of_events(ts, resumption);
}

/* Evaluate the frame, on that stack (NULL: on this one). */
static ALWAYS_INLINE PyObject *
evaluate(PyThreadState *ts, Frame *frame, bool throwing, CStack *stack)
{
    if (stack == NULL) {
        return frame_evaluate(ts, frame, throwing);
    }
    return cstack_call(stack, (StackFunction)(void (*)(void))FRAME_EVALUATE, ts, frame, (void *)(uintptr_t)throwing, NULL);
}

/* Evaluate the innermost parked frame where it lies. `value` is what its call comes to; NULL: an
 * exception is set instead. Steals it. Meanwhile a switch may put another fiber, and a reference to that
 * one, into the place of this one: afterwards resumption->fiber is who has come out. */
static ALWAYS_INLINE PyObject *
evaluate_innermost(Fiber *fiber, PyThreadState *ts, Resumption *resumption, CStack *stack, PyObject *value)
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
    return evaluate(ts, frame, value == NULL, stack);
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
static NOINLINE IN_FRAME_OF_ITS_OWN PyObject *
run_outward(PyThreadState *ts, Resumption *resumption, PyObject *value)
{
    Fiber *fiber = resumption->fiber;
    while (!fiber->suspending) {
        Parked *ended = fiber->active;
        if (resumption->batch != NULL) {
            batch_end(resumption);
        }
        /* The evaluator popped the frame from where it lay: not from the data stack. */
        ts->datastack_top = resumption_base(resumption)->top;
        if (ended != NULL) {
            fiber->active = NULL;
#if FRAME_ENTRY_LEFT_TO_CALLER
            frame_discard(&ended->frame);
#endif
            parked_end(fiber->core, ended);
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
            Frame *stub = batch_begin(fiber, ts, resumption, value);
            value = stub == NULL ? bring_up_innermost(fiber, ts, value) : evaluate(ts, stub, false, resumption->stack);
            continue; /* it may have been the level's last */
        }
        bool quietly = value == NULL && (ts->c_tracefunc != NULL || ts->c_profilefunc != NULL);
        if (quietly) {
            listeners_miss_call(ts, resumption);
        }
        value = evaluate_innermost(fiber, ts, resumption, resumption->stack, value);
        fiber = resumption->fiber;
        if (quietly) {
            listeners_restore(ts, resumption);
        }
    }
    if (fiber->suspending != KEEPING) {
        fiber->active = NULL;
        resumption->batch = NULL;
    }
    return value;
}

/* Call the fiber's function, or what begins a level. Only the frame that this call pushes is its first:
 * other code that the call runs meanwhile (destructors, odd comparisons of names) lies elsewhere. */
static IN_FRAME_OF_ITS_OWN PyObject *
call_callee(Run *run, PyThreadState *ts, PyObject *callee, PyObject *const *arguments, size_t count, PyObject *keywords)
{
    Fiber *fiber = run->fiber;
    CStack *stack = run->resumption.stack;
    PyObject *result;
    fiber->callee = callee;
    fiber->first_place = NULL;
    if (fiber->is_direct && thread_has_room(ts, frame_size((PyCodeObject *)PyFunction_GET_CODE(callee)))) {
        fiber->first_place = ts->datastack_top;
    }
    if (stack == NULL) {
        result = PyObject_Vectorcall(callee, arguments, count, keywords);
    }
    else {
        result = cstack_call(stack, (StackFunction)(void (*)(void))PyObject_Vectorcall, callee, (void *)arguments, (void *)count,
                             keywords);
    }
    if (fiber->suspending != KEEPING) {
        fiber->callee = NULL;
    }
    return result;
}

/* The call has ended. Destructors run outside of the fiber, and must not resume or copy it before what it was left for has
 * been done. */
static void
drop_call(Run *run)
{
    Fiber *fiber = run->fiber;
    Call call = run->call;
    char phase = fiber->phase;
    if (fiber->suspending == KEEPING) {
        return;
    }
    run->call = (Call){0};
    fiber->phase = phase == FIBER_PARKED ? FIBER_ACTIVE : phase;
    Py_XDECREF(call.function);
    Py_XDECREF(call.few[0]);
    Py_XDECREF(call.few[1]);
    Py_XDECREF(call.arguments);
    Py_XDECREF(call.keywords);
    fiber->phase = phase;
}

/* After an evaluation: what the fiber that has come out of it comes to; run->fiber is that one. */
static inline PyObject *
come_out(Run *run, PyThreadState *ts, PyObject *result)
{
    result = run_outward(ts, &run->resumption, result);
    Fiber *fiber = run->fiber = run->resumption.fiber;
    if (fiber->suspending != KEEPING) {
        leave(fiber, ts, &run->resumption, run->resumption.stack, fiber->suspending);
    }
    else {
        callers_hear_of_events(ts, &run->resumption);
    }
    return result;
}

/* What the fiber was made to call. */
static PyObject *
begin(Run *run, PyThreadState *ts)
{
    Fiber *fiber = run->fiber;
    PyObject *arguments = fiber->arguments, *keywords = fiber->keywords;
    Py_ssize_t count = PyTuple_GET_SIZE(arguments) - (keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords));
    run->call = (Call){.arguments = arguments, .keywords = keywords};
    fiber->arguments = NULL;
    fiber->keywords = NULL;
    enter(fiber, ts, &run->resumption, run->resumption.stack);
    PyObject *result = call_callee(run, ts, fiber->function, ((PyTupleObject *)arguments)->ob_item, (size_t)count, keywords);
    result = come_out(run, ts, result);
    drop_call(run);
    return result;
}

/* Run the parked frames: give `value` to the waiting suspend, or raise `thrown` there. */
static IN_FRAME_OF_ITS_OWN PyObject *
go_on(Run *run, PyThreadState *ts, PyObject *value, PyObject *thrown)
{
    Fiber *fiber = run->fiber;
    CStack *stack = run->resumption.stack;
    enter_parked(fiber, ts, &run->resumption, stack);
    if (thrown != NULL) {
        /* The suspended frames' exc_info is current: what they handle becomes its context. */
        PyErr_SetObject((PyObject *)Py_TYPE(thrown), thrown);
        Py_DECREF(thrown);
    }
    PyObject *result = evaluate_innermost(fiber, ts, &run->resumption, stack, value);
    return come_out(run, ts, result);
}

/* After a switch back from the fiber's stack, where a call or an evaluation was in progress that has ended, unless the
 * stack is kept again. */
static PyObject *
come_back(Run *run, PyThreadState *ts, PyObject *result)
{
    Fiber *fiber = run->resumption.fiber;
    if (fiber->suspending != KEEPING) {
        fiber->callee = NULL;
    }
    result = come_out(run, ts, result);
    drop_call(run);
    return result;
}

/* Go on where the fiber waits with its stack: give `value` to what has suspended there, or raise `thrown`. */
static IN_FRAME_OF_ITS_OWN PyObject *
go_on_kept(Run *run, PyThreadState *ts, PyObject *value, PyObject *thrown)
{
    CStack *stack = run->resumption.stack;
    hard_attach(run->fiber, ts);
    if (thrown != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(thrown), thrown);
        Py_DECREF(thrown);
    }
    return come_back(run, ts, cstack_enter(stack, value));
}

/* Call what run->next says, in the innermost level. Uses that up. */
static PyObject *
call_on(Run *run, PyThreadState *ts)
{
    Fiber *fiber = run->fiber;
    Next next = run->next;
    PyObject *const *arguments = run->call.few, *function = next.callee;
    Py_ssize_t count = 0;
    run->next = (Next){0};
    run->call = (Call){.function = next.callee, .arguments = next.arguments, .keywords = next.keywords};
    if (next.arguments != NULL) {
        arguments = ((PyTupleObject *)next.arguments)->ob_item;
        count = PyTuple_GET_SIZE(next.arguments) - (next.keywords == NULL ? 0 : PyTuple_GET_SIZE(next.keywords));
    }
    else if (PyMethod_Check(function) && is_direct(fiber->core, PyMethod_GET_FUNCTION(function))) {
        run->call.few[count++] = Py_NewRef(PyMethod_GET_SELF(function));
        function = PyMethod_GET_FUNCTION(function);
    }
    if (next.argument != NULL) {
        run->call.few[count++] = next.argument;
    }
    fiber->is_direct = is_direct(fiber->core, function);
    enter_parked(fiber, ts, &run->resumption, run->resumption.stack);
    thread_set_frame(ts, fiber->inner->place);
    recursion_charge(ts, &run->resumption.recursion, fiber->depth);
    PyObject *result = call_callee(run, ts, function, arguments, (size_t)count, next.keywords);
    result = come_out(run, ts, result);
    drop_call(run);
    return result;
}

/* Perform the operation that the fiber was left for, and go on; with another fiber if run->next says so. */
static PyObject *
operate(Run *run, PyThreadState *ts)
{
    control_perform(run->fiber, &run->next);
    if (run->next.fiber != NULL) {
        return NULL;
    }
    if (run->next.callee != NULL) {
        return call_on(run, ts);
    }
    PyObject *value = run->next.value, *thrown = run->next.thrown;
    run->next = (Next){0};
    return go_on(run, ts, value, thrown);
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

/* What a run comes to: the value that the fiber suspended with, its result, or an exception; nothing when run->next says
 * which fiber goes on. */
static PyObject *
settle(Run *run, PyThreadState *ts, PyObject *result)
{
    Fiber *fiber = run->fiber;
    while (fiber->suspending == OPERATING || (fiber->suspending == SUSPENDING && result == NULL)) {
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
            if (run->next.fiber != NULL && run->fiber->suspending != KEEPING) {
                return NULL;
            }
        }
        fiber = run->fiber;
    }
    return finish(fiber, result);
}

/* Run a fiber that has not begun or waits: give `value` to the waiting suspend, or raise `thrown` there. Steals both. */
PyObject *
run_fiber(Run *run, PyThreadState *ts, PyObject *value, PyObject *thrown)
{
    PyObject *result;
    if (run->fiber->phase == FIBER_FRESH) {
        Py_XDECREF(value);
        result = begin(run, ts);
    }
    else if (run->fiber->phase == FIBER_KEPT) {
        result = go_on_kept(run, ts, value, thrown);
    }
    else {
        result = go_on(run, ts, value, thrown);
    }
    return settle(run, ts, result);
}

/* The same after fiber_resume_kept in hard.c. */
PyObject *
run_left(Run *run, PyThreadState *ts, PyObject *result)
{
    Fiber *ran;
    result = settle(run, ts, come_back(run, ts, result));
    result = run_end(run, ts, &ran, result);
    Py_DECREF(ran);
    return result;
}

/* ---- the shortcut for a parked fiber, without a context of its own, that suspends again ---------- */

static NOINLINE PyObject *
run_slowly(Fiber *fiber, PyObject *value)
{
    return fiber_run(fiber, Py_NewRef(value), NULL);
}

static NOINLINE PyObject *
end_slowly(Run *run, PyThreadState *ts, Fiber **ran, PyObject *result)
{
    run->resumption.fiber->core->stacks_pooled--;
    result = come_out(run, ts, result);
    return run_end(run, ts, ran, settle(run, ts, result));
}

/* What fiber_run does then. Otherwise `outcome` makes something of the result. */
static ALWAYS_INLINE PyObject *
run_parked(Fiber *resumed, PyObject *value, PyObject *(*outcome)(Fiber *, PyObject *, bool), bool bare)
{
    CoreState *core = resumed->core;
    PyThreadState *ts = thread_running(&core->finder);
    CStack *stack = core->stacks;
    Fiber *fiber = resumed;
    PyObject *result;
    Py_INCREF(fiber);
    if (UNLIKELY(stack == NULL || !cstacks_are_safe(core) || !c_stack_suffices(STACK_SIZE) || !recursion_has_room(ts, fiber->depth))) {
        result = outcome(fiber, run_slowly(fiber, value), bare);
        Py_DECREF(fiber);
        return result;
    }
    Resumption *resumption = &stack->run.resumption;
    core->stacks = stack->next;
    enter_parked(fiber, ts, resumption, stack);
    result = evaluate_innermost(fiber, ts, resumption, stack, Py_NewRef(value));
    fiber = resumption->fiber;
    if (LIKELY(fiber->suspending == SUSPENDING && result != NULL)) {
        fiber->active = NULL;
        leave(fiber, ts, resumption, stack, true);
        fiber->suspending = RUNNING;
        stack->next = core->stacks;
        core->stacks = stack;
    }
    else {
        Fiber *ran; /* not `fiber`, which is to stay in a register */
        result = outcome(resumed, end_slowly(&stack->run, ts, &ran, result), bare);
        fiber = ran;
    }
    Py_DECREF(fiber);
    return result;
}

static inline PyObject *
result_itself(Fiber *Py_UNUSED(fiber), PyObject *result, bool Py_UNUSED(bare))
{
    return result;
}

IN_FRAME_OF_ITS_OWN PyObject *
fiber_resume_parked(Fiber *fiber, PyObject *value)
{
    return run_parked(fiber, value, result_itself, false);
}

/* The same for a generator, by its protocol (generator_type.c). */
IN_FRAME_OF_ITS_OWN PyObject *
fiber_advance(Fiber *fiber, PyObject *value, bool bare)
{
    return run_parked(fiber, value, generator_outcome, bare);
}
