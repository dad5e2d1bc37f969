/* The module stackful._core: its state and what it exports. Private; use the package `stackful`. */
#include "core.h"
#include <time.h>

struct PyModuleDef core_module;

CoreState *
core_state(PyObject *module)
{
    return (CoreState *)PyModule_GetState(module);
}

/* "package.module:name" -> that object, which takes the string's place among the hooks. */
static PyObject *
resolve_hook(CoreState *core, PyObject *key, PyObject *place)
{
    PyObject *parts = PyUnicode_Partition(place, core->colon), *module = NULL, *hook = NULL;
    if (parts != NULL) {
        module = PyImport_Import(PyTuple_GET_ITEM(parts, 0));
    }
    if (module != NULL) {
        Py_SETREF(module, PyImport_GetModule(PyTuple_GET_ITEM(parts, 0)));
    }
    if (module != NULL) {
        hook = PyObject_GetAttr(module, PyTuple_GET_ITEM(parts, 2));
    }
    if (hook != NULL && PyDict_SetItem(core->hooks, key, hook) < 0) {
        Py_CLEAR(hook);
    }
    Py_XDECREF(parts);
    Py_XDECREF(module);
    Py_XDECREF(hook);
    return hook; /* the dict keeps it */
}

/* A hook that an upper floor has registered; borrowed. */
PyObject *
core_hook(CoreState *core, const char *name)
{
    PyObject *hook = NULL, *key = core->hooks == NULL ? NULL : PyUnicode_InternFromString(name);
    if (key != NULL) {
        hook = PyDict_GetItemWithError(core->hooks, key);
        if (hook != NULL && PyUnicode_Check(hook)) {
            hook = resolve_hook(core, key, hook);
        }
        Py_DECREF(key);
    }
    if (hook == NULL && !PyErr_Occurred()) {
        PyErr_Format(PyExc_RuntimeError, "stackful is not completely imported: no %s", name);
    }
    return hook;
}

/* register(name, object): a stub (gates.c) gives its code, the class `abort` is the exception that ends a level
 * with a value, `handler` that of what handlers.c looks for, `absent` what `perform` has instead of an argument, others are hooks: a callable, or the place "package.module:name" of one, imported when
 * it is first needed. */
