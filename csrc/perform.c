/* The gates of `perform`: what answers an operation is found, and called by the evaluator.
 *
 * `perform` (effects/performing.py) is a stub that calls what answers itself, so that nothing of C lies between the program and
 * its handler. Which call that is, and what has to be done after it, the first gate writes into the stub's locals. */
#include "core.h"

/* ---- before the call ------------------------------------------------------------------------------- */

enum { MOST_ARGUMENTS = 6 };

/* The arguments that `perform` was given for the operation; -1: it cannot be told any more, a debugger has changed them. */
static inline Py_ssize_t
count_arguments(CoreState *core, FrameSlot *locals)
{
    PyObject *rest = slot_object(locals[PERFORM_REST]), *first = slot_object(locals[PERFORM_FIRST]);
    if (UNLIKELY(rest == NULL || first == NULL || !PyTuple_CheckExact(rest))) {
        return -1;
    }
    return first == core->absent ? 0 : 1 + PyTuple_GET_SIZE(rest);
}

static PyObject *
raise_uncountable(Py_ssize_t count)
{
    if (count < 0) {
        PyErr_SetString(PyExc_TypeError, "perform() has lost its arguments");
    }
    else {
        PyErr_Format(PyExc_TypeError, "perform() takes from 1 to %d positional arguments but %zd were given", 1 + MOST_ARGUMENTS,
                     1 + count);
    }
    return NULL;
}

/* What answers an operation, and where its handler is (handler_find_answer). */
typedef struct {
    PyObject *answer; /* borrowed */
    Level *level;
    Marks *marks;
} Found;

/* How it is called. */
typedef struct {
    PyObject *function; /* owned */
    PyObject *head;     /* the same: an argument before the others, or NULL */
    PyObject *way;      /* borrowed: True: in place. Ellipsis: with the handler's state. False: plainly. */
} Answering;

/* What is to be called; 0, or -1 with an exception. */
static inline int
find_answering(Fiber *fiber, PyThreadState *ts, Frame *stub, const Found *found, Answering *how)
{
    CoreState *core = fiber->core;
    PyObject *answer = Py_NewRef(found->answer);
    *how = (Answering){.way = Py_False};
    if (Py_IS_TYPE(answer, core->updates.type)) {
        PyObject *state = found->marks->state;
        how->function = updates_function(core, answer);
        how->head = Py_NewRef(state == NULL ? Py_None : state);
        how->way = Py_Ellipsis;
    }
    else if (Py_IS_TYPE(answer, core->promises.type)) {
        int can = found->level == NULL ? 0 : in_place_can_begin(fiber, ts, stub, found->level, answer);
        if (can > 0) {
            how->function = in_place_begin(fiber, stub, found->level, answer, &how->head);
            how->way = Py_True;
        }
        else if (can == 0) {
            how->function = PyObject_GetAttrString(answer, "answer");
        }
    }
    else {
        how->function = answer;
        return 0;
    }
    Py_DECREF(answer);
    return how->function == NULL ? -1 : 0;
}

/* All arguments, where they are more than two. */
static PyObject *
gather(FrameSlot *locals, Py_ssize_t count, PyObject *head)
{
    PyObject *rest = slot_object(locals[PERFORM_REST]);
    Py_ssize_t begin = head != NULL;
    int was_enabled = hold_collector();
    PyObject *all = PyTuple_New(begin + count);
    let_collect(was_enabled);
    if (all != NULL) {
        if (begin > 0) {
            PyTuple_SET_ITEM(all, 0, Py_NewRef(head));
        }
        PyTuple_SET_ITEM(all, begin, Py_NewRef(slot_object(locals[PERFORM_FIRST])));
        for (Py_ssize_t i = 1; i < count; i++) {
            PyTuple_SET_ITEM(all, begin + i, Py_NewRef(PyTuple_GET_ITEM(rest, i - 1)));
        }
    }
    return all;
}

