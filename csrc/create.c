/* Making fibers: new ones, and copies. */
#include "core.h"

PyObject *
fiber_blank(CoreState *core, PyTypeObject *type)
{
    Fiber *fiber = (Fiber *)type->tp_alloc(type, 0);
    if (fiber != NULL) {
        fiber->core = core;
        fiber->phase = FIBER_DEAD;
        fiber->handling = &fiber->exc;
    }
    return (PyObject *)fiber;
}

/* A plain Python function, that the interpreter runs without any C in between: one that is called
 * as `suspend` is (no API names that way in every version). */
bool
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
PyObject *
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
PyObject *
fiber_copy(Fiber *self, PyObject *Py_UNUSED(ignored))
{
    Parked *inner;
    Level *level = NULL;
    Fiber *copy;
    copy = (Fiber *)fiber_blank(self->core, Py_TYPE(self));
    if (copy == NULL) {
        return NULL;
    }
    int failed = copy_members(self, (PyObject *)copy) < 0;
    /* Only now: so far other code may have run. A fiber without frames is copied without running any. */
    if (!failed && self->phase == FIBER_KEPT) {
        raise_kept(self, "copy");
        failed = 1;
    }
    else if (!failed && (self->phase == FIBER_ACTIVE || self->phase == FIBER_GUEST)) {
        PyErr_Format(self->core->fiber_error, "cannot copy %R: %s", self,
                     self->phase == FIBER_ACTIVE ? "it is running"
                                                 : "its frames are on the stack of the fiber that resumed it, by resume(); copy that one");
        failed = 1;
    }
    if (failed) {
        Py_DECREF(copy);
        return NULL;
    }
    FiberPhase phase = fiber_hold(self);
    inner = self->inner;
    failed = parked_clone_chains(self->core, &inner, 1) < 0;
    if (!failed && (levels_clone(self, inner, &level) < 0 || control_copy(self, copy) < 0)) {
        parked_clear_chain(inner);
        levels_free(level);
        failed = 1;
    }
    fiber_let_go(self);
    if (failed) {
        Py_DECREF(copy);
        return NULL;
    }
    copy->function = Py_XNewRef(self->function);
    copy->arguments = Py_XNewRef(self->arguments);
    copy->keywords = Py_XNewRef(self->keywords);
    copy->result = Py_XNewRef(self->result);
    copy->context = Py_XNewRef(self->context);
    copy->exc.exc_value = Py_XNewRef(self->exc.exc_value);
    copy->owns_context = self->owns_context;
    copy->is_direct = self->is_direct;
    copy->is_copy = true;
    copy->inner = inner;
    copy->phase = (char)phase;
    levels_adopt(copy, level);
    parked_link(copy);
    return (PyObject *)copy;
}