static PyObject *
core_register(PyObject *module, PyObject *args)
{
    CoreState *core = core_state(module);
    PyObject *name, *object;
    if (!PyArg_ParseTuple(args, "UO", &name, &object)) {
        return NULL;
    }
    int is_of_promises = in_place_register(core, name, object);
    if (is_of_promises != 0) {
        return is_of_promises < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (gates_register(core, name, object)) {
        core->plain_vectorcall = ((PyFunctionObject *)object)->vectorcall;
    }
    else if (PyExceptionClass_Check(object) && PyUnicode_CompareWithASCIIString(name, "abort") == 0) {
        Py_XSETREF(core->abort_signal, Py_NewRef(object));
    }
    else if (PyType_Check(object) && PyUnicode_CompareWithASCIIString(name, "handler") == 0) {
        Py_XSETREF(core->handler_type, (PyTypeObject *)Py_NewRef(object));
    }
    else if (PyUnicode_CompareWithASCIIString(name, "absent") == 0) {
        Py_XSETREF(core->absent, Py_NewRef(object));
    }
    else if (PyDict_SetItem(core->hooks, name, object) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
core_current(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    Fiber *fiber = fiber_or_guest(PyThreadState_Get());
    if (fiber == NULL || fiber->core != core_state(module) || fiber->is_script) {
        Py_RETURN_NONE;
    }
    return Py_NewRef((PyObject *)fiber);
}

/* host(): the fiber whose stack this code is on, whichever of its guests runs; or None. */
static PyObject *
core_host(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    Fiber *fiber = fiber_running_here(PyThreadState_Get());
    return Py_NewRef(fiber == NULL || fiber->core != core_state(module) ? Py_None : (PyObject *)fiber);
}

/* thread_context(): the current contextvars.Context itself, or None where there is none yet. */
static PyObject *
core_thread_context(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *context = PyThreadState_Get()->context;
    return Py_NewRef(context == NULL ? Py_None : context);
}

/* root(fiber): it runs for C code that waits for its result: nothing suspends it. */
static PyObject *
core_root(PyObject *module, PyObject *object)
{
    if (!PyObject_TypeCheck(object, core_state(module)->fiber_type)) {
        return PyErr_Format(PyExc_TypeError, "expected a Fiber, got %R", object);
    }
    ((Fiber *)object)->is_root = true;
    return Py_NewRef(object);
}

/* script(fiber): to its own code it is not to be seen. Only suspend_to suspends it. */
static PyObject *
core_script(PyObject *module, PyObject *object)
{
    if (!PyObject_TypeCheck(object, core_state(module)->fiber_type)) {
        return PyErr_Format(PyExc_TypeError, "expected a Fiber, got %R", object);
    }
    ((Fiber *)object)->is_script = true;
    return Py_NewRef(object);
}

/* blank(type): a fiber for reinstate to fill. */
static PyObject *
core_blank(PyObject *module, PyObject *type)
{
    CoreState *core = core_state(module);
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, core->fiber_type)) {
        return PyErr_Format(PyExc_TypeError, "expected Fiber or a subclass, got %R", type);
    }
    return fiber_blank(core, (PyTypeObject *)type);
}

/* blank_generator(function, type): a generator that has not begun. */
static PyObject *
core_blank_generator(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *function, *type;
    if (!PyArg_ParseTuple(args, "O!O!", &PyFunction_Type, &function, &PyType_Type, &type)) {
        return NULL;
    }
    if (!generator_is_of_type((PyTypeObject *)type)) {
        return PyErr_Format(PyExc_TypeError, "expected the type of generators, coroutines or asynchronous generators, "
                            "got %R", type);
    }
    return generator_blank(function, (PyTypeObject *)type);
}

/* loops_by_number(type): from 3.15 on, a loop over such an object needs no iterator. */
static PyObject *
core_loops_by_number(PyObject *Py_UNUSED(module), PyObject *type)
{
    if (!PyType_Check(type)) {
        return PyErr_Format(PyExc_TypeError, "expected a type, got %R", type);
    }
    return PyBool_FromLong(type_loops_by_number((PyTypeObject *)type));
}

static PyMethodDef core_functions[] = {
    {"is_capturable", core_is_capturable, METH_NOARGS, NULL},
    {"own_context", core_own_context, METH_O, NULL},
    {"frame_object", core_frame_object, METH_O, NULL},
    {"thread_context", core_thread_context, METH_NOARGS, NULL},
    {"bare_frame", core_bare_frame, METH_O, NULL},
    {"kept", core_kept, METH_VARARGS, NULL},
    {"can_wait", core_can_wait, METH_NOARGS, NULL},
    {"host", core_host, METH_NOARGS, NULL},
    {"portal", core_portal, METH_O, NULL},
    {"is_portal", core_is_portal, METH_O, NULL},
    {"steps", core_steps, METH_O, NULL},
    {"current", core_current, METH_NOARGS,
     PyDoc_STR("current()\n--\n\nThe fiber that runs this code, or None.")},
    {"register", core_register, METH_VARARGS, NULL},
    {"check_layout", core_check_layout, METH_O, NULL},
    {"look", core_look, METH_O, NULL},
    {"handled", core_handled, METH_O, NULL},
    {"iterator_state", core_iterator_state, METH_O, NULL},
    {"fill_iterator", core_fill_iterator, METH_VARARGS, NULL},
    {"scanner_state", core_scanner_state, METH_O, NULL},
    {"set_scanner", core_set_scanner, METH_VARARGS, NULL},
    {"text_state", core_text_state, METH_O, NULL},
    {"token_state", core_token_state, METH_O, NULL},
    {"fill_token", core_fill_token, METH_VARARGS, NULL},
    {"asend_state", core_asend_state, METH_O, NULL},
    {"set_asend", core_set_asend, METH_VARARGS, NULL},
    {"blank_bytes", core_blank_bytes, METH_O, NULL},
    {"numbering", core_numbering, METH_VARARGS, NULL},
    {"named", core_named, METH_VARARGS, NULL},
    {"reducing", core_reducing, METH_VARARGS, NULL},
    {"view_offset", core_view_offset, METH_O, NULL},
    {"loops_by_number", core_loops_by_number, METH_O, NULL},
    {"capture", core_capture, METH_O, NULL},
    {"blank", core_blank, METH_O, NULL},
    {"reinstate", core_reinstate, METH_VARARGS, NULL},
    {"prompts", core_prompts, METH_NOARGS, NULL},
    {"winders", core_winders, METH_O, NULL},
    {"wound", core_wound, METH_O, NULL},
    {"barrier", core_barrier, METH_O, NULL},
    {"set_winders", core_set_winders, METH_VARARGS, NULL},
    {"handlers", core_handlers, METH_NOARGS, NULL},
    {"state", core_state_of_handler, METH_NOARGS, NULL},
    {"change_state", core_change_state, METH_O, NULL},
    {"way_out", core_way_out, METH_NOARGS, NULL},
    {"leave_force", core_leave_force, METH_NOARGS, NULL},
    {"set_state", core_set_state, METH_VARARGS, NULL},
    {"outermost", core_outermost, METH_O, NULL},
    {"script", core_script, METH_O, NULL},
    {"root", core_root, METH_O, NULL},
    {"successor", core_successor, METH_O, NULL},
    {"set_successor", core_set_successor, METH_VARARGS, NULL},
    {"capture_levels", core_capture_levels, METH_O, NULL},
    {"reinstate_levels", core_reinstate_levels, METH_VARARGS, NULL},
    {"capture_continuation", core_capture_continuation, METH_O, NULL},
    {"blank_continuation", core_blank_continuation, METH_O, NULL},
    {"reinstate_continuation", core_reinstate_continuation, METH_VARARGS, NULL},
    {"reduce", core_reduce, METH_O, NULL},
    {"deepcopy", core_deepcopy, METH_VARARGS, NULL},
    {"copy_generator", core_copy_generator, METH_O, NULL},
    {"capture_generator", core_capture_generator, METH_O, NULL},
    {"blank_generator", core_blank_generator, METH_VARARGS, NULL},
    {"reinstate_generator", core_reinstate_generator, METH_VARARGS, NULL},
    {NULL},
};

/* ---- the marker for NULL ------------------------------------------------------------------ */

static PyObject *
null_repr(PyObject *Py_UNUSED(self))
{
    return PyUnicode_FromString("NULL");
}

static PyObject *
null_reduce(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    return PyUnicode_FromString("NULL");
}

static PyMethodDef null_methods[] = {
    {"__reduce__", null_reduce, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot null_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Stands where CPython's evaluation stack holds no object.")},
    {Py_tp_repr, null_repr},
    {Py_tp_methods, null_methods},
    {0, NULL},
};

static PyType_Spec null_spec = {
    .name = "stackful._core.NullType",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = null_slots,
};

/* The one object of a type that nobody else can make. */
static PyObject *
make_only(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    PyObject *only = type == NULL ? NULL : type->tp_alloc(type, 0);
    Py_XDECREF(type);
    return only;
}

/* ---- life of the module -------------------------------------------------------------------- */

static int
import_errors(CoreState *core)
{
    PyObject *errors = PyImport_ImportModule("stackful.errors");
    if (errors == NULL) {
        return -1;
    }
    core->fiber_error = PyObject_GetAttrString(errors, "FiberError");
    core->barrier_error = PyObject_GetAttrString(errors, "BarrierError");
    core->fiber_exit = PyObject_GetAttrString(errors, "FiberExit");
    core->format_error = PyObject_GetAttrString(errors, "SnapshotFormatError");
    Py_DECREF(errors);
    return core->fiber_error && core->barrier_error && core->fiber_exit && core->format_error ? 0 : -1;
}

/* The JIT compiles a call of `suspend` and the return from it into one trace, which takes for granted
 * that it comes back to its caller. Interpreters without sys._jit have no JIT to switch on. */
static int
refuse_jit(void)
{
    PyObject *jit = PySys_GetObject("_jit"); /* borrowed */
    PyObject *enabled = jit == NULL ? NULL : PyObject_CallMethod(jit, "is_enabled", NULL);
    int is_enabled = enabled != NULL && PyObject_IsTrue(enabled) > 0;
    Py_XDECREF(enabled);
    PyErr_Clear();
    if (is_enabled) {
        PyErr_SetString(PyExc_ImportError,
                        "stackful does not work under CPython's JIT: start Python without PYTHON_JIT=1");
    }
    return is_enabled ? -1 : 0;
}

/* Nanoseconds, which pass faster than levels are made: a serial in a snapshot (handlers.c) is not that of a level of
 * another process. */
static unsigned long long
first_serial(void)
{
    struct timespec now = {0};
    (void)timespec_get(&now, TIME_UTC);
    return (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
}

static int
core_exec(PyObject *module)
{
    CoreState *core = core_state(module);
    thread_finder_init(&core->finder);
    if (refuse_jit() < 0) {
        return -1;
    }
    core->last_serial = first_serial();
    core->hooks = PyDict_New();
    core->reduce_name = PyUnicode_InternFromString("__reduce__");
    core->setstate_name = PyUnicode_InternFromString("__setstate__");
    core->colon = PyUnicode_InternFromString(":");
    core->module_name = PyUnicode_InternFromString("__module__");
    core->qualname_name = PyUnicode_InternFromString("__qualname__");
    core->null = make_only(module, &null_spec);
    core->exhausted = iterator_exhausted();
    core->mask_of_one = Py_BuildValue("iiO", 1, 0, Py_None);
    if (core->hooks == NULL || core->reduce_name == NULL || core->setstate_name == NULL ||
        core->module_name == NULL || core->qualname_name == NULL || core->colon == NULL || core->null == NULL ||
        core->exhausted == NULL || core->mask_of_one == NULL || gates_open(core, module) < 0 || import_errors(core) < 0) {
        return -1;
    }
    core->fiber_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &fiber_spec, NULL);
    core->segment_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &segment_spec, NULL);
    core->continuation_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &continuation_spec, NULL);
    core->steps_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &steps_spec, NULL);
    if (core->fiber_type == NULL || core->segment_type == NULL || core->continuation_type == NULL || core->steps_type == NULL) {
        return -1;
    }
    core->fiber_type->tp_vectorcall = fiber_vectorcall;
    core->generator_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &generator_spec, (PyObject *)core->fiber_type);
    if (core->generator_type == NULL) {
        return -1;
    }
    core->generator_type->tp_vectorcall = fiber_vectorcall;
    core->modules = Py_XNewRef(PyImport_GetModuleDict());
    if (core->modules == NULL) {
        return -1;
    }
    if (PyModule_AddObjectRef(module, "Fiber", (PyObject *)core->fiber_type) < 0 ||
        PyModule_AddObjectRef(module, "Generator", (PyObject *)core->generator_type) < 0 ||
        PyModule_AddObjectRef(module, "Continuation", (PyObject *)core->continuation_type) < 0 ||
        PyModule_AddObjectRef(module, "Steps", (PyObject *)core->steps_type) < 0 ||
        PyModule_AddObjectRef(module, "NULL", core->null) < 0 ||
        PyModule_AddObjectRef(module, "exhausted", core->exhausted) < 0) {
        return -1;
    }
    return 0;
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    CoreState *core = core_state(module);
    Py_VISIT(core->fiber_type);
    Py_VISIT(core->generator_type);
    Py_VISIT(core->null);
    Py_VISIT(core->exhausted);
    Py_VISIT(core->segment_type);
    Py_VISIT(core->continuation_type);
    Py_VISIT(core->steps_type);
    Py_VISIT(core->abort_signal);
    Py_VISIT(core->handler_type);
    Py_VISIT(core->hooks);
    Py_VISIT(core->modules);
    Py_VISIT(core->fiber_error);
    Py_VISIT(core->barrier_error);
    Py_VISIT(core->fiber_exit);
    Py_VISIT(core->format_error);
    Py_VISIT(core->promises.type);
    Py_VISIT(core->promises.kinds[0]);
    Py_VISIT(core->promises.kinds[1]);
    Py_VISIT(core->updates.type);
    Py_VISIT(core->absent);
    for (int i = 0; i < RULES; i++) {
        Py_VISIT(core->rules[i].code);
    }
    for (int i = 0; i < KNOWN_CALLS; i++) {
        Py_VISIT(core->known_calls[i].code);
    }
    return gates_traverse(core, visit, arg);
}

