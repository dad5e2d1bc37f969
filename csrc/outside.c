/* What a snapshot keeps outside of its pickle: the numbers of long strings, and memory for buffers.
 *
 * A pickler asks for the persistent id of everything that it saves, of each number and each string, so that the answer in Python would
 * be most of what a snapshot of a long list costs; snapshot/blobs.py says what the numbers mean. */
#include "core.h"

#define PACK_BITS 16 /* a number is 1 + the place of a pack in the table, and below these bits the place in the pack */

/* Terms of one snapshot, a tuple: */
enum {
    LEAST,  /* shorter strings have no number */
    KNOWN,  /* dict: the numbers of strings in the last snapshot, by its table */
    BEFORE, /* list: its table, the digests of packs */
    SEEN,   /* dict: the numbers of strings in this one, by its own table */
    TABLE,  /* list: that */
    PLACES, /* list: where the packs of `before` stand in `table`, or None for those that nothing has needed yet */
    ADD,    /* numbers what the last snapshot did not have */
};
#define TERM(terms, which) PyTuple_GET_ITEM(terms, which)

/* Where a pack of the last snapshot stands in the table of this one; it is put there when it is first needed. -1: an exception. */
static Py_ssize_t
place_of(PyObject *terms, Py_ssize_t pack)
{
    PyObject *places = TERM(terms, PLACES), *table = TERM(terms, TABLE), *before = TERM(terms, BEFORE);
    if (pack < 0 || pack >= PyList_GET_SIZE(places) || pack >= PyList_GET_SIZE(before)) {
        PyErr_SetString(PyExc_IndexError, "a number of no pack");
        return -1;
    }
    if (PyList_GET_ITEM(places, pack) != Py_None) {
        return PyLong_AsSsize_t(PyList_GET_ITEM(places, pack));
    }
    Py_ssize_t place = PyList_GET_SIZE(table);
    PyObject *number = PyLong_FromSsize_t(place);
    if (number == NULL || PyList_Append(table, PyList_GET_ITEM(before, pack)) < 0) {
        Py_XDECREF(number);
        return -1;
    }
    return PyList_SetItem(places, pack, number) < 0 ? -1 : place;
}

/* The number of what had another in the last snapshot. */
static PyObject *
number_moved(PyObject *terms, PyObject *number)
{
    Py_ssize_t old = PyLong_AsSsize_t(number), pack = (old >> PACK_BITS) - 1;
    Py_ssize_t place = old == -1 && PyErr_Occurred() ? -1 : place_of(terms, pack);
    if (place < 0) {
        return NULL;
    }
    return place == pack ? Py_NewRef(number) : PyLong_FromSsize_t(((place + 1) << PACK_BITS) | (old & ((1 << PACK_BITS) - 1)));
}

static PyObject *
number_of_string(PyObject *terms, PyObject *string)
{
    PyObject *number = PyDict_GetItemWithError(TERM(terms, SEEN), string);
    if (number != NULL || PyErr_Occurred()) {
        return Py_XNewRef(number);
    }
    PyObject *known = PyDict_GetItemWithError(TERM(terms, KNOWN), string);
    if (known == NULL && PyErr_Occurred()) {
        return NULL;
    }
    number = known != NULL ? number_moved(terms, known) : PyObject_CallOneArg(TERM(terms, ADD), string);
    if (number != NULL && PyDict_SetItem(TERM(terms, SEEN), string, number) < 0) {
        Py_CLEAR(number);
    }
    return number;
}

static PyObject *
number_of(PyObject *terms, PyObject *value)
{
    bool is_string = PyUnicode_CheckExact(value);
    if (!is_string && !PyBytes_CheckExact(value)) {
        Py_RETURN_NONE;
    }
    Py_ssize_t length = is_string ? PyUnicode_GET_LENGTH(value) : PyBytes_GET_SIZE(value);
    if (length < PyLong_AsSsize_t(TERM(terms, LEAST))) {
        Py_RETURN_NONE;
    }
    return is_string ? number_of_string(terms, value) : PyObject_CallOneArg(TERM(terms, ADD), value);
}

static PyMethodDef number_def = {"number", number_of, METH_O, NULL};

/* numbering(least, known, before, seen, table, places, add): what answers, under these terms. */
PyObject *
core_numbering(PyObject *Py_UNUSED(module), PyObject *terms)
{
    Py_ssize_t least;
    PyObject *known, *before, *seen, *table, *places, *add;
    if (!PyArg_ParseTuple(terms, "nO!O!O!O!O!O:numbering", &least, &PyDict_Type, &known, &PyList_Type, &before, &PyDict_Type,
                          &seen, &PyList_Type, &table, &PyList_Type, &places, &add)) {
        return NULL;
    }
    return PyCFunction_New(&number_def, terms);
}

/* blank_bytes(size): a bytearray that is still to be filled; Python's own is filled with zeros, and all its memory touched once more. */
PyObject *
core_blank_bytes(PyObject *Py_UNUSED(module), PyObject *size)
{
    Py_ssize_t count = PyLong_AsSsize_t(size);
    if (count < 0) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "a size is not negative: %zd", count);
    }
    return PyByteArray_FromStringAndSize(NULL, count);
}
