/* The gates of `perform`: what answers an operation is found, and called by the evaluator.
 *
 * `perform` (effects/performing.py) is a stub that calls what answers itself, so that nothing of C lies between the program and
 * its handler. Which call that is, and what has to be done after it, the first gate writes into the stub's locals. */
#include "core.h"

/* ---- before the call ------------------------------------------------------------------------------- */

enum { MOST_ARGUMENTS = 6 };

static inline bool
has_one_argument(CoreState *core, FrameSlot *locals)
{
    PyObject *rest = slot_object(locals[PERFORM_REST]);
    return rest != NULL && PyTuple_CheckExact(rest) && PyTuple_GET_SIZE(rest) == 0 && slot_object(locals[PERFORM_FIRST]) != core->absent;
}

static int
check_arguments(FrameSlot *locals)
{
    PyObject *rest = slot_object(locals[PERFORM_REST]);
    if (rest != NULL && PyTuple_CheckExact(rest) && PyTuple_GET_SIZE(rest) >= MOST_ARGUMENTS) {
        PyErr_Format(PyExc_TypeError, "perform() takes from 1 to %d positional arguments but %zd were given", 1 + MOST_ARGUMENTS,
                     2 + PyTuple_GET_SIZE(rest));
        return -1;
    }
    return 0;
}

/* What answers an operation, and where its handler is (handler_find_answer). */
typedef struct {
    PyObject *answer; /* borrowed */
    Level *level;
    Marks *marks;
} Found;

/* What is to be called for it, and in the stub's locals what with besides the arguments: *more. NULL with an exception. */
static inline PyObject *
find_call(Fiber *fiber, PyThreadState *ts, Frame *stub, const Found *found, bool *more)
{
    CoreState *core = fiber->core;
    PyObject *answer = Py_NewRef(found->answer), *called;
    *more = true;
    if (Py_IS_TYPE(answer, core->promises.type)) {
        int can = found->level == NULL ? 0 : in_place_can_begin(fiber, ts, stub, found->level, answer);
        *more = can > 0;
        called = can < 0 ? NULL : can == 0 ? PyObject_GetAttrString(answer, "answer") : in_place_begin(fiber, stub, found->level, answer);
    }
    else if (Py_IS_TYPE(answer, core->updates.type)) {
        PyObject *state = found->marks->state;
        called = updates_function(core, answer);
        slot_put(&frame_slots(stub)[PERFORM_STATE], slot_of(Py_NewRef(state == NULL ? Py_None : state)));
    }
    else {
        *more = false;
        return answer;
    }
    Py_DECREF(answer);
    return called;
}

/* All that is not a plain call with one argument. */
static NOINLINE PyObject *
prepare_more(Fiber *fiber, PyThreadState *ts, Frame *stub, const Found *found, bool one)
{
    FrameSlot *locals = frame_slots(stub);
    bool more = false;
    PyObject *called = !one && check_arguments(locals) < 0 ? NULL : find_call(fiber, ts, stub, found, &more);
    if (called == NULL) {
        handlers_unmask(fiber);
        return NULL;
    }
    slot_put(&locals[PERFORM_ANSWER], slot_of(called));
    if (one && more) {
        slot_put(&locals[PERFORM_REST], slot_of(Py_NewRef(Py_None)));
    }
    if (!more || in_place_stub(fiber) != stub) {
        slot_put(&locals[PERFORM_K], slot_of(Py_NewRef(Py_None)));
    }
    return one && !more ? Py_NewRef(Py_None) : PyBool_FromLong(more);
}

static inline PyObject *
prepare(Fiber *fiber, PyThreadState *ts, Frame *stub, const Found *found)
{
    FrameSlot *locals = frame_slots(stub);
    PyTypeObject *type = Py_TYPE(found->answer);
    bool one = has_one_argument(fiber->core, locals);
    if (LIKELY(one && type != fiber->core->promises.type && type != fiber->core->updates.type)) {
        slot_put(&locals[PERFORM_ANSWER], slot_of(Py_NewRef(found->answer)));
        return Py_NewRef(Py_None);
    }
    return prepare_more(fiber, ts, stub, found, one);
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
        if (in_place_stub(fiber) != NULL && in_place_stub(fiber) == thread_frame(ts)) {
            in_place_end(fiber);
        }
    }
    Py_RETURN_NONE;
}

/* `~resumed` in `perform`, when a clause that was called in place has returned: has it resumed? Then the same, and what it has
 * returned is the value. If it was captured late, and it is the resumption that goes on here, that is so too. */
PyObject *
gate_resumed(PyObject *gate)
{
    Fiber *fiber = fiber_active_here;
    if (UNLIKELY(fiber == NULL || fiber->core != ((Gate *)gate)->core || fiber->level == NULL)) {
        Py_RETURN_FALSE;
    }
    if (in_place_stub(fiber) != NULL && in_place_stub(fiber) == thread_frame(fiber->ts)) {
        if (!fiber->control->in_place.is_resumed) {
            Py_RETURN_FALSE;
        }
        handlers_unmask(fiber);
        in_place_end(fiber);
    }
    else {
        handlers_unmask(fiber);
    }
    Py_RETURN_TRUE;
}

/* `~changed` in `perform`, when a clause with state has returned: `state` is its handler's from now on. And the same. */
PyObject *
gate_changed(PyObject *gate)
{
    Fiber *fiber = fiber_active_here;
    PyThreadState *ts = fiber_thread(fiber, gate);
    if (UNLIKELY(ts == NULL)) {
        ts = PyThreadState_Get();
        fiber = fiber_running_here(ts);
    }
    Frame *stub = thread_frame(ts);
    if (UNLIKELY(stub == NULL || fiber == NULL || (PyObject *)frame_code(stub) != fiber->core->stub_codes[STUB_PERFORM])) {
        stub = gate_stub(gate, ts, STUB_PERFORM);
    }
    Level *level = stub == NULL ? NULL : handler_answering(((Gate *)gate)->core, fiber);
    if (level != NULL) {
        PyObject *state = slot_object(frame_slots(stub)[PERFORM_STATE]);
        Py_XSETREF(level->marks.state, Py_NewRef(state == NULL ? Py_None : state));
    }
    if (stub != NULL && fiber != NULL && fiber->core == ((Gate *)gate)->core) {
        handlers_unmask(fiber);
    }
    return level == NULL ? NULL : Py_NewRef(Py_None);
}
