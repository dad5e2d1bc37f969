/* Frames that wait on the heap. */
#include "core.h"

Parked *
parked_new(CoreState *core, PyCodeObject *code)
{
    size_t size = offsetof(Parked, frame) + frame_size(code);
    Parked *parked = core->spare;
    if (parked != NULL && parked->size == size) {
        core->spare = NULL;
    }
    else if ((parked = PyMem_Malloc(size)) == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    parked->size = size;
    parked->outer = NULL;
    parked->place = &parked->frame;
    parked->known_call = NULL;
    return parked;
}

/* How many frames a node of a chain is or stands for. */
Py_ssize_t
parked_count(Parked *node)
{
    return parked_is_stand_in(node) ? ((StandIn *)node)->count : 1;
}

/* The frame's caller is what lies outside of it. */
void
parked_set_previous(Parked *parked)
{
    frame_set_previous(&parked->frame, parked->outer == NULL ? NULL : parked->outer->place);
}

/* Free a node and what it holds. */
void
parked_free_node(Parked *node)
{
    if (parked_is_stand_in(node)) {
        Segment *segment = ((StandIn *)node)->segment;
        PyMem_Free(node);
        Py_XDECREF(segment);
    }
    else {
        frame_discard(&node->frame);
        parked_free(node);
    }
}

/* Free the memory of a frame whose contents are gone. */
void
parked_free(Parked *parked)
{
    PyMem_Free(parked);
}

/* The same for a frame that has run to its end: its memory is kept for the next one, as a rule the copy of a frame of the
 * same function, that the frame was called by. */
void
parked_end(CoreState *core, Parked *parked)
{
    Parked *old = core->spare;
    core->spare = parked;
    if (old != NULL) {
        parked_free(old);
    }
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
        parked_free_node(inner);
        inner = outer;
    }
}

int
parked_traverse_chain(Parked *inner, visitproc visit, void *arg)
{
    for (Parked *parked = inner; parked != NULL; parked = parked->outer) {
        int stop = 0;
        if (parked_is_stand_in(parked)) {
            Py_VISIT(((StandIn *)parked)->segment);
        }
        else {
            stop = frame_visit(&parked->frame, visit, arg);
        }
        if (stop != 0) {
            return stop;
        }
    }
    return 0;
}

/* Set `previous`, `outermost` and `depth` from a chain without stand-ins; nothing runs beyond a
 * parked fiber. */
void
parked_link(Fiber *fiber)
{
    fiber->depth = 0;
    fiber->outermost = NULL;
    for (Parked *parked = fiber->inner; parked != NULL; parked = parked->outer) {
        parked_set_previous(parked);
        fiber->outermost = parked;
        fiber->depth++;
    }
}
