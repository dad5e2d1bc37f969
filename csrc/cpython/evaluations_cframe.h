/* Until 3.12 each C evaluation has a record on the C stack (_PyCFrame), which leads to that of the one outside of it. */
#ifndef STACKFUL_CPYTHON_EVALUATIONS_CFRAME_H
#define STACKFUL_CPYTHON_EVALUATIONS_CFRAME_H

typedef struct {
    _PyCFrame *inner, *outer;
} Evaluations;

/* Take those whose records lie between `low` and `high`, and those inside of them, off the thread. */
static inline void
evaluations_detach(PyThreadState *ts, Evaluations *kept, const char *low, const char *high)
{
    _PyCFrame *outer = kept->inner = ts->cframe;
    bool within = false;
    for (_PyCFrame *next = outer;; next = next->previous) {
        bool here = (char *)next >= low && (char *)next < high;
        if (within && !here) {
            break;
        }
        within = here;
        outer = next;
    }
    kept->outer = outer;
    ts->cframe = outer->previous;
    cframe_inherit_tracing(ts->cframe, kept->inner);
}

/* Put them on the thread's current one. */
static inline void
evaluations_attach(PyThreadState *ts, Evaluations *kept)
{
    cframe_inherit_tracing(kept->inner, ts->cframe);
    kept->outer->previous = ts->cframe;
    ts->cframe = kept->inner;
}

static inline Frame *
evaluations_innermost(const Evaluations *kept)
{
    return kept->inner->current_frame;
}

#endif
