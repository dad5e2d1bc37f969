/* From 3.12 on: Python frames are counted apart from C recursion. */
#ifndef STACKFUL_CPYTHON_RECURSION_PYTHON_H
#define STACKFUL_CPYTHON_RECURSION_PYTHON_H

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

static inline void
recursion_shift(Recursion *saved, int by)
{
    saved->python += by;
}

static inline int
recursion_beyond(const Recursion *saved, const Recursion *base)
{
    return saved->python - base->python;
}

/* Without an evaluation: had it room, then? */
static inline bool
recursion_had_room(PyThreadState *ts, const Recursion *saved, Py_ssize_t frames)
{
    return ts->py_recursion_limit - saved->python > frames + 2;
}

#endif
