/* CPython 3.15: frames as in 3.14. What is new stands on the evaluation stack, in slots that 3.14 has
 * as well: a loop over a list or tuple keeps it there with a bare number (see slot_is_number). At the
 * bottom of every thread lies an entry frame that is never left, where 3.14 has NULL. */
#ifndef STACKFUL_CPYTHON_FRAME_315_H
#define STACKFUL_CPYTHON_FRAME_315_H

/* v3.15.0 Python/ceval.c, _PyEval_GetIter and _PyForIter_VirtualIteratorNext. */
#define TYPE_LOOPS_BY_NUMBER(type) ((type)->_tp_iteritem != NULL)

#include "cpython/frame_314.h"

#endif
