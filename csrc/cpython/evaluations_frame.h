/* From 3.13 on frames are all that evaluations leave in the thread state. */
#ifndef STACKFUL_CPYTHON_EVALUATIONS_FRAME_H
#define STACKFUL_CPYTHON_EVALUATIONS_FRAME_H

typedef struct {
    Frame *inner;
} Evaluations;

static inline void
evaluations_detach(PyThreadState *ts, Evaluations *kept, const char *Py_UNUSED(low), const char *Py_UNUSED(high))
{
    kept->inner = ts->current_frame;
}

static inline void
evaluations_attach(PyThreadState *ts, Evaluations *kept)
{
    ts->current_frame = kept->inner;
}

static inline Frame *
evaluations_innermost(const Evaluations *kept)
{
    return kept->inner;
}

#endif
