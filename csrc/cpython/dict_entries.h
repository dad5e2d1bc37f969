/* The first entries of a dict, without a call and without hashing: v3.11.7, v3.12.1, v3.13.0, v3.14.10 and v3.15.2
 * Include/internal/pycore_dict.h. */
#ifndef STACKFUL_CPYTHON_DICT_ENTRIES_H
#define STACKFUL_CPYTHON_DICT_ENTRIES_H

#include <Python.h>

#include "internal/pycore_dict.h"

/* What it maps the key to, borrowed, if that is one of its first `most` entries, by identity; else NULL. The key is no string:
 * a dict that has one is not `DICT_KEYS_UNICODE`. */
static inline PyObject *
dict_early_value(PyObject *dict, PyObject *key, Py_ssize_t most)
{
    PyDictKeysObject *keys = ((PyDictObject *)dict)->ma_keys;
    if (keys->dk_kind != DICT_KEYS_GENERAL) {
        return NULL;
    }
    PyDictKeyEntry *entries = DK_ENTRIES(keys);
    for (Py_ssize_t i = 0; i < most && i < keys->dk_nentries; i++) {
        if (entries[i].me_key == key) {
            return entries[i].me_value;
        }
    }
    return NULL;
}

#endif
