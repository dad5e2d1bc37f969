/* Counting references where it is known how many there are at least.
 *
 * 3.12 and 3.13 count up in half of the count, and read all of it to count down: processors wait where more is read than was just
 * written (v3.12.5 and v3.13.0 Include/object.h, Py_INCREF and Py_DECREF). So the half is all that is read here. */
#ifndef STACKFUL_CPYTHON_REFERENCES_H
#define STACKFUL_CPYTHON_REFERENCES_H

#include <Python.h>
#include <stdbool.h>

#define COUNTS_IN_HALVES (PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030E0000 && SIZEOF_VOID_P > 4)

/* Py_DECREF where others hold the object as well: without the call that would destroy it. */
static inline void
drop_shared(PyObject *object)
{
#if COUNTS_IN_HALVES && !defined(Py_REF_DEBUG)
    uint32_t *count = &object->ob_refcnt_split[PY_BIG_ENDIAN];
    if ((int32_t)*count >= 0) {
        --*count;
    }
#else
    Py_DECREF(object);
#endif
}

static inline bool
is_held_once(PyObject *object)
{
#if COUNTS_IN_HALVES
    return object->ob_refcnt_split[PY_BIG_ENDIAN] == 1;
#else
    return Py_REFCNT(object) == 1;
#endif
}

/* Py_DECREF where most probably others hold the object as well. */
static inline void
drop(PyObject *object)
{
    if (is_held_once(object)) {
        Py_DECREF(object);
    }
    else {
        drop_shared(object);
    }
}

#endif
