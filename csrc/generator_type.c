/* The Generator type: a fiber with the manners of Python's generators.
 *
 * A generator function's body is an ordinary function; `yield_`, called at any depth in it, is
 * `suspend`.  What differs from a fiber is the protocol: __next__, send, throw, close, StopIteration
 * with the result, PEP 479. */
#include "core.h"

/* Interned, because CPython's method cache keeps each new string that is looked up in a type. */
static PyObject *
get_attribute(PyObject *object, const char *name)
{
    PyObject *key = PyUnicode_InternFromString(name);
    PyObject *value = key == NULL ? NULL : PyObject_GetAttr(object, key);
    Py_XDECREF(key);
    return value;
}

/* ---- where `yield_` may be called -------------------------------------------------------- */

/* Is a generator running here? -1 with an exception. */
int
generator_check_yield(CoreState *core)
{
    PyThreadState *ts = PyThreadState_Get();
    Fiber *innermost = fiber_running_here(ts);
    while (innermost != NULL && innermost->is_root) {
        innermost = fiber_resumer(ts, innermost); /* what stands in between, suspending says */
    }
    if (innermost == NULL || innermost->core != core) {
        PyErr_SetString(core->fiber_error, "yield_() outside of any generator: call it, at any depth, beneath a function "
                        "decorated with @generator");
        return -1;
    }
    if (!Py_IS_TYPE(innermost, core->generator_type)) {
        PyErr_Format(core->fiber_error, "yield_() reaches no generator: the innermost fiber, %R, is none; suspend() "
                     "suspends it", innermost);
        return -1;
    }
    return 0;
}

/* ---- the protocol ------------------------------------------------------------------------- */

static int
check_not_executing(Fiber *self)
{
    if (self->phase == FIBER_ACTIVE) {
        PyErr_SetString(PyExc_ValueError, "generator already executing");
        return -1;
    }
    if (self->phase == FIBER_HELD) {
        PyErr_Format(self->core->fiber_error, "cannot advance %R: it is being copied or looked at", self);
        return -1;
    }
    if (self->phase == FIBER_KEPT) {
        return fiber_check_idle(self, "advance", Py_None);
    }
    return 0;
}

/* StopIteration with a value, as a generator's `return value` raises it. */
static void
raise_stop(PyObject *value)
{
    if (!PyTuple_Check(value) && !PyExceptionInstance_Check(value)) {
        PyErr_SetObject(PyExc_StopIteration, value);
        return;
    }
    /* These are taken for the arguments, or for the exception itself, when it is made. */
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
}

/* PEP 479: a StopIteration that leaves the body would end its consumer's loop in silence. */
static void
replace_stop_iteration(void)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return;
    }
    PyObject *stop = exception_take(), *error;
    PyErr_SetString(PyExc_RuntimeError, "generator raised StopIteration");
    error = exception_take();
    PyException_SetCause(error, Py_NewRef(stop));
    PyException_SetContext(error, stop);
    exception_put(error);
}

/* What a run that ended the generator comes to. `bare`: None ends the iteration without an exception,
 * as __next__ may. Steals the result. */
static PyObject *
ended(PyObject *result, bool bare)
{
    if (result == NULL) {
        replace_stop_iteration();
        return NULL;
    }
    if (result != Py_None) {
        raise_stop(result);
    }
    else if (!bare) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    Py_DECREF(result);
    return NULL;
}

PyObject *
generator_outcome(Fiber *self, PyObject *result, bool bare)
{
    return result != NULL && fiber_waits(self) ? result : ended(result, bare);
}

static NOINLINE PyObject *
advance_slowly(Fiber *self, PyObject *value, bool bare)
{
    if (check_not_executing(self) < 0) {
        return NULL;
    }
    if (self->phase == FIBER_DEAD) {
        return ended(Py_NewRef(Py_None), bare);
    }
    if (self->phase == FIBER_FRESH && value != Py_None) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started generator");
        return NULL;
    }
    return generator_outcome(self, fiber_run(self, Py_NewRef(value), NULL), bare);
}

static inline PyObject *
advance(Fiber *self, PyObject *value, bool bare)
{
    if (LIKELY(self->phase == FIBER_PARKED && self->context == NULL)) {
        return fiber_advance(self, value, bare);
    }
    return advance_slowly(self, value, bare);
}

static PyObject *
generator_next(Fiber *self)
{
    return advance(self, Py_None, true);
}

PyDoc_STRVAR(send_doc,
"send($self, value, /)\n--\n\n"
"Go on with `value` as what the waiting yield_ returns; return the next value that is yielded.");

static PyObject *
generator_send(Fiber *self, PyObject *value)
{
    return advance(self, value, false);
}

/* The exception that throw's arguments mean: one instance, or a class with a value. */
static PyObject *
exception_of(PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *error;
    if (traceback != NULL && traceback != Py_None && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
        return NULL;
    }
    if (PyExceptionInstance_Check(type)) {
        if (value != NULL && value != Py_None) {
            PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
            return NULL;
        }
        error = Py_NewRef(type);
    }
    else if (!PyExceptionClass_Check(type)) {
        return PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from "
                            "BaseException, not %s", Py_TYPE(type)->tp_name);
    }
    else if (value == NULL || value == Py_None) {
        error = PyObject_CallNoArgs(type);
    }
    else if (PyObject_TypeCheck(value, (PyTypeObject *)type)) {
        error = Py_NewRef(value);
    }
    else {
        error = PyTuple_Check(value) ? PyObject_Call(type, value, NULL) : PyObject_CallOneArg(type, value);
    }
    if (error != NULL && !PyExceptionInstance_Check(error)) {
        PyErr_Format(PyExc_TypeError, "calling %R should have returned an instance of BaseException, not %R",
                     type, Py_TYPE(error));
        Py_CLEAR(error);
    }
    if (error != NULL && traceback != NULL && PyException_SetTraceback(error, traceback) < 0) {
        Py_CLEAR(error);
    }
    return error;
}

