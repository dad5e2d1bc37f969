/* What a fiber tells about itself. */
#include "core.h"

static const char *
status_name(Fiber *self)
{
    PyThreadState *ts;
    switch ((FiberPhase)self->phase) {
    case FIBER_DEAD:
        return "dead";
    case FIBER_GUEST:
        return fiber_or_guest(PyThreadState_Get()) == self ? "running" : "normal";
    case FIBER_ACTIVE:
        ts = PyThreadState_Get();
        return fiber_is_of_thread(self, ts) && fiber_or_guest(ts) != self ? "normal" : "running";
    default:
        return "suspended";
    }
}

static PyObject *
fiber_get_status(Fiber *self, void *Py_UNUSED(closure))
{
    return PyUnicode_InternFromString(status_name(self));
}

static PyObject *
fiber_get_result(Fiber *self, void *Py_UNUSED(closure))
{
    if (self->phase != FIBER_DEAD) {
        return PyErr_Format(self->core->fiber_error, "%R has no result yet: it has not ended", self);
    }
    if (self->result == NULL) {
        return PyErr_Format(self->core->fiber_error, "%R has no result: it ended by an exception or was closed",
                            self);
    }
    return Py_NewRef(self->result);
}

/* Borrowed; NULL: none. */
PyObject *
fiber_context(Fiber *self)
{
    if (self->owns_context && self->phase == FIBER_ACTIVE) {
        PyThreadState *ts = PyThreadState_Get();
        return fiber_running_here(ts) == self ? ts->context : NULL;
    }
    return self->context == self->core->null ? NULL : self->context;
}

static PyObject *
fiber_get_context(Fiber *self, void *Py_UNUSED(closure))
{
    PyObject *context = fiber_context(self);
    return Py_NewRef(context == NULL ? Py_None : context);
}

/* own_context(fiber): from now on it runs in a context of its own, none at first, which Context.run need not enter. */
PyObject *
core_own_context(PyObject *module, PyObject *object)
{
    Fiber *self = (Fiber *)object;
    if (!PyObject_TypeCheck(object, core_state(module)->fiber_type) || self->phase != FIBER_FRESH || self->context != NULL) {
        return PyErr_Format(PyExc_TypeError, "expected a Fiber that has not begun and has no context, got %R", object);
    }
    self->owns_context = true;
    self->context = Py_NewRef(self->core->null);
    Py_RETURN_NONE;
}

static int
fiber_set_context(Fiber *self, PyObject *context, void *Py_UNUSED(closure))
{
    if (context != NULL && context != Py_None && !PyContext_CheckExact(context)) {
        PyErr_Format(PyExc_TypeError, "context must be a contextvars.Context or None, not %R", context);
        return -1;
    }
    PyThreadState *ts = PyThreadState_Get();
    bool none = context == NULL || context == Py_None;
    if (self->phase == FIBER_ACTIVE && self->owns_context && fiber_running_here(ts) == self) {
        Py_XDECREF(context_exchange(ts, none ? NULL : Py_NewRef(context)));
        return 0;
    }
    if (self->phase == FIBER_ACTIVE) {
        PyErr_Format(self->core->fiber_error, "cannot change the context of %R while it is running", self);
        return -1;
    }
    Py_XSETREF(self->context, !none ? Py_NewRef(context) : self->owns_context ? Py_NewRef(self->core->null) : NULL);
    return 0;
}

static PyObject *
fiber_get_function(Fiber *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->function == NULL ? Py_None : self->function);
}

/* What upper floors do with a fiber: the hook of that name gets it (fibers.py, snapshot). */
static PyObject *
call_hook(Fiber *self, const char *name)
{
    PyObject *hook = core_hook(self->core, name);
    return hook == NULL ? NULL : PyObject_CallOneArg(hook, (PyObject *)self);
}

static PyObject *
fiber_get_frames(Fiber *self, void *Py_UNUSED(closure))
{
    return call_hook(self, "frames");
}

PyObject *
fiber_why_not_portable(Fiber *self, PyObject *Py_UNUSED(ignored))
{
    return call_hook(self, "why_not_portable");
}

static PyObject *
fiber_get_is_portable(Fiber *self, void *Py_UNUSED(closure))
{
    PyObject *why = call_hook(self, "why_not_portable");
    if (why == NULL) {
        return NULL;
    }
    Py_DECREF(why);
    return PyBool_FromLong(why == Py_None);
}

PyObject *
fiber_reduce(Fiber *self, PyObject *Py_UNUSED(protocol))
{
    return call_hook(self, "reduce");
}

PyObject *
fiber_deepcopy(Fiber *self, PyObject *memo)
{
    PyObject *hook = core_hook(self->core, "deepcopy");
    return hook == NULL ? NULL : PyObject_CallFunctionObjArgs(hook, (PyObject *)self, memo, NULL);
}

PyObject *
fiber_repr(Fiber *self)
{
    PyObject *function = self->function == NULL ? Py_None : self->function;
    PyObject *name = PyObject_GetAttr(function, self->core->qualname_name), *text;
    if (name == NULL) {
        PyErr_Clear();
        name = PyObject_Repr((PyObject *)Py_TYPE(function));
    }
    if (name == NULL) {
        return NULL;
    }
    const char *kind = strrchr(Py_TYPE(self)->tp_name, '.');
    kind = kind == NULL ? Py_TYPE(self)->tp_name : kind + 1;
    if (self->phase == FIBER_PARKED || self->phase == FIBER_HELD) {
        text = PyUnicode_FromFormat("<%s %S suspended, %zd frame%s, at %p>", kind, name, self->depth,
                                    self->depth == 1 ? "" : "s", self);
    }
    else if (self->phase == FIBER_KEPT) {
        text = PyUnicode_FromFormat("<%s %S suspended behind a C call at %p>", kind, name, self);
    }
    else {
        text = PyUnicode_FromFormat("<%s %S %s at %p>", kind, name,
                                    self->phase == FIBER_FRESH ? "not begun" : status_name(self), self);
    }
    Py_DECREF(name);
    return text;
}

PyObject *
fiber_sizeof(Fiber *self, PyObject *Py_UNUSED(ignored))
{
    size_t size = (size_t)Py_TYPE(self)->tp_basicsize;
    Walk walk = {.node = self->inner};
    for (Parked *parked; (parked = walk_next(&walk)) != NULL;) {
        size += offsetof(Parked, frame) + frame_size(frame_code(&parked->frame));
    }
    return PyLong_FromSize_t(size);
}

PyGetSetDef fiber_attributes[] = {
    {"status", (getter)fiber_get_status, NULL,
     PyDoc_STR("'suspended', 'running', 'normal' (it resumed another) or 'dead'.")},
    {"result", (getter)fiber_get_result, NULL,
     PyDoc_STR("What the function returned; FiberError while there is none.")},
    {"frames", (getter)fiber_get_frames, NULL, PyDoc_STR("Its frames, outermost first: a tuple of Frame.")},
    {"function", (getter)fiber_get_function, NULL, PyDoc_STR("The function that it runs.")},
    {"context", (getter)fiber_get_context, (setter)fiber_set_context,
     PyDoc_STR("The contextvars.Context that it runs in, or None: its resumer's.")},
    {"is_portable", (getter)fiber_get_is_portable, NULL,
     PyDoc_STR("Can it be copied and pickled? why_not_portable() says what stands in the way.")},
    {NULL},
};
