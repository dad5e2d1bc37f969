/* Tokens of context variables: the structure stands in CPython's own header. */
#ifndef STACKFUL_CPYTHON_TOKEN_LAYOUT_H
#define STACKFUL_CPYTHON_TOKEN_LAYOUT_H

#include "internal/pycore_context.h"

typedef struct _pycontexttokenobject Token;

#endif
