/* Resuming a fiber, on its resumer's side: a stack for it to run on, and who goes on after it. */
#include "core.h"

static int
check_can_run(Fiber *fiber, PyThreadState *ts)
{
    if (!cstack_has_room(ts)) {
        PyErr_Format(PyExc_RecursionError, "too many fibers have resumed each other to resume %R: "
                     "the thread's C stack is used up", fiber);
        return -1;
    }
    if (!recursion_has_room(ts, fiber->depth + (fiber->phase == FIBER_KEPT ? hard_depth(fiber) : 0))) {
        PyErr_Format(PyExc_RecursionError,
                     "maximum recursion depth exceeded: no room for %R; resume it from less deep, or "
                     "raise sys.setrecursionlimit", fiber);
        return -1;
    }
    return 0;
}

/* Its context becomes the current one: by Context.run's rules, or merely so. *context is what to give to leave_context. */
static int
enter_context(Fiber *fiber, PyThreadState *ts, PyObject **context)
{
    if (fiber->owns_context) {
        PyObject *mine = fiber->context == fiber->core->null ? NULL : Py_NewRef(fiber->context);
        Py_SETREF(fiber->context, Py_NewRef(fiber->core->null));
        *context = context_exchange(ts, mine);
        return 0;
    }
    *context = Py_XNewRef(fiber->context);
    return *context == NULL ? 0 : PyContext_Enter(*context);
}

/* `owner`: the fiber, if its context is its own. */
static int
leave_context(Fiber *owner, PyThreadState *ts, PyObject *context)
{
    if (owner != NULL) {
        PyObject *mine = context_exchange(ts, context);
        Py_SETREF(owner->context, mine != NULL ? mine : Py_NewRef(owner->core->null));
        return 0;
    }
    int failed = context == NULL ? 0 : PyContext_Exit(context);
    Py_XDECREF(context);
    return failed;
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

static bool
has_successor(Fiber *fiber)
{
    return fiber->phase == FIBER_DEAD && fiber->control != NULL && fiber->control->successor != NULL;
}

/* A fiber could not be transferred to, because it cannot be run: `from` gets the exception. */
static void
give_back(Fiber *from, Next *next)
{
    if (from != NULL && fiber_waits(from)) {
        next->fiber = (Fiber *)Py_NewRef((PyObject *)from);
        next->thrown = exception_take();
    }
}

/* The run is over: *next says who goes on, *ran, a new reference, who ran at last. */
static void
take_over(Run *run, Fiber **ran, Next *next)
{
    Fiber *fiber = run->fiber;
    CStack *stack = run->resumption.stack;
    *ran = fiber;
    *next = run->next;
    run->next = (Next){0};
    if (stack != NULL && fiber->phase != FIBER_KEPT) {
        cstack_give(fiber->core, stack);
    }
}

/* The stack for a fiber to run on, or NULL: that of its resumer. */
static CStack *
stack_for(Fiber *fiber)
{
    if (fiber->phase == FIBER_KEPT) {
        return fiber->resumption->stack;
    }
    return fiber->is_root ? NULL : cstack_take_slowly(fiber->core);
}

/* Run a fiber on a stack of its own, if it may and there is one. Steals all three. */
static PyObject *
run_on_stack(Fiber *fiber, PyThreadState *ts, PyObject *value, PyObject *thrown, Fiber **ran, Next *next)
{
    Run here = {0}, *run = &here;
    CStack *stack = stack_for(fiber);
    PyObject *result;
    if (stack != NULL) {
        run = &stack->run;
    }
    run->fiber = fiber;
    run->resumption.stack = stack;
    result = run_fiber(run, ts, value, thrown);
    take_over(run, ran, next);
    return result;
}

/* Run what *next says, which is used up; then *next says what to run instead, if anything. `from` transferred
 * there; *ran, a new reference, is who ran at last. */
static PyObject *
run_next(Next *next, PyThreadState *ts, Fiber *from, Fiber **ran)
{
    Fiber *fiber = next->fiber;
    PyObject *result, *value = next->value, *thrown = next->thrown, *context = NULL;
    *next = (Next){0};
    if (UNLIKELY(fiber->core->abandoned != NULL)) {
        hard_close_abandoned(fiber->core, ts);
    }
    if (fiber->phase == FIBER_FRESH && thrown != NULL) {
        Py_XDECREF(value);
        *ran = fiber;
        return end_fresh(fiber, thrown);
    }
    if (fiber_check_idle(fiber, "go on with", value == NULL ? Py_None : value) < 0 || check_can_run(fiber, ts) < 0 ||
        enter_context(fiber, ts, &context) < 0) {
        Py_XDECREF(context);
        Py_XDECREF(value);
        Py_XDECREF(thrown);
        *ran = fiber;
        give_back(from, next);
        return NULL;
    }
    bool owns_context = fiber->owns_context; /* then it is who comes out: with a context nobody is switched to directly */
    result = run_on_stack(fiber, ts, value, thrown, ran, next);
    if (leave_context(owns_context ? *ran : NULL, ts, context) < 0) {
        Py_CLEAR(result);
    }
    return has_successor(*ran) && next->fiber == NULL ? hand_on(*ran, result, next) : result;
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

/* What follows when a run has come to something. */
PyObject *
run_end(Run *run, PyThreadState *ts, Fiber **ran, PyObject *result)
{
    Next next;
    take_over(run, ran, &next);
    if (next.fiber == NULL && has_successor(*ran)) {
        result = hand_on(*ran, result, &next);
    }
    return next.fiber == NULL ? result : run_all(&next, ts, *ran);
}

/* Run a fiber that has not begun or waits: give `value` to the waiting suspend, or raise `thrown` there.
 * Steals both. On misuse the fiber is untouched. */
PyObject *
fiber_run(Fiber *fiber, PyObject *value, PyObject *thrown)
{
    Next next = {.fiber = (Fiber *)Py_NewRef((PyObject *)fiber), .value = value, .thrown = thrown};
    return run_all(&next, PyThreadState_Get(), NULL);
}
