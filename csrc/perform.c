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

/* Write down what is called with other arguments than those two: the head, if there is one, and the first. Takes the head, also where it fails. */
static int
put_arguments(CoreState *core, FrameSlot *locals, Py_ssize_t count, PyObject *head)
{
    PyObject *second = core->absent, *rest = NULL;
    Py_ssize_t all = count + (head != NULL);
    if (all == 2) {
        second = PyTuple_GET_ITEM(slot_object(locals[PERFORM_REST]), 0);
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

/* Write down that the function is to be called with the argument, and nothing to be done besides. Takes it; returns what the gate does. */
static inline PyObject *
put_plain_call(FrameSlot *locals, PyObject *function)
{
    slot_put(&locals[PERFORM_ANSWER], slot_of(function));
    slot_put(&locals[PERFORM_REST], slot_of(Py_NewRef(Py_None)));
    return Py_NewRef(Py_True);
}

/* The same with the head, if there is one, and the arguments. Takes both. */
static inline PyObject *
put_call(Fiber *fiber, Frame *stub, Py_ssize_t count, PyObject *function, PyObject *head, PyObject *way)
{
    FrameSlot *locals = frame_slots(stub);
    if (LIKELY(head != NULL && count == 1)) {
        FrameSlot first = locals[PERFORM_FIRST];
        locals[PERFORM_FIRST] = slot_of(head);
        slot_put(&locals[PERFORM_SECOND], first);
        slot_put(&locals[PERFORM_REST], slot_of(Py_NewRef(Py_None)));
    }
    else if (count == 1) {
        return put_plain_call(locals, function);
    }
    else if (put_arguments(fiber->core, locals, count, head) < 0) {
        Py_DECREF(function);
        handlers_unmask(fiber);
        in_place_end_of(fiber, stub);
        return NULL;
    }
    slot_put(&locals[PERFORM_ANSWER], slot_of(function));
    slot_put(&locals[PERFORM_WAY], slot_of(Py_NewRef(way)));
    return Py_NewRef(count + (head != NULL) == 2 ? Py_None : Py_True);
}

/* A clause that can be called in place. Where it cannot be now, it has a method that captures the program. */
static NOINLINE PyObject *
prepare_in_place(Fiber *fiber, PyThreadState *ts, Frame *stub, const Found *found, Py_ssize_t count)
{
    PyObject *answer = Py_NewRef(found->answer), *k; /* held, because on 3.11 the collector may run */
    int can = found->level == NULL ? 0 : in_place_can_begin(fiber, ts, stub, found->level, answer);
    if (LIKELY(can > 0)) {
        PyObject *function = in_place_begin(fiber, stub, found->level, answer, &k);
        return put_call(fiber, stub, count, function, k, Py_True);
    }
    PyObject *method = can < 0 ? NULL : PyObject_GetAttrString(answer, "answer");
    Py_DECREF(answer);
    if (method == NULL) {
        handlers_unmask(fiber);
        return NULL;
    }
    return put_call(fiber, stub, count, method, NULL, Py_False);
}

/* A clause that is given the state of its handler. */
static NOINLINE PyObject *
prepare_with_state(Fiber *fiber, Frame *stub, const Found *found, Py_ssize_t count)
{
    PyObject *function = updates_function(fiber->core, found->answer), *state = found->marks->state;
    if (function == NULL) {
        handlers_unmask(fiber);
        return NULL;
    }
    return put_call(fiber, stub, count, function, Py_NewRef(state == NULL ? Py_None : state), Py_Ellipsis);
}

static NOINLINE PyObject *
prepare_otherwise(Fiber *fiber, Frame *stub, const Found *found, Py_ssize_t count)
{
    if (count < 0 || count > MOST_ARGUMENTS) {
        handlers_unmask(fiber);
        return raise_uncountable(count);
    }
    return put_call(fiber, stub, count, Py_NewRef(found->answer), NULL, Py_False);
}

static inline PyObject *
prepare(Fiber *fiber, PyThreadState *ts, Frame *stub, const Found *found)
{
    CoreState *core = fiber->core;
    PyTypeObject *type = Py_TYPE(found->answer);
    Py_ssize_t count = count_arguments(core, frame_slots(stub));
    if (UNLIKELY((size_t)count > MOST_ARGUMENTS)) {
        return prepare_otherwise(fiber, stub, found, count);
    }
    if (type == core->promises.type) {
        return prepare_in_place(fiber, ts, stub, found, count);
    }
    if (type == core->updates.type) {
        return prepare_with_state(fiber, stub, found, count);
    }
    if (UNLIKELY(count != 1)) {
        return prepare_otherwise(fiber, stub, found, count);
    }
    return put_plain_call(frame_slots(stub), Py_NewRef(found->answer));
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

/* Is it the innermost level's own handler that answers? */
static inline bool
answers_nearby(Fiber *fiber)
{
    return LIKELY(fiber->level != NULL && fiber->level->marks.mask == fiber->core->mask_of_one);
}

static inline void
unmask(Fiber *fiber)
{
    if (answers_nearby(fiber)) {
        fiber->level->marks.mask = NULL;
        drop_shared(fiber->core->mask_of_one);
    }
    else {
        handlers_unmask(fiber);
    }
}

static NOINLINE PyObject *
unmask_otherwise(PyObject *gate)
{
    PyThreadState *ts = PyThreadState_Get();
    Fiber *fiber = fiber_running_here(ts);
    if (fiber != NULL && fiber->core == ((Gate *)gate)->core) {
        handlers_unmask(fiber);
        in_place_end_of(fiber, thread_frame(ts));
    }
    Py_RETURN_NONE;
}

/* `~unmask` in `perform`: what was put out of force is in force again. */
PyObject *
gate_unmask(PyObject *gate)
{
    Fiber *fiber = fiber_active_here;
    PyThreadState *ts = fiber_thread(fiber, gate);
    if (UNLIKELY(ts == NULL || in_place_stub(fiber) != NULL)) {
        return unmask_otherwise(gate);
    }
    unmask(fiber);
    Py_RETURN_NONE;
}

/* Both of a pair, owned; out of the pair itself where nobody else has it, who could look for them there. */
static inline void
take_both(PyObject *pair, PyObject **answer, PyObject **state)
{
    *answer = PyTuple_GET_ITEM(pair, 0);
    *state = PyTuple_GET_ITEM(pair, 1);
    if (LIKELY(is_held_once(pair))) {
        PyTuple_SET_ITEM(pair, 0, NULL);
        PyTuple_SET_ITEM(pair, 1, NULL);
    }
    else {
        Py_INCREF(*answer);
        Py_INCREF(*state);
    }
}

/* A clause with state has returned: if that is a pair, it is `answer` and the handler's state from now on. True, None if that is not so, NULL
 * with an exception. */
static inline PyObject *
state_changed(Fiber *fiber, Frame *stub)
{
    FrameSlot *place = &frame_slots(stub)[PERFORM_ANSWER];
    PyObject *pair = slot_object(*place);
    if (pair == NULL || !PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
        Py_RETURN_NONE;
    }
    Level *level = answers_nearby(fiber) ? fiber->level : handler_answering(fiber->core, fiber);
    if (LIKELY(level != NULL)) {
        PyObject *answer, *old = level->marks.state;
        take_both(pair, &answer, &level->marks.state);
        slot_put(place, slot_of(answer));
        Py_XDECREF(old);
    }
    unmask(fiber);
    return level == NULL ? NULL : Py_NewRef(Py_True);
}

static NOINLINE PyObject *
resumed_otherwise(PyObject *gate)
{
    CoreState *core = ((Gate *)gate)->core;
    PyThreadState *ts = PyThreadState_Get();
    Fiber *fiber = fiber_running_here(ts);
    Frame *stub = thread_frame(ts);
    if (stub == NULL || fiber == NULL || fiber->core != core) {
        Py_RETURN_NONE;
    }
    bool is_ours = (PyObject *)frame_code(stub) == core->stub_codes[STUB_PERFORM];
    if (is_ours && slot_object(frame_slots(stub)[PERFORM_WAY]) == Py_Ellipsis) {
        return state_changed(fiber, stub);
    }
    handlers_unmask(fiber);
    Py_RETURN_TRUE;
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
    Frame *stub = ts == NULL ? NULL : thread_frame(ts);
    if (UNLIKELY(stub == NULL || (PyObject *)frame_code(stub) != fiber->core->stub_codes[STUB_PERFORM])) {
        return resumed_otherwise(gate);
    }
    if (in_place_stub(fiber) == stub) {
        if (!fiber->control->in_place.is_resumed) {
            Py_RETURN_NONE;
        }
        unmask(fiber);
        in_place_end(fiber);
        Py_RETURN_TRUE;
    }
    return slot_object(frame_slots(stub)[PERFORM_WAY]) == Py_Ellipsis ? state_changed(fiber, stub) : resumed_otherwise(gate);
}
