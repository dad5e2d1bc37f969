/* What `await` does with an awaitable, step by step, for ordinary functions: `await_` in aio/portals.py.
 *
 * A generator that delegates to the awaitable does the same, in three times as many instructions. */
#include "core.h"
#include <structmember.h>

/* An iterator over what an awaitable yields to the event loop. */
typedef struct Steps {
    PyObject_HEAD
    PyObject *iterator; /* or the coroutine itself */
    PyObject *result;   /* of the awaitable; NULL: it has not ended */
} Steps;

static PyObject *
steps_next(Steps *self)
{
    PyObject *yielded = NULL;
    if (PyIter_Send(self->iterator, Py_None, &yielded) == PYGEN_RETURN) {
        Py_XSETREF(self->result, yielded);
        return NULL;
    }
    return yielded;
}

/* Nobody else awaits this coroutine? As `await` asks (v3.13.0 Python/bytecodes.c, GET_AWAITABLE): its steps would be lost for whoever
 * does. -1 with an exception. */
static int
check_not_awaited(PyObject *coroutine)
{
    if (LIKELY(generator_is_fresh((PyGenObject *)coroutine))) {
        return 0;
    }
    PyObject *awaited = PyObject_GetAttrString(coroutine, "cr_await");
    if (awaited != NULL && awaited != Py_None) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
    }
    Py_XDECREF(awaited);
    return awaited == Py_None ? 0 : -1;
}

/* Steals the iterator, or NULL with an exception. */
static PyObject *
steps_over(CoreState *core, PyObject *iterator)
{
    Steps *steps = core->spare_steps;
    if (iterator == NULL) {
        return NULL;
    }
    if (UNLIKELY(Py_IS_TYPE(iterator, core->steps_type))) { /* one after the other, they would nest without end */
        PyErr_SetString(PyExc_TypeError, "these steps are being gone through already");
        Py_DECREF(iterator);
        return NULL;
    }
    if (PyCoro_CheckExact(iterator) && check_not_awaited(iterator) < 0) {
        Py_DECREF(iterator);
        return NULL;
    }
    if (LIKELY(steps != NULL)) {
        core->spare_steps = NULL;
        (void)PyObject_Init((PyObject *)steps, core->steps_type);
    }
    else {
        steps = PyObject_GC_New(Steps, core->steps_type);
    }
    if (steps == NULL) {
        Py_DECREF(iterator);
        return NULL;
    }
    steps->iterator = iterator;
    steps->result = NULL;
    PyObject_GC_Track(steps);
    return (PyObject *)steps;
}

static PyObject *
steps_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *iterator;
    if (!PyArg_ParseTuple(args, "O", &iterator)) {
        return NULL;
    }
    if (!PyIter_Check(iterator) && !PyCoro_CheckExact(iterator)) {
        return PyErr_Format(PyExc_TypeError, "expected an iterator or a coroutine, got %R", iterator);
    }
    return steps_over(core_state(PyType_GetModule(type)), Py_NewRef(iterator));
}

static int
steps_traverse(Steps *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->iterator);
    Py_VISIT(self->result);
    return 0;
}

/* The iterator stays until the end: steps_next relies on it. Cycles through it go through what can change, and is cleared. */
static int
steps_clear(Steps *self)
{
    Py_CLEAR(self->result);
    return 0;
}

/* One is kept, because each await_ takes one. */
static void
steps_dealloc(Steps *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *module = ((PyHeapTypeObject *)type)->ht_module; /* NULL: it has been shut down */
    CoreState *core = module == NULL ? NULL : core_state(module);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, steps_dealloc)
    Py_CLEAR(self->iterator);
    Py_CLEAR(self->result);
    if (core != NULL && core->spare_steps == NULL) {
        core->spare_steps = self;
    }
    else {
        PyObject_GC_Del(self);
    }
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyMemberDef steps_members[] = {
    {"iterator", T_OBJECT_EX, offsetof(Steps, iterator), READONLY, NULL},
    {"result", T_OBJECT_EX, offsetof(Steps, result), READONLY, NULL},
    {NULL},
};

static PyType_Slot steps_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Private: what an awaitable yields, and its result.")},
    {Py_tp_new, steps_new},
    {Py_tp_dealloc, steps_dealloc},
    {Py_tp_traverse, steps_traverse},
    {Py_tp_clear, steps_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, steps_next},
    {Py_tp_members, steps_members},
    {0, NULL},
};

PyType_Spec steps_spec = {
    .name = "stackful._core.Steps",
    .basicsize = sizeof(Steps),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = steps_slots,
};

void
steps_forget(CoreState *core)
{
    if (core->spare_steps != NULL) {
        PyObject_GC_Del(core->spare_steps);
        core->spare_steps = NULL;
    }
}

/* portal(fiber): what suspends it is an event loop. Copies of it are no portals. */
PyObject *
core_portal(PyObject *module, PyObject *object)
{
    if (!PyObject_TypeCheck(object, core_state(module)->fiber_type)) {
        return PyErr_Format(PyExc_TypeError, "expected a Fiber, got %R", object);
    }
    ((Fiber *)object)->is_portal = true;
    return Py_NewRef(object);
}

/* is_portal(fiber or None) */
PyObject *
core_is_portal(PyObject *module, PyObject *object)
{
    return PyBool_FromLong(PyObject_TypeCheck(object, core_state(module)->fiber_type) && ((Fiber *)object)->is_portal);
}

/* steps(awaitable): its steps, if a portal runs this code and the awaitable is a usual one, else None. */
PyObject *
core_steps(PyObject *module, PyObject *awaitable)
{
    CoreState *core = core_state(module);
    Fiber *fiber = fiber_or_guest(thread_current());
    PyAsyncMethods *async = Py_TYPE(awaitable)->tp_as_async;
    if (fiber == NULL || !fiber->is_portal || fiber->core != core) {
        Py_RETURN_NONE;
    }
    if (PyCoro_CheckExact(awaitable)) {
        return steps_over(core, Py_NewRef(awaitable));
    }
    if (async == NULL || async->am_await == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *iterator = async->am_await(awaitable);
    if (iterator != NULL && !PyIter_Check(iterator)) {
        PyErr_Format(PyExc_TypeError, "__await__() returned non-iterator of type '%.100s'", Py_TYPE(iterator)->tp_name);
        Py_CLEAR(iterator);
    }
    return steps_over(core, iterator);
}
