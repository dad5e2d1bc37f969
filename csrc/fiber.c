/* The Fiber type. */
#include "core.h"
#include <structmember.h>

/* ---- creation ---------------------------------------------------------------------------- */

PyObject *
fiber_blank(CoreState *core, PyTypeObject *type)
{
    Fiber *fiber = (Fiber *)type->tp_alloc(type, 0);
    if (fiber != NULL) {
        fiber->core = core;
        fiber->phase = FIBER_DEAD;
    }
    return (PyObject *)fiber;
}

/* A plain Python function, that the interpreter runs without any C in between: one that is called
 * as `suspend` is (no API names that way in every version). */
static bool
is_direct(CoreState *core, PyObject *function)
{
    return PyFunction_Check(function) &&
           ((PyFunctionObject *)function)->vectorcall == core->plain_vectorcall;
}

static PyObject *
arguments_tuple(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t shift = self != NULL;
    PyObject *tuple = PyTuple_New(count + shift);
    if (tuple == NULL) {
        return NULL;
    }
    if (self != NULL) {
        PyTuple_SET_ITEM(tuple, 0, Py_NewRef(self));
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(tuple, i + shift, Py_NewRef(args[i]));
    }
    return tuple;
}

/* Names of keyword arguments as exact strings: comparing them runs nobody's code. */
static PyObject *
exact_names(PyObject *keywords)
{
    Py_ssize_t count = PyTuple_GET_SIZE(keywords);
    PyObject *names = PyTuple_New(count);
    for (Py_ssize_t i = 0; names != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromObject(PyTuple_GET_ITEM(keywords, i));
        if (name == NULL) {
            Py_CLEAR(names);
            break;
        }
        PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

/* args: the function, its positional arguments, then the values of `keywords`. */
static PyObject *
fiber_make(CoreState *core, PyTypeObject *type, PyObject *const *args, Py_ssize_t positional,
           PyObject *keywords)
{
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    PyObject *self = NULL, *function;
    Fiber *fiber;
    if (positional < 1 || !PyCallable_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "Fiber(function, *args, **kwargs): function must be callable");
        return NULL;
    }
    function = args[0];
    if (PyMethod_Check(function) && is_direct(core, PyMethod_GET_FUNCTION(function))) {
        self = PyMethod_GET_SELF(function);
        function = PyMethod_GET_FUNCTION(function);
    }
    fiber = (Fiber *)fiber_blank(core, type);
    if (fiber == NULL) {
        return NULL;
    }
    fiber->arguments = arguments_tuple(self, args + 1, positional - 1 + named);
    fiber->keywords = named > 0 ? exact_names(keywords) : NULL;
    if (fiber->arguments == NULL || (named > 0 && fiber->keywords == NULL)) {
        Py_DECREF(fiber);
        return NULL;
    }
    fiber->function = Py_NewRef(function);
    fiber->is_direct = is_direct(core, function);
    fiber->phase = FIBER_FRESH;
    return (PyObject *)fiber;
}

static CoreState *
core_of_type(PyTypeObject *type)
{
    extern struct PyModuleDef core_module;
    PyObject *module = PyType_GetModuleByDef(type, &core_module);
    return module == NULL ? NULL : core_state(module);
}

/* Fiber(...) itself: no tuple and no dict on the way. */
PyObject *
fiber_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    CoreState *core = core_of_type((PyTypeObject *)type);
    if (core == NULL) {
        return NULL;
    }
    return fiber_make(core, (PyTypeObject *)type, args, PyVectorcall_NARGS(nargsf), kwnames);
}

