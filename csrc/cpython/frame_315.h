/* CPython 3.15: frames as in 3.14. What is new stands on the evaluation stack, in slots that 3.14 has
 * as well: a loop over a list or tuple keeps it there with a bare number (see slot_is_number). At the
 * bottom of every thread lies an entry frame that is never left, where 3.14 has NULL. */
#ifndef STACKFUL_CPYTHON_FRAME_315_H
#define STACKFUL_CPYTHON_FRAME_315_H

#include "cpython/frame_314.h"

#endif
