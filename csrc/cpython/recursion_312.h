/* 3.12 and 3.13 count Python and C recursion apart. */
#ifndef STACKFUL_CPYTHON_RECURSION_312_H
#define STACKFUL_CPYTHON_RECURSION_312_H

#include "cpython/recursion_python.h"

/* An evaluation takes two units of C stack (PY_EVAL_C_STACK_UNITS, v3.12.5 and v3.13.0
 * Python/ceval.c); some are left for what the evaluated code calls. */
static inline bool
recursion_has_room(PyThreadState *ts, Py_ssize_t frames)
{
    return ts->py_recursion_remaining > frames + 2 && ts->c_recursion_remaining > 8;
}

#endif