/* The same for subclasses, which come with a tuple and a dict. */
static PyObject *
fiber_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    CoreState *core = core_of_type(type);
    Py_ssize_t positional = PyTuple_GET_SIZE(args), named = kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs);
    PyObject **all, *names, *result, *name, *value;
    Py_ssize_t i = 0, place = 0;
    if (core == NULL || (names = PyTuple_New(named)) == NULL) {
        return NULL;
    }
    all = PyMem_Calloc(positional + named + 1, sizeof(PyObject *));
    if (all == NULL) {
        Py_DECREF(names);
        return PyErr_NoMemory();
    }
    for (; i < positional; i++) {
        all[i] = PyTuple_GET_ITEM(args, i);
    }
    for (i = 0; named > 0 && PyDict_Next(kwargs, &place, &name, &value); i++) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(name));
        all[positional + i] = value;
    }
    result = fiber_make(core, type, all, positional, named > 0 ? names : NULL);
    PyMem_Free(all);
    Py_DECREF(names);
    return result;
}

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
        const char *why = !fiber_is_of_thread(fiber, ts)     ? "another thread runs it"
                          : fiber_running_here(ts) == fiber ? "it is running"
                                                            : "it has resumed another fiber";
        PyErr_Format(fiber->core->fiber_error, "cannot %s %R: %s", verb, fiber, why);
        return -1;
    }
    if (fiber->phase == FIBER_HELD) {
        PyErr_Format(fiber->core->fiber_error, "cannot %s %R: it is being copied", verb, fiber);
        return -1;
    }
    if (fiber->phase == FIBER_DEAD) {
        PyErr_Format(fiber->core->fiber_error, "cannot %s dead fiber %R", verb, fiber);
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

static PyObject *
fiber_resume(Fiber *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *value = count == 1 ? args[0] : Py_None;
    if (count > 1) {
        return PyErr_Format(PyExc_TypeError, "resume expected at most 1 argument, got %zd", count);
    }
    if (self->phase != FIBER_PARKED) {
        if (check_idle(self, "resume") < 0) {
            return NULL;
        }
        if (value != Py_None) {
            PyErr_SetString(self->core->fiber_error,
                            "the first resume of a fiber takes no value: no suspend is waiting for "
                            "it; pass arguments to Fiber(function, ...)");
            return NULL;
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
    self->inner = self->outermost = NULL;
    self->depth = 0;
    if (self->phase != FIBER_ACTIVE) {
        self->phase = FIBER_DEAD;
    }
    Py_CLEAR(self->arguments);
    Py_CLEAR(self->keywords);
    Py_CLEAR(self->exc.exc_value);
    parked_clear_chain(inner);
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
    if (self->phase == FIBER_PARKED) {
        return PyErr_Format(self->core->fiber_error,
                            "%R ignored FiberExit: it suspended while it was being closed", self);
    }
    Py_RETURN_NONE;
}

/* ---- finalisation and garbage ------------------------------------------------------------ */

/* A suspended fiber that nobody can resume any more is closed, once (D4); copies are not. */
static void
fiber_finalize(Fiber *self)
{
    PyObject *pending, *done;
    if (self->phase != FIBER_PARKED || self->is_copy) {
        return;
    }
    pending = PyErr_Occurred() ? exception_take() : NULL;
    done = fiber_close(self, NULL);
    if (done == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(done);
    if (pending != NULL) {
        exception_put(pending);
    }
}

static int
fiber_traverse(Fiber *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->function);
    Py_VISIT(self->arguments);
    Py_VISIT(self->keywords);
    Py_VISIT(self->value);
    Py_VISIT(self->context);
    Py_VISIT(self->exc.exc_value);
    return parked_traverse_chain(self->inner, visit, arg);
}

static int
fiber_clear(Fiber *self)
{
    if (self->phase != FIBER_ACTIVE) {
        forget(self);
        Py_CLEAR(self->function);
        Py_CLEAR(self->value);
        Py_CLEAR(self->context);
    }
    return 0;
}

static void
fiber_dealloc(Fiber *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->phase == FIBER_PARKED && !self->is_copy) {
        /* Only now can running the fiber's `finally` blocks bring it back. */
        if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
            return;
        }
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

/* ---- attributes -------------------------------------------------------------------------- */

static const char *
status_name(Fiber *self)
{
    PyThreadState *ts;
    switch ((FiberPhase)self->phase) {
    case FIBER_DEAD:
        return "dead";
    case FIBER_ACTIVE:
        ts = PyThreadState_Get();
        return fiber_is_of_thread(self, ts) && fiber_running_here(ts) != self ? "normal" : "running";
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
    if (self->value == NULL) {
        return PyErr_Format(self->core->fiber_error, "%R has no result: it ended by an exception or was closed",
                            self);
    }
    return Py_NewRef(self->value);
}

static PyObject *
fiber_get_context(Fiber *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->context == NULL ? Py_None : self->context);
}

static int
fiber_set_context(Fiber *self, PyObject *context, void *Py_UNUSED(closure))
{
    if (context != NULL && context != Py_None && !PyContext_CheckExact(context)) {
        PyErr_Format(PyExc_TypeError, "context must be a contextvars.Context or None, not %R", context);
        return -1;
    }
    if (self->phase == FIBER_ACTIVE) {
        PyErr_Format(self->core->fiber_error, "cannot change the context of %R while it is running", self);
        return -1;
    }
    Py_XSETREF(self->context, context == NULL || context == Py_None ? NULL : Py_NewRef(context));
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

static PyObject *
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

static PyObject *
fiber_reduce(Fiber *self, PyObject *Py_UNUSED(protocol))
{
    return call_hook(self, "reduce");
}

static PyObject *
fiber_deepcopy(Fiber *self, PyObject *memo)
{
    PyObject *hook = core_hook(self->core, "deepcopy");
    return hook == NULL ? NULL : PyObject_CallFunctionObjArgs(hook, (PyObject *)self, memo, NULL);
}

/* What a subclass has put into its __dict__ goes along. */
static int
copy_members(Fiber *from, PyObject *to)
{
    PyObject *members = NULL, *twins = NULL;
    int failed = 0;
    if (Py_IS_TYPE(from, from->core->fiber_type) || Py_TYPE(from)->tp_dictoffset == 0) {
        return 0;
    }
    members = PyObject_GenericGetDict((PyObject *)from, NULL);
    twins = members == NULL ? NULL : PyObject_GenericGetDict(to, NULL);
    failed = twins == NULL || PyDict_Update(twins, members) < 0;
    Py_XDECREF(members);
    Py_XDECREF(twins);
    return failed ? -1 : 0;
}

/* copy.copy: frames are copied, the heap is shared (D3). */
static PyObject *
fiber_copy(Fiber *self, PyObject *Py_UNUSED(ignored))
{
    Parked *inner = NULL;
    Fiber *copy;
    if (self->phase == FIBER_ACTIVE) {
        return PyErr_Format(self->core->fiber_error, "cannot copy %R: it is running", self);
    }
    copy = (Fiber *)fiber_blank(self->core, Py_TYPE(self));
    if (copy == NULL) {
        return NULL;
    }
    FiberPhase phase = fiber_hold(self);
    int failed = copy_members(self, (PyObject *)copy) < 0 ||
                 parked_clone_chain(self->core, self->inner, &inner) < 0;
    fiber_let_go(self);
    if (failed) {
        Py_DECREF(copy);
        return NULL;
    }
    copy->function = Py_XNewRef(self->function);
    copy->arguments = Py_XNewRef(self->arguments);
    copy->keywords = Py_XNewRef(self->keywords);
    copy->value = Py_XNewRef(self->value);
    copy->context = Py_XNewRef(self->context);
    copy->exc.exc_value = Py_XNewRef(self->exc.exc_value);
    copy->is_direct = self->is_direct;
    copy->is_copy = true;
    copy->inner = inner;
    copy->phase = (char)phase;
    parked_link(copy);
    return (PyObject *)copy;
}

static PyObject *
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
    if (self->phase == FIBER_PARKED || self->phase == FIBER_HELD) {
        text = PyUnicode_FromFormat("<Fiber %S suspended, %zd frame%s, at %p>", name, self->depth,
                                    self->depth == 1 ? "" : "s", self);
    }
    else {
        text = PyUnicode_FromFormat("<Fiber %S %s at %p>", name,
                                    self->phase == FIBER_FRESH ? "not begun" : status_name(self), self);
    }
    Py_DECREF(name);
    return text;
}

static PyObject *
fiber_sizeof(Fiber *self, PyObject *Py_UNUSED(ignored))
{
    size_t size = (size_t)Py_TYPE(self)->tp_basicsize;
    for (Parked *parked = self->inner; parked != NULL; parked = parked->outer) {
        size += offsetof(Parked, frame) + frame_size(frame_code(&parked->frame));
    }
    return PyLong_FromSize_t(size);
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

static PyGetSetDef fiber_attributes[] = {
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
