/* Which iterators are forked, and copies of those that refer to no other iterator. */
#include "core.h"

/* Types that are not exported are known by their names, which no class of a program can have: those can be changed. */
bool
is_builtin_named(PyTypeObject *type, const char *name)
{
    return (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) && strcmp(type->tp_name, name) == 0;
}

/* Iterators whose fork runs nobody's code, and fails for want of memory only. */
bool
iterator_is_simple(PyTypeObject *type)
{
    return type == &PyListIter_Type || type == &PyTupleIter_Type || type == &PyRangeIter_Type ||
           type == &PyLongRangeIter_Type || type == &PyUnicodeIter_Type || type == &PyBytesIter_Type ||
           type == &PyByteArrayIter_Type || type == &PyListRevIter_Type ||
           is_builtin_named(type, "str_ascii_iterator");
}

/* Iterators whose __reduce__ names what they iterate over and where they stand. */
bool
iterator_is_leaf(PyTypeObject *type)
{
    return iterator_is_simple(type) || type == &PySetIter_Type || type == &PyDictIterKey_Type ||
           type == &PyDictIterValue_Type || type == &PyDictIterItem_Type || type == &PyDictRevIterKey_Type ||
           type == &PyDictRevIterValue_Type || type == &PyDictRevIterItem_Type || type == &PyReversed_Type ||
           type == &PyCallIter_Type || type == &PySeqIter_Type;
}

/* The buffer that the iterators of tee() share is shared by their forks as well. */
bool
iterator_is_of_itertools(PyTypeObject *type)
{
    return (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) && strncmp(type->tp_name, "itertools.", 10) == 0 &&
           strcmp(type->tp_name, "itertools._tee_dataobject") != 0;
}

/* Iterators over other iterators, which must be forked first. */
bool
iterator_has_iterators(PyTypeObject *type)
{
    return type == &PyEnum_Type || type == &PyZip_Type || type == &PyMap_Type ||
           type == &PyFilter_Type || iterator_is_of_itertools(type);
}

bool
iterator_is_forkable(PyTypeObject *type)
{
    return type == &PyGen_Type || iterator_is_leaf(type) || iterator_has_iterators(type);
}

static int
count_reference(PyObject *object, void *Py_UNUSED(ignored))
{
    Py_INCREF(object);
    return 0;
}

/* A leaf is a position and references that its forks share: its memory is copied, and the references are those
 * that the garbage collector is told of. Nothing of this runs any code. */
PyObject *
iterator_copy(PyObject *iterator)
{
    PyTypeObject *type = Py_TYPE(iterator);
    bool is_collected = PyType_IS_GC(type);
    PyObject *fork = is_collected ? _PyObject_GC_New(type) : _PyObject_New(type);
    if (fork == NULL) {
        return NULL;
    }
    memcpy((char *)fork + sizeof(PyObject), (char *)iterator + sizeof(PyObject), type->tp_basicsize - sizeof(PyObject));
    if (is_collected) {
        (void)type->tp_traverse(fork, count_reference, NULL);
        PyObject_GC_Track(fork);
    }
    return fork;
}

/* Those whose references the garbage collector is not told of (ranges of large numbers) go the long way. */
bool
iterator_is_copied_whole(PyTypeObject *type)
{
    return iterator_is_leaf(type) && (PyType_IS_GC(type) ? type->tp_traverse != NULL : type == &PyRangeIter_Type);
}
