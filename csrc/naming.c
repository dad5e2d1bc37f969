/* What a snapshot names, and who says how a value is saved.
 *
 * Both are asked for every state of every run, and are the same from state to state: which functions its frames are of, and that
 * nobody but the standard pickler has anything to say of a loop's iterator.  snapshot/preludes.py and pickler.py say what for. */
#include "core.h"

/* The value's module and qualified name, owned; false where it has none, perhaps with an exception. */
static bool
names_of(CoreState *core, PyObject *value, PyObject **module, PyObject **qualname)
{
    if (PyFunction_Check(value)) { /* these are most */
        *module = Py_XNewRef(((PyFunctionObject *)value)->func_module);
        *qualname = Py_XNewRef(((PyFunctionObject *)value)->func_qualname);
    }
    else {
        *module = PyObject_GetAttr(value, core->module_name);
        *qualname = *module == NULL ? NULL : PyObject_GetAttr(value, core->qualname_name);
    }
    return *module != NULL && *qualname != NULL && PyUnicode_CheckExact(*module) && PyUnicode_CheckExact(*qualname);
}

/* What is found under a qualified name, from a module on; NULL: nothing, or an exception. */
static PyObject *
follow(PyObject *module, PyObject *qualname)
{
    if (PyUnicode_FindChar(qualname, '.', 0, PyUnicode_GET_LENGTH(qualname), 1) < 0) {
        return PyObject_GetAttr(module, qualname);
    }
    PyObject *parts = PyObject_CallMethod(qualname, "split", "s", "."), *found = Py_NewRef(module);
    for (Py_ssize_t i = 0; parts != NULL && found != NULL && i < PyList_GET_SIZE(parts); i++) {
        PyObject *outer = found;
        found = PyObject_GetAttr(outer, PyList_GET_ITEM(parts, i));
        Py_DECREF(outer);
    }
    if (parts == NULL) {
        Py_CLEAR(found);
    }
    Py_XDECREF(parts);
    return found;
}

static PyObject *
found_under(CoreState *core, PyObject *module, PyObject *qualname)
{
    PyObject *found = Py_XNewRef(PyDict_GetItemWithError(core->modules, module)), *value;
    if (found == NULL) {
        return NULL;
    }
    value = follow(found, qualname);
    Py_DECREF(found);
    return value;
}

/* What is looked for once. */
typedef struct {
    CoreState *core;
    PyObject *absent; /* set: modules that give nothing back */
    PyObject *looked; /* set */
    PyObject *names;  /* list: each value that is named, its module and its qualified name, which may come to be others */
} Naming;

