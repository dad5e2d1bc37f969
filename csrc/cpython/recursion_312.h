/* 3.12 and 3.13 count Python and C recursion apart. */
#ifndef STACKFUL_CPYTHON_RECURSION_312_H
#define STACKFUL_CPYTHON_RECURSION_312_H

typedef struct {
    int python; /* frames in use, not what is left: the limit may be changed meanwhile */
} Recursion;

static inline void
recursion_save(PyThreadState *ts, Recursion *saved)
{
    saved->python = ts->py_recursion_limit - ts->py_recursion_remaining;
}

static inline void
recursion_restore(PyThreadState *ts, const Recursion *saved)
{
    ts->py_recursion_remaining = ts->py_recursion_limit - saved->python;
}

static inline void
recursion_charge(PyThreadState *ts, const Recursion *saved, Py_ssize_t frames)
{
    ts->py_recursion_remaining = ts->py_recursion_limit - saved->python - (int)frames;
}

/* Without an evaluation: had it room, then? */
static inline bool
recursion_had_room(PyThreadState *ts, const Recursion *saved, Py_ssize_t frames)
{
    return ts->py_recursion_limit - saved->python > frames + 2;
}

/* An evaluation takes two units of C stack (PY_EVAL_C_STACK_UNITS, v3.12.5 and v3.13.0
 * Python/ceval.c); some are left for what the evaluated code calls. */
static inline bool
recursion_has_room(PyThreadState *ts, Py_ssize_t frames)
{
    return ts->py_recursion_remaining > frames + 2 && ts->c_recursion_remaining > 8;
}

#endif
