/* 3.11 to 3.13: what stands in the code of a stub. */
#ifndef STACKFUL_CPYTHON_STUB_CODE_H
#define STACKFUL_CPYTHON_STUB_CODE_H

#define CODE_HAS_EXITS

static Exit no_exit; /* no instruction */

/* Where `return` stands behind `~` in the code of a stub; or what never will be one. */
static inline Exit *
code_find_exit(PyCodeObject *code)
{
    PyObject *bytes = PyCode_GetCode(code);
    Exit *exit = &no_exit;
    if (bytes == NULL) {
        PyErr_Clear();
        return exit;
    }
    const unsigned char *units = (const unsigned char *)PyBytes_AS_STRING(bytes);
    for (Py_ssize_t i = 0; i + 3 < PyBytes_GET_SIZE(bytes); i += 2) {
        if (units[i] == UNARY_INVERT && units[i + 2] == RETURN_VALUE && units[i + 3] == 0) {
            exit = &_PyCode_CODE(code)[i / 2 + 1];
        }
    }
    Py_DECREF(bytes);
    return exit;
}

#endif
