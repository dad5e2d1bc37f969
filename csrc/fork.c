/* Copies of parked frames.
 *
 * Locals are shared references.  What lives on an evaluation stack belongs to its frame and is
 * forked with it (D3): the iterators of running `for` loops, and displays that are half built.
 * Where a forked iterator is also a local of the same fiber, that local gets the fork as well. */
#include "core.h"

typedef struct {
    PyObject *original, *fork; /* both owned */
} Pair;

typedef struct {
    Pair *pairs;
    Py_ssize_t count, room;
} Forks;

static PyObject *fork_object(Forks *forks, PyObject *object);

static PyObject *
forks_find(Forks *forks, PyObject *original)
{
    for (Py_ssize_t i = 0; i < forks->count; i++) {
        if (forks->pairs[i].original == original) {
            return forks->pairs[i].fork;
        }
    }
    return NULL;
}

static int
forks_add(Forks *forks, PyObject *original, PyObject *fork)
{
    if (forks->count == forks->room) {
        Py_ssize_t room = forks->room == 0 ? 8 : 2 * forks->room;
        Pair *pairs = PyMem_Realloc(forks->pairs, room * sizeof(Pair));
        if (pairs == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        forks->pairs = pairs;
        forks->room = room;
    }
    forks->pairs[forks->count].original = Py_NewRef(original);
    forks->pairs[forks->count++].fork = Py_NewRef(fork);
    return 0;
}

static void
forks_clear(Forks *forks)
{
    for (Py_ssize_t i = 0; i < forks->count; i++) {
        Py_DECREF(forks->pairs[i].original);
        Py_DECREF(forks->pairs[i].fork);
    }
    PyMem_Free(forks->pairs);
}

/* Iterators whose __reduce__ names what they iterate over and where they stand. */
static bool
is_leaf_iterator(PyTypeObject *type)
{
    return type == &PyListIter_Type || type == &PyTupleIter_Type || type == &PyRangeIter_Type ||
           type == &PyLongRangeIter_Type || type == &PyUnicodeIter_Type ||
           type == &PyBytesIter_Type || type == &PyByteArrayIter_Type || type == &PySetIter_Type ||
           type == &PyDictIterKey_Type || type == &PyDictIterValue_Type ||
           type == &PyDictIterItem_Type || type == &PyDictRevIterKey_Type ||
           type == &PyDictRevIterValue_Type || type == &PyDictRevIterItem_Type ||
           type == &PyListRevIter_Type || type == &PyReversed_Type || type == &PyCallIter_Type ||
           type == &PySeqIter_Type || strcmp(type->tp_name, "str_ascii_iterator") == 0;
}

/* Iterators over other iterators, which must be forked first. */
static bool
is_iterator_of_iterators(PyTypeObject *type)
{
    return type == &PyEnum_Type || type == &PyZip_Type || type == &PyMap_Type ||
           type == &PyFilter_Type;
}

/* A copy of a tuple in which each forkable item is forked; tuples of iterators as well (zip). */
static PyObject *
fork_items(Forks *forks, PyObject *tuple)
{
    Py_ssize_t size = PyTuple_GET_SIZE(tuple);
    PyObject *copy = PyTuple_New(size);
    for (Py_ssize_t i = 0; copy != NULL && i < size; i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        PyObject *fork = fork_object(forks, item);
        if (fork == NULL) {
            Py_CLEAR(copy);
            break;
        }
        PyTuple_SET_ITEM(copy, i, fork);
    }
    return copy;
}

/* Call what __reduce__ gave: (callable, arguments[, state]). */
static PyObject *
rebuild(Forks *forks, PyObject *reduced, bool nested)
{
    PyObject *arguments, *fork, *state = NULL;
    if (!PyTuple_Check(reduced) || PyTuple_GET_SIZE(reduced) < 2) {
        PyErr_SetString(PyExc_TypeError, "an iterator's __reduce__ must give (callable, arguments)");
        return NULL;
    }
    arguments = PyTuple_GET_ITEM(reduced, 1);
    arguments = nested ? fork_items(forks, arguments) : Py_NewRef(arguments);
    if (arguments == NULL) {
        return NULL;
    }
    fork = PyObject_Call(PyTuple_GET_ITEM(reduced, 0), arguments, NULL);
    Py_DECREF(arguments);
    if (fork != NULL && PyTuple_GET_SIZE(reduced) > 2) {
        state = PyTuple_GET_ITEM(reduced, 2);
    }
    if (state != NULL && state != Py_None) {
        PyObject *done = PyObject_CallMethod(fork, "__setstate__", "O", state);
        if (done == NULL) {
            Py_CLEAR(fork);
        }
        Py_XDECREF(done);
    }
    return fork;
}

static PyObject *
fork_iterator(Forks *forks, PyObject *iterator, bool nested)
{
    PyObject *fork = NULL, *reduced = PyObject_CallMethod(iterator, "__reduce__", NULL);
    if (reduced != NULL) {
        fork = rebuild(forks, reduced, nested);
        Py_DECREF(reduced);
    }
    return fork;
}

static int fork_stack(Forks *forks, Frame *frame);
static void share_forks(Forks *forks, Frame *frame);

/* A generator is a frame of its own: it is copied with what stands on its stack. */
static PyObject *
fork_generator(Forks *forks, PyObject *object)
{
    PyGenObject *original = (PyGenObject *)object, *fork;
    if (generator_is_running(original) || generator_is_finished(original)) {
        return Py_NewRef(object); /* nothing in it can diverge, or nothing in it can be copied */
    }
    fork = (PyGenObject *)generator_blank(frame_function(generator_frame(original)), Py_TYPE(object));
    if (fork != NULL && frame_code(generator_frame(fork)) != frame_code(generator_frame(original))) {
        PyErr_Format(PyExc_TypeError, "%R cannot be copied: its function has another __code__ now", object);
        Py_CLEAR(fork);
    }
    if (fork == NULL) {
        return NULL;
    }
    generator_fill(fork, generator_frame(original));
    generator_copy_state(fork, original);
    if (fork_stack(forks, generator_frame(fork)) < 0) {
        Py_DECREF(fork);
        return NULL;
    }
    share_forks(forks, generator_frame(fork));
    return (PyObject *)fork;
}

/* A new reference: the fork of an iterator; anything else is shared. */
static PyObject *
fork_object(Forks *forks, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    bool nested = is_iterator_of_iterators(type), generator = type == &PyGen_Type;
    PyObject *fork;
    if (!nested && !generator && !is_leaf_iterator(type)) {
        return Py_NewRef(object);
    }
    fork = forks_find(forks, object);
    if (fork != NULL) {
        return Py_NewRef(fork);
    }
    fork = generator ? fork_generator(forks, object) : fork_iterator(forks, object, nested);
    if (fork != NULL && forks_add(forks, object, fork) < 0) {
        Py_CLEAR(fork);
    }
    return fork;
}

/* A display that only the original's and the clone's stack refer to is being built there. */
static PyObject *
fork_slot(Forks *forks, PyObject *object)
{
    if (Py_REFCNT(object) == 2) {
        if (PyList_CheckExact(object)) {
            return PyList_GetSlice(object, 0, PyList_GET_SIZE(object));
        }
        if (PySet_CheckExact(object)) {
            return PySet_New(object);
        }
        if (PyDict_CheckExact(object)) {
            return PyDict_Copy(object);
        }
    }
    return fork_object(forks, object);
}

static int
fork_in_place(Forks *forks, PyObject **slot)
{
    PyObject *object = *slot;
    if (object != NULL) {
        *slot = fork_slot(forks, object);
        if (*slot == NULL) {
            *slot = object;
            return -1;
        }
        Py_DECREF(object);
    }
    return 0;
}

/* The iterator of a comprehension or generator expression is its hidden argument ".0". */
static bool
has_hidden_iterator(PyCodeObject *code)
{
    return code->co_nlocalsplus > 0 &&
           PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(code->co_localsplusnames, 0), ".0") == 0;
}

