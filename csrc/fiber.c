/* The Fiber type: hold, resume, throw, close, finalise. */
#include "core.h"
#include <structmember.h>

/* Allocation may run other code (the collector, destructors): nothing may resume or close a fiber
 * whose frames are being read. Returns the phase that it had without that. */
FiberPhase
fiber_hold(Fiber *fiber)
{
    FiberPhase phase = (FiberPhase)fiber->phase;
    if (phase == FIBER_PARKED || phase == FIBER_HELD) {
        fiber->phase = FIBER_HELD;
        fiber->holds++;
        return FIBER_PARKED;
    }
    return phase;
}

void
fiber_let_go(Fiber *fiber)
{
    if (fiber->phase == FIBER_HELD && --fiber->holds == 0) {
        fiber->phase = FIBER_PARKED;
    }
}

/* ---- resume, throw, close ---------------------------------------------------------------- */

static int
check_idle(Fiber *fiber, const char *verb)
{
    if (fiber->phase == FIBER_ACTIVE) {
        PyThreadState *ts = PyThreadState_Get();
        const char *why = fiber->ts == NULL                   ? "its stack is being changed"
                          : !fiber_is_of_thread(fiber, ts)    ? "another thread runs it"
                          : fiber_running_here(ts) == fiber ? "it is running"
                                                            : "it has resumed another fiber";
        PyErr_Format(fiber->core->fiber_error, "cannot %s %R: %s", verb, fiber, why);
        return -1;
    }
    if (fiber->phase == FIBER_GUEST) {
        PyErr_Format(fiber->core->fiber_error, "cannot %s %R: its frames are on the stack of the fiber that resumed it, by "
                     "resume(); go on with that one", verb, fiber);
        return -1;
    }
    if (fiber->phase == FIBER_HELD) {
        PyErr_Format(fiber->core->fiber_error, "cannot %s %R: it is being copied or looked at", verb, fiber);
        return -1;
    }
    if (fiber->phase == FIBER_DEAD) {
        PyErr_Format(fiber->core->fiber_error, "cannot %s dead fiber %R", verb, fiber);
        return -1;
    }
    if (fiber->phase == FIBER_KEPT && !fiber_is_of_thread(fiber, PyThreadState_Get())) {
        PyErr_Format(fiber->core->fiber_error, "cannot %s %R in this thread: it is suspended behind a C call, and that goes on "
                     "only in the thread in which it began", verb, fiber);
        return -1;
    }
    return 0;
}