PyDoc_STRVAR(throw_doc,
"throw($self, type, value=None, traceback=None, /)\n--\n\n"
"Raise an exception (an instance or a class) at the waiting yield_; return the next value yielded.");

static PyObject *
generator_throw(Fiber *self, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 3) {
        return PyErr_Format(PyExc_TypeError, "throw expected 1 to 3 arguments, got %zd", count);
    }
    PyObject *error = exception_of(args[0], count > 1 ? args[1] : NULL, count > 2 ? args[2] : NULL);
    if (error == NULL) {
        return NULL;
    }
    if (check_not_executing(self) < 0) {
        Py_DECREF(error);
        return NULL;
    }
    if (self->phase == FIBER_DEAD) {
        exception_put(error);
        return NULL;
    }
    return generator_outcome(self, fiber_run(self, NULL, error), false);
}

PyDoc_STRVAR(close_doc,
"close($self, /)\n--\n\n"
"Raise GeneratorExit at the waiting yield_, so that finally blocks run; return what the body returns\n"
"instead, else None (as generators do from Python 3.13 on).\n\n"
"RuntimeError when it yields again instead of ending.");

static PyObject *
generator_close(Fiber *self, PyObject *Py_UNUSED(ignored))
{
    if (self->phase == FIBER_DEAD) {
        Py_RETURN_NONE;
    }
    PyObject *leave = PyObject_CallNoArgs(PyExc_GeneratorExit), *result;
    if (leave == NULL || check_not_executing(self) < 0) {
        Py_XDECREF(leave);
        return NULL;
    }
    result = fiber_run(self, NULL, leave);
    if (result != NULL && fiber_waits(self)) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_RuntimeError, "generator ignored GeneratorExit");
        return NULL;
    }
    if (result == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_GeneratorExit) && !PyErr_ExceptionMatches(PyExc_StopIteration)) {
            return NULL;
        }
        if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
            replace_stop_iteration();
            return NULL;
        }
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return result;
}

/* Dropped while suspended: closed, once; copies are not (D4). */
static void
generator_finalize(Fiber *self)
{
    fiber_end_by(self, (PyCFunction)generator_close);
}

/* ---- names and displays ------------------------------------------------------------------- */

static PyObject *
attribute_of_function(Fiber *self, void *name)
{
    PyObject *function = self->function == NULL ? Py_None : self->function;
    PyObject *value = get_attribute(function, (const char *)name);
    if (value == NULL) {
        PyErr_Clear();
        value = PyObject_Repr((PyObject *)Py_TYPE(function));
    }
    return value;
}

static PyObject *
generator_is_executing(Fiber *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->phase == FIBER_ACTIVE);
}

static PyObject *
generator_repr(Fiber *self)
{
    PyObject *name = attribute_of_function(self, "__qualname__"), *status, *text = NULL;
    status = get_attribute((PyObject *)self, "status");
    if (name == NULL || status == NULL) {
        /* the exception stands */
    }
    else if (self->phase == FIBER_PARKED || self->phase == FIBER_HELD) {
        text = PyUnicode_FromFormat("<Generator %S suspended, %zd frame%s, at %p>", name, self->depth,
                                    self->depth == 1 ? "" : "s", self);
    }
    else if (self->phase == FIBER_KEPT) {
        text = PyUnicode_FromFormat("<Generator %S suspended behind a C call at %p>", name, self);
    }
    else if (self->phase == FIBER_FRESH) {
        text = PyUnicode_FromFormat("<Generator %S not begun at %p>", name, self);
    }
    else {
        text = PyUnicode_FromFormat("<Generator %S %S at %p>", name, status, self);
    }
    Py_XDECREF(name);
    Py_XDECREF(status);
    return text;
}

static PyMethodDef generator_methods[] = {
    {"send", (PyCFunction)generator_send, METH_O, send_doc},
    {"throw", (PyCFunction)(void (*)(void))generator_throw, METH_FASTCALL, throw_doc},
    {"close", (PyCFunction)generator_close, METH_NOARGS, close_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL},
};

static PyGetSetDef generator_attributes[] = {
    {"__name__", (getter)attribute_of_function, NULL, PyDoc_STR("The name of its function."), "__name__"},
    {"__qualname__", (getter)attribute_of_function, NULL, PyDoc_STR("The qualified name of its function."),
     "__qualname__"},
    {"gi_running", (getter)generator_is_executing, NULL, PyDoc_STR("Is it running?")},
    {NULL},
};

PyDoc_STRVAR(generator_doc,
"Generator(function, /, *args, **kwargs)\n--\n\n"
"What a function decorated with @generator returns: an iterator over what its body, and all that this\n"
"calls, gives to yield_. (PEP 255, 342, 479; but stackful.)");

static PyType_Slot generator_slots[] = {
    {Py_tp_doc, (void *)generator_doc},
    {Py_tp_new, fiber_new},
    {Py_tp_finalize, generator_finalize},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, generator_next},
    {Py_tp_repr, generator_repr},
    {Py_tp_methods, generator_methods},
    {Py_tp_getset, generator_attributes},
    {0, NULL},
};

PyType_Spec generator_spec = {
    .name = "stackful.generators.Generator",
    .basicsize = sizeof(Fiber),
    .flags = Py_TPFLAGS_DEFAULT, /* the collector's part is inherited */
    .slots = generator_slots,
};