/* If its module gives this very value back under its own name, put down both.  -1: an exception. */
static int
put_if_named(Naming *naming, PyObject *value, PyObject *module, PyObject *qualname)
{
    PyObject *found = found_under(naming->core, module, qualname);
    Py_XDECREF(found);
    if (found != value) { /* compared only: the value is the caller's, and lives */
        return 0;
    }
    PyObject *entry[] = {value, module, qualname};
    for (int i = 0; i < 3; i++) {
        if (PyList_Append(naming->names, entry[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The same for one of which that is not known yet. */
static int
look_for(Naming *naming, PyObject *value)
{
    PyObject *module = NULL, *qualname = NULL;
    int skip = PySet_Contains(naming->looked, value);
    if (skip != 0) {
        return skip < 0 ? -1 : 0;
    }
    if (PySet_Add(naming->looked, value) < 0) {
        return -1;
    }
    skip = names_of(naming->core, value, &module, &qualname) ? PySet_Contains(naming->absent, module) : 1;
    if (skip == 0 && put_if_named(naming, value, module, qualname) < 0) {
        skip = -1;
    }
    Py_XDECREF(module);
    Py_XDECREF(qualname);
    if (PyErr_Occurred()) {
        if (skip < 0 || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
    }
    return 0;
}

/* The same for all that values of these types are saved by. */
static int
look_for_all(Naming *naming, PyObject *stack, PyObject *loops)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(stack); i++) {
        PyObject *needed = PyDict_GetItemWithError(loops, (PyObject *)Py_TYPE(PyTuple_GET_ITEM(stack, i)));
        if (needed == NULL && PyErr_Occurred()) {
            return -1;
        }
        for (Py_ssize_t j = 0; needed != NULL && PyTuple_Check(needed) && j < PyTuple_GET_SIZE(needed); j++) {
            if (look_for(naming, PyTuple_GET_ITEM(needed, j)) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* The same for a state of a frame. */
static int
look_for_state(Naming *naming, PyObject *state, PyObject *loops)
{
    if (!PyTuple_CheckExact(state) || PyTuple_GET_SIZE(state) != 6 || !PyFunction_Check(PyTuple_GET_ITEM(state, 0)) ||
        !PyTuple_CheckExact(PyTuple_GET_ITEM(state, 5))) {
        return 0;
    }
    Py_INCREF(state); /* a module's __getattr__ may do anything */
    int done = look_for(naming, PyTuple_GET_ITEM(state, 0));
    done = done < 0 ? -1 : look_for_all(naming, PyTuple_GET_ITEM(state, 5), loops);
    Py_DECREF(state);
    return done;
}

/* named(frames, loops, absent): of states of frames, the functions that their modules give back by name, each once, and what iterators on
 * their evaluation stacks are saved by: `loops` is a dict of tuples by type.  Behind each its module's name, and its own.  Modules of
 * the set `absent` give nothing back. */
PyObject *
core_named(PyObject *module, PyObject *args)
{
    PyObject *frames, *loops, *names = NULL;
    Naming naming = {.core = core_state(module)};
    if (!PyArg_ParseTuple(args, "O!O!O:named", &PyList_Type, &frames, &PyDict_Type, &loops, &naming.absent)) {
        return NULL;
    }
    if (!PyAnySet_Check(naming.absent)) {
        return PyErr_Format(PyExc_TypeError, "expected a set of modules, got %R", naming.absent);
    }
    naming.looked = PySet_New(NULL);
    naming.names = naming.looked == NULL ? NULL : PyList_New(0);
    if (naming.names != NULL) {
        Py_ssize_t i = 0;
        while (i < PyList_GET_SIZE(frames) && look_for_state(&naming, PyList_GET_ITEM(frames, i), loops) == 0) {
            i++;
        }
        names = i < PyList_GET_SIZE(frames) ? NULL : PyList_AsTuple(naming.names);
    }
    Py_XDECREF(naming.looked);
    Py_XDECREF(naming.names);
    return names;
}

/* Terms of what says how values are saved, a tuple: */
enum {
    REDUCERS,  /* dict: by exact type, what is called with the pickler and the value */
    STANDARD,  /* set: types of which the standard pickler knows all that there is to know, */
    CONNECTED, /* dict: unless there is something in here, for which all types are asked */
    OTHERWISE, /* what is called for all others */
};

static PyObject *
reduce_value(PyObject *terms, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        return PyErr_Format(PyExc_TypeError, "expected a pickler and a value, got %zd arguments", count);
    }
    PyObject *type = (PyObject *)Py_TYPE(args[1]);
    PyObject *reducer = PyDict_GetItemWithError(PyTuple_GET_ITEM(terms, REDUCERS), type);
    if (reducer == NULL) {
        int is_standard = PyErr_Occurred() ? -1 : PySet_Contains(PyTuple_GET_ITEM(terms, STANDARD), type);
        if (is_standard < 0) {
            return NULL;
        }
        if (is_standard && PyDict_GET_SIZE(PyTuple_GET_ITEM(terms, CONNECTED)) == 0) {
            Py_RETURN_NOTIMPLEMENTED;
        }
        reducer = PyTuple_GET_ITEM(terms, OTHERWISE);
    }
    Py_INCREF(reducer);
    PyObject *reduced = PyObject_Vectorcall(reducer, args, (size_t)count, NULL);
    Py_DECREF(reducer);
    return reduced;
}

static PyMethodDef reduce_def = {"reducer_override", (PyCFunction)(void (*)(void))reduce_value, METH_FASTCALL, NULL};

/* reducing(reducers, standard, connected, otherwise): the method `reducer_override` of a class of picklers, under these terms. */
PyObject *
core_reducing(PyObject *Py_UNUSED(module), PyObject *terms)
{
    PyObject *reducers, *standard, *connected, *otherwise;
    if (!PyArg_ParseTuple(terms, "O!O!O!O:reducing", &PyDict_Type, &reducers, &PySet_Type, &standard, &PyDict_Type,
                          &connected, &otherwise)) {
        return NULL;
    }
    PyObject *function = PyCFunction_New(&reduce_def, terms), *method;
    method = function == NULL ? NULL : PyInstanceMethod_New(function);
    Py_XDECREF(function);
    return method;
}