static int
fork_stack(Forks *forks, Frame *frame)
{
    PyCodeObject *code = frame_code(frame);
    PyObject **slots = frame_slots(frame);
    int depth = frame_depth(frame);
    if (has_hidden_iterator(code) && fork_in_place(forks, &slots[0]) < 0) {
        return -1;
    }
    for (int i = code->co_nlocalsplus; i < depth; i++) {
        if (fork_in_place(forks, &slots[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A local that names a forked iterator names the fork. */
static void
share_forks(Forks *forks, Frame *frame)
{
    PyObject **slots = frame_slots(frame);
    for (int i = 0; forks->count > 0 && i < frame_code(frame)->co_nlocalsplus; i++) {
        PyObject *fork = slots[i] == NULL ? NULL : forks_find(forks, slots[i]);
        if (fork != NULL) {
            Py_SETREF(slots[i], Py_NewRef(fork));
        }
    }
}

/* The same references in a new parked frame. */
static Parked *
duplicate(Parked *parked)
{
    Frame *from = &parked->frame;
    Parked *copy = parked_new(frame_code(from));
    if (copy != NULL) {
        frame_duplicate(&copy->frame, from);
        copy->known_call = parked->known_call;
    }
    return copy;
}

/* Copy a whole chain; on failure nothing is left behind. */
int
parked_clone_chain(Parked *from, Parked **clone)
{
    Forks forks = {0};
    Parked **link = clone;
    int failed = 0;
    *clone = NULL;
    for (; from != NULL && !failed; from = from->outer) {
        *link = duplicate(from);
        failed = *link == NULL;
        link = failed ? link : &(*link)->outer;
    }
    for (Parked *parked = *clone; parked != NULL && !failed; parked = parked->outer) {
        failed = fork_stack(&forks, &parked->frame) < 0;
    }
    for (Parked *parked = *clone; parked != NULL && !failed; parked = parked->outer) {
        share_forks(&forks, &parked->frame);
    }
    forks_clear(&forks);
    if (failed) {
        parked_clear_chain(*clone);
        *clone = NULL;
    }
    return failed ? -1 : 0;
}

PyObject *
core_copy_generator(PyObject *Py_UNUSED(module), PyObject *generator)
{
    Forks forks = {0};
    PyObject *fork;
    if (!PyGen_CheckExact(generator) || generator_is_running((PyGenObject *)generator)) {
        return PyErr_Format(PyExc_TypeError, "only a generator that is not running can be copied, not %R",
                            generator);
    }
    fork = fork_generator(&forks, generator);
    forks_clear(&forks);
    return fork;
}
