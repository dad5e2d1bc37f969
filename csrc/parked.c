/* Frames that wait on the heap. */
#include "core.h"

Parked *
parked_new(PyCodeObject *code)
{
    size_t header = offsetof(Parked, frame);
    Parked *parked = PyMem_Malloc(header + frame_size(code));
    if (parked == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    parked->outer = NULL;
    parked->source = NULL;
    parked->known_call = NULL;
    return parked;
}

/* Free the memory of a frame whose contents are gone. */
void
parked_free(Parked *parked)
{
    PyMem_Free(parked);
}

/* A frame that somebody holds as a frame object lives on inside of it, f_back included. */
static bool
survives_in_object(Frame *frame)
{
    PyFrameObject *object = frame_object(frame);
    bool wanted;
    if (object == NULL) {
        return false;
    }
    wanted = Py_REFCNT(object) > 1;
    if (wanted) {
        PyObject *pending = PyErr_Occurred() ? exception_take() : NULL;
        PyFrameObject *back = PyFrame_GetBack(object);
        PyErr_Clear(); /* no memory for it: then there is no f_back */
        if (pending != NULL) {
            exception_put(pending);
        }
        frame->frame_obj = NULL;
        frame_give_to_object(frame, object);
        if (object->f_back == NULL) {
            object->f_back = back;
            back = NULL;
        }
        Py_XDECREF(back);
    }
    else {
        frame->frame_obj = NULL;
    }
    Py_DECREF(object);
    return wanted;
}

/* Release everything that a frame holds. It must not be running, nor be linked as running. */
void
frame_discard(Frame *frame)
{
    if (!survives_in_object(frame)) {
        frame_release(frame);
    }
}

/* Drop a chain that is no longer reachable from its fiber; no `finally` runs. */
void
parked_clear_chain(Parked *inner)
{
    while (inner != NULL) {
        Parked *outer = inner->outer;
        frame_discard(&inner->frame);
        parked_free(inner);
        inner = outer;
    }
}

int
parked_traverse_chain(Parked *inner, visitproc visit, void *arg)
{
    for (Parked *parked = inner; parked != NULL; parked = parked->outer) {
        int stop = frame_visit(&parked->frame, visit, arg);
        if (stop != 0) {
            return stop;
        }
    }
    return 0;
}

/* Set `previous`, `outermost` and `depth` from the chain; nothing runs beyond a parked fiber. */
void
parked_link(Fiber *fiber)
{
    fiber->depth = 0;
    fiber->outermost = NULL;
    for (Parked *parked = fiber->inner; parked != NULL; parked = parked->outer) {
        frame_set_previous(&parked->frame, parked->outer == NULL ? NULL : &parked->outer->frame);
        fiber->outermost = parked;
        fiber->depth++;
    }
}