/* Write down what the function is called with, if it is not the first argument alone. Takes the head, also where it fails. */
static inline int
put_arguments(CoreState *core, FrameSlot *locals, Py_ssize_t count, PyObject *head)
{
    PyObject *second = core->absent, *rest = NULL, *first = slot_object(locals[PERFORM_FIRST]);
    Py_ssize_t all = count + (head != NULL);
    if (all == 2) {
        second = head != NULL ? first : PyTuple_GET_ITEM(slot_object(locals[PERFORM_REST]), 0);
        rest = Py_NewRef(Py_None);
    }
    else if (all == 1) {
        second = Py_None;
    }
    else if (all > 2 && (rest = gather(locals, count, head)) == NULL) {
        Py_XDECREF(head);
        return -1;
    }
    slot_put(&locals[PERFORM_SECOND], slot_of(Py_NewRef(second)));
    if (head != NULL) {
        slot_put(&locals[PERFORM_FIRST], slot_of(head));
    }
    if (rest != NULL) {
        slot_put(&locals[PERFORM_REST], slot_of(rest));
    }
    return 0;
}

/* What is not a plain call with one argument; or will be, because the clause cannot be called in place now. */
static NOINLINE PyObject *
prepare_more(Fiber *fiber, PyThreadState *ts, Frame *stub, const Found *found, Py_ssize_t count)
{
    FrameSlot *locals = frame_slots(stub);
    Answering how = {0};
    if (count < 0 || count > MOST_ARGUMENTS) {
        handlers_unmask(fiber);
        return raise_uncountable(count);
    }
    int failed = find_answering(fiber, ts, stub, found, &how);
    if (!failed && count == 1 && how.head == NULL) {
        how.way = Py_None;
    }
    else if (!failed) {
        failed = put_arguments(fiber->core, locals, count, how.head);
    }
    if (failed) {
        Py_XDECREF(how.function);
        handlers_unmask(fiber);
        in_place_end_of(fiber, stub);
        return NULL;
    }
    slot_put(&locals[PERFORM_ANSWER], slot_of(how.function));
    return Py_NewRef(how.way);
}

static inline PyObject *
prepare(Fiber *fiber, PyThreadState *ts, Frame *stub, const Found *found)
{
    FrameSlot *locals = frame_slots(stub);
    PyTypeObject *type = Py_TYPE(found->answer);
    Py_ssize_t count = count_arguments(fiber->core, locals);
    if (LIKELY(count == 1 && type != fiber->core->promises.type && type != fiber->core->updates.type)) {
        slot_put(&locals[PERFORM_ANSWER], slot_of(Py_NewRef(found->answer)));
        return Py_NewRef(Py_None);
    }
    return prepare_more(fiber, ts, stub, found, count);
}

/* The thread state that runs the fiber, if its own code runs here and not another's that it has called: whoever looks at
 * the frame knows that it is the current one. Else NULL. */
static inline PyThreadState *
fiber_thread(Fiber *fiber, PyObject *gate)
{
    bool runs = fiber != NULL && fiber->core == ((Gate *)gate)->core && fiber->handling == fiber->ts->exc_info;
    return LIKELY(runs) ? fiber->ts : NULL;
}

static NOINLINE PyObject *
perform_slowly(PyObject *gate)
{
    CoreState *core = ((Gate *)gate)->core;
    PyThreadState *ts = PyThreadState_Get();
    Fiber *fiber = fiber_running_here(ts);
    Frame *stub = gate_stub(gate, ts, STUB_PERFORM);
    if (stub == NULL) {
        return NULL;
    }
    PyObject *operation = Py_NewRef(frame_first_local(stub) == NULL ? Py_None : frame_first_local(stub));
    Found found = {0};
    found.answer = handler_find_answer(core, fiber, operation, &found.level, &found.marks);
    PyObject *way = found.answer == NULL ? NULL : prepare(fiber, ts, stub, &found);
    Py_DECREF(operation); /* held, because its __hash__ may change the stub's local */
    return way;
}