static int
core_clear(PyObject *module)
{
    CoreState *core = core_state(module);
    /* Fibers may outlive this at shutdown: what they need to be closed stays until core_free. */
    Py_CLEAR(core->hooks);
    rules_forget(core);
    known_calls_forget(core);
    return 0;
}

static void
core_free(void *module)
{
    CoreState *core = core_state((PyObject *)module);
    gates_shut(core);
    cstacks_free(core);
    if (core->spare != NULL) {
        parked_free(core->spare);
        core->spare = NULL;
    }
    rules_forget(core);
    known_calls_forget(core);
    Py_CLEAR(core->hooks);
    Py_CLEAR(core->promises.type);
    Py_CLEAR(core->promises.kinds[0]);
    Py_CLEAR(core->promises.kinds[1]);
    Py_CLEAR(core->updates.type);
    Py_CLEAR(core->absent);
    Py_CLEAR(core->generator_type);
    Py_CLEAR(core->fiber_type);
    Py_CLEAR(core->segment_type);
    Py_CLEAR(core->continuation_type);
    Py_CLEAR(core->steps_type);
    steps_forget(core);
    Py_CLEAR(core->abort_signal);
    Py_CLEAR(core->handler_type);
    Py_CLEAR(core->null);
    Py_CLEAR(core->exhausted);
    Py_CLEAR(core->mask_of_one);
    Py_CLEAR(core->reduce_name);
    Py_CLEAR(core->setstate_name);
    Py_CLEAR(core->module_name);
    Py_CLEAR(core->qualname_name);
    Py_CLEAR(core->colon);
    Py_CLEAR(core->fiber_error);
    Py_CLEAR(core->barrier_error);
    Py_CLEAR(core->fiber_exit);
    Py_CLEAR(core->format_error);
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
    {0, NULL},
};

struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "stackful._core",
    .m_doc = PyDoc_STR("Private: fibers on CPython's own frames. Use the package stackful."),
    .m_size = sizeof(CoreState),
    .m_methods = core_functions,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