/* Can the fiber be given `value` by this verb? */
int
fiber_check_idle(Fiber *fiber, const char *verb, PyObject *value)
{
    if (check_idle(fiber, verb) < 0) {
        return -1;
    }
    if (fiber->phase == FIBER_FRESH && value != Py_None) {
        PyErr_Format(fiber->core->fiber_error,
                     "cannot %s %R with the value %R: the first time no suspend is waiting for one; pass "
                     "arguments to Fiber(function, ...)", verb, fiber, value);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(resume_doc,
"resume($self, value=None, /)\n--\n\n"
"Run until the next suspend, and return what it was given; at the end the function's result.\n\n"
"`value` is what the waiting suspend returns. An exception leaves through resume and the fiber is\n"
"then dead. Raises FiberError when the fiber is dead or running, or when the first resume is given\n"
"a value, which nothing waits for. (Lua's coroutine.resume; generator.send.)");

static IN_FRAME_OF_ITS_OWN PyObject *
fiber_resume(Fiber *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *value = LIKELY(count == 1) ? args[0] : Py_None;
    if (LIKELY(count <= 1 && self->phase == FIBER_PARKED && self->context == NULL)) {
        return fiber_resume_parked(self, value);
    }
    if (count <= 1 && self->phase == FIBER_KEPT && self->context == NULL) {
        return fiber_resume_kept(self, value);
    }
    if (count > 1) {
        return PyErr_Format(PyExc_TypeError, "resume expected at most 1 argument, got %zd", count);
    }
    if (self->phase != FIBER_PARKED) {
        if (check_idle(self, "resume") < 0) {
            return NULL;
        }
        if (value != Py_None && self->phase == FIBER_FRESH) {
            return PyErr_Format(self->core->fiber_error,
                                "cannot resume %R with the value %R: the first time no suspend is waiting for one; pass "
                                "arguments to Fiber(function, ...)", self, value);
        }
    }
    return fiber_run(self, Py_NewRef(value), NULL);
}

PyDoc_STRVAR(throw_doc,
"throw($self, exception, /)\n--\n\n"
"Raise `exception` (an instance or a class) at the waiting suspend; otherwise like resume.\n\n"
"Thrown into a fiber that has not begun, it ends it before its first line. (generator.throw)");

static PyObject *
fiber_throw(Fiber *self, PyObject *exception)
{
    if (check_idle(self, "throw into") < 0) {
        return NULL;
    }
    if (PyExceptionInstance_Check(exception)) {
        return fiber_run(self, NULL, Py_NewRef(exception));
    }
    PyObject *made = PyExceptionClass_Check(exception) ? PyObject_CallNoArgs(exception) : Py_NewRef(Py_None);
    if (made != NULL && !PyExceptionInstance_Check(made)) {
        PyErr_Format(PyExc_TypeError, "throw() takes an exception (an instance or a class), not %R", exception);
        Py_CLEAR(made);
    }
    /* Making it may have run code that changed the fiber. */
    if (made != NULL && check_idle(self, "throw into") < 0) {
        Py_CLEAR(made);
    }
    return made == NULL ? NULL : fiber_run(self, NULL, made);
}

/* The fiber's frames and values; the caller owns the error that is set, if any. */
static void
forget(Fiber *self)
{
    Parked *inner = self->inner;
    Level *level = self->level;
    self->inner = self->outermost = NULL;
    self->depth = 0;
    levels_adopt(self, NULL);
    if (self->phase != FIBER_ACTIVE) {
        self->phase = FIBER_DEAD;
    }
    control_clear(self);
    Py_CLEAR(self->arguments);
    Py_CLEAR(self->keywords);
    Py_CLEAR(self->exc.exc_value);
    parked_clear_chain(inner);
    levels_free(level);
}

PyDoc_STRVAR(close_doc,
"close($self, /)\n--\n\n"
"Raise FiberExit at the waiting suspend, so that finally blocks and context managers end.\n\n"
"Does nothing to a fiber that is dead or has not begun (which is then dead). Raises FiberError when\n"
"the fiber suspends again instead of ending; other exceptions leave through close.\n"
"(generator.close)");

static PyObject *
fiber_close(Fiber *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *result;
    if (self->phase == FIBER_DEAD) {
        Py_RETURN_NONE;
    }
    if (check_idle(self, "close") < 0) {
        return NULL;
    }
    if (self->phase == FIBER_FRESH) {
        forget(self);
        Py_RETURN_NONE;
    }
    if (self->control != NULL) {
        Py_CLEAR(self->control->successor); /* nobody goes on because this one is closed */
    }
    PyObject *leave = PyObject_CallNoArgs(self->core->fiber_exit);
    result = leave == NULL ? NULL : fiber_run(self, NULL, leave);
    if (result == NULL) {
        if (!PyErr_ExceptionMatches(self->core->fiber_exit)) {
            return NULL;
        }
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    Py_DECREF(result);
    if (fiber_waits(self)) {
        return PyErr_Format(self->core->fiber_error,
                            "%R ignored FiberExit: it suspended while it was being closed", self);
    }
    Py_RETURN_NONE;
}

/* ---- finalisation and garbage ------------------------------------------------------------ */

/* A suspended fiber that nobody can resume any more is closed, once (D4), by this method. Copies are not, unless C code
 * waits in them: that has to end. Where it does not, or only another thread could end it, the fiber lives on. */
void
fiber_end_by(Fiber *self, PyCFunction close)
{
    PyObject *pending, *done;
    if (!fiber_waits(self) || (self->is_copy && self->phase == FIBER_PARKED)) {
        return;
    }
    if (self->phase == FIBER_KEPT && !fiber_is_of_thread(self, PyThreadState_Get())) {
        hard_abandon((Fiber *)Py_NewRef((PyObject *)self));
        return;
    }
    pending = PyErr_Occurred() ? exception_take() : NULL;
    done = close((PyObject *)self, NULL);
    if (done == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(done);
    if (self->phase == FIBER_KEPT) {
        Py_INCREF(self);
    }
    if (pending != NULL) {
        exception_put(pending);
    }
}

static void
fiber_finalize(Fiber *self)
{
    fiber_end_by(self, (PyCFunction)fiber_close);
}

/* A finaliser is called once, and may be a subclass's: but C code that waits has to end. Does the object go, then? */
static bool
end_kept(Fiber *self)
{
    CoreState *core = self->core;
    PyTypeObject *type = Py_IS_TYPE((PyObject *)self, core->generator_type) ? core->generator_type : core->fiber_type;
    Py_SET_REFCNT((PyObject *)self, 1);
    type->tp_finalize((PyObject *)self);
    Py_SET_REFCNT((PyObject *)self, Py_REFCNT(self) - 1); /* no Py_DECREF, which would come here again */
    return Py_REFCNT(self) == 0;
}

static int
fiber_traverse(Fiber *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->function);
    Py_VISIT(self->arguments);
    Py_VISIT(self->keywords);
    Py_VISIT(self->result);
    Py_VISIT(self->context);
    Py_VISIT(self->exc.exc_value);
    int stop = levels_traverse(self->level, visit, arg);
    if (stop == 0) {
        stop = control_traverse(self->control, visit, arg);
    }
    if (stop == 0 && self->phase == FIBER_KEPT) {
        stop = hard_traverse(self, visit, arg);
    }
    return stop != 0 ? stop : parked_traverse_chain(self->inner, visit, arg);
}

static int
fiber_clear(Fiber *self)
{
    if (self->phase != FIBER_ACTIVE && self->phase != FIBER_KEPT) {
        forget(self);
        Py_CLEAR(self->function);
        Py_CLEAR(self->result);
        Py_CLEAR(self->context);
    }
    return 0;
}

static void
fiber_dealloc(Fiber *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->phase == FIBER_KEPT || (self->phase == FIBER_PARKED && !self->is_copy)) {
        /* Only now can running the fiber's `finally` blocks bring it back. */
        if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
            return;
        }
    }
    if (self->phase == FIBER_KEPT && !end_kept(self)) {
        return;
    }
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, fiber_dealloc)
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)fiber_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyMethodDef fiber_methods[] = {
    {"resume", (PyCFunction)(void (*)(void))fiber_resume, METH_FASTCALL, resume_doc},
    {"throw", (PyCFunction)fiber_throw, METH_O, throw_doc},
    {"close", (PyCFunction)fiber_close, METH_NOARGS, close_doc},
    {"why_not_portable", (PyCFunction)fiber_why_not_portable, METH_NOARGS,
     PyDoc_STR("why_not_portable($self, /)\n--\n\n"
               "None where the fiber can be copied and pickled, else the reason, as one sentence.\n\n"
               "Pickling is tried, for nothing else knows what every value will say to it.")},
    {"__copy__", (PyCFunction)fiber_copy, METH_NOARGS,
     PyDoc_STR("__copy__($self, /)\n--\n\nA second continuation: frames copied, heap shared.")},
    {"__deepcopy__", (PyCFunction)fiber_deepcopy, METH_O,
     PyDoc_STR("__deepcopy__($self, memo, /)\n--\n\nA second continuation that shares nothing.")},
    {"__reduce_ex__", (PyCFunction)fiber_reduce, METH_O, NULL},
    {"__sizeof__", (PyCFunction)fiber_sizeof, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef fiber_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Fiber, weakrefs), READONLY},
    {NULL},
};

PyDoc_STRVAR(fiber_doc,
"Fiber(function, /, *args, **kwargs)\n--\n\n"
"A running function as a value: it can be suspended at any depth of ordinary calls, resumed,\n"
"copied and pickled. Nothing runs before the first resume.\n\n"
"One-shot: a suspended fiber that is dropped is closed, as a generator is; copies and restored\n"
"fibers are not. (Asymmetric coroutines after Moura and Ierusalimschy; statuses after Lua.)");

static PyType_Slot fiber_slots[] = {
    {Py_tp_doc, (void *)fiber_doc},
    {Py_tp_new, fiber_new},
    {Py_tp_dealloc, fiber_dealloc},
    {Py_tp_finalize, fiber_finalize},
    {Py_tp_traverse, fiber_traverse},
    {Py_tp_clear, fiber_clear},
    {Py_tp_repr, fiber_repr},
    {Py_tp_methods, fiber_methods},
    {Py_tp_getset, fiber_attributes},
    {Py_tp_members, fiber_members},
    {0, NULL},
};

PyType_Spec fiber_spec = {
    .name = "stackful.Fiber",
    .basicsize = sizeof(Fiber),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = fiber_slots,
};