/* `~gate` in `perform(operation, ...)`: finds what answers the operation. The handlers up to its own are out of force from now
 * on, until one of the following gates. */
PyObject *
gate_perform(PyObject *gate)
{
    Fiber *fiber = fiber_active_here;
    PyThreadState *ts = fiber_thread(fiber, gate);
    Frame *stub = ts == NULL ? NULL : thread_frame(ts);
    if (UNLIKELY(stub == NULL || fiber->level == NULL || (PyObject *)frame_code(stub) != fiber->core->stub_codes[STUB_PERFORM])) {
        return perform_slowly(gate);
    }
    Found found = {.level = fiber->level, .marks = &fiber->level->marks};
    found.answer = handler_answer_nearby(fiber->core, fiber->level, frame_first_local(stub));
    return LIKELY(found.answer != NULL) ? prepare(fiber, ts, stub, &found) : perform_slowly(gate);
}

/* ---- after it -------------------------------------------------------------------------------------- */

/* `~unmask` in `perform`: what was put out of force is in force again. */
PyObject *
gate_unmask(PyObject *gate)
{
    Fiber *fiber = fiber_active_here;
    PyThreadState *ts = fiber_thread(fiber, gate);
    if (UNLIKELY(ts == NULL)) {
        ts = PyThreadState_Get();
        fiber = fiber_running_here(ts);
    }
    if (fiber != NULL && fiber->core == ((Gate *)gate)->core) {
        handlers_unmask(fiber);
        in_place_end_of(fiber, thread_frame(ts));
    }
    Py_RETURN_NONE;
}

/* A clause with state has returned: if that is a pair, `answer` and the handler's state from now on, put them there. 1: that has been done, 0,
 * or -1 with an exception. */
static int
change_state(Fiber *fiber, FrameSlot *locals)
{
    PyObject *pair = slot_object(locals[PERFORM_ANSWER]);
    if (pair == NULL || !PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
        return 0;
    }
    Level *level = handler_answering(fiber->core, fiber);
    if (level == NULL) {
        return -1;
    }
    PyObject *old = level->marks.state;
    level->marks.state = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
    slot_put(&locals[PERFORM_ANSWER], slot_of(Py_NewRef(PyTuple_GET_ITEM(pair, 0))));
    Py_XDECREF(old);
    return 1;
}

/* `~resumed` in `perform`, when that has called something else than a function with one argument: does it return `answer` now?
 * Then what was put out of force is in force again.  A clause that was called in place must have resumed; if it was captured late, and
 * it is the resumption that goes on here, that is so.  One with state must have returned a pair.  True or None; a frame that was stored by
 * an older version asks the same. */
PyObject *
gate_resumed(PyObject *gate)
{
    Fiber *fiber = fiber_active_here;
    PyThreadState *ts = fiber_thread(fiber, gate);
    if (UNLIKELY(ts == NULL)) {
        ts = PyThreadState_Get();
        fiber = fiber_running_here(ts);
    }
    Frame *stub = thread_frame(ts);
    if (UNLIKELY(stub == NULL || fiber == NULL || fiber->core != ((Gate *)gate)->core)) {
        Py_RETURN_NONE;
    }
    bool is_ours = (PyObject *)frame_code(stub) == fiber->core->stub_codes[STUB_PERFORM];
    if (is_ours && slot_object(frame_slots(stub)[PERFORM_WAY]) == Py_Ellipsis) {
        int changed = change_state(fiber, frame_slots(stub));
        if (changed != 0) {
            handlers_unmask(fiber);
        }
        return changed < 0 ? NULL : Py_NewRef(changed > 0 ? Py_True : Py_None);
    }
    if (in_place_stub(fiber) == stub && !fiber->control->in_place.is_resumed) {
        Py_RETURN_NONE;
    }
    handlers_unmask(fiber);
    in_place_end_of(fiber, stub);
    Py_RETURN_TRUE;
}
