/* Suspension: the running frames are parked, and the interpreter loop is left.
 *
 * `suspend` is a small Python function (fibers/__init__.py) that enters gate_suspend.  So every frame beneath
 * it has called a Python function, and its stack pointer and position are saved.  gate_suspend
 * moves the frames that are new since the resumption to the heap and relinks the stub, which then
 * returns out of the loop by the interpreter's own rules: no exception, no longjmp.
 */
#include "core.h"

/* The code unit and the base opcode of the call that a plain frame has made.
 * PyCode_GetCode gives base opcodes, instrumented and specialised ones undone, and zeros for
 * inline caches (v3.11.2 and v3.12.5 Objects/codeobject.c, deopt_code): stepping back over zeros
 * finds the instruction that the current code unit belongs to. Returns -1 with an exception. */
int
frame_call_unit(Frame *frame, int *opcode)
{
    PyObject *bytes = PyCode_GetCode(frame_code(frame));
    int unit = frame_unit(frame);
    if (bytes == NULL) {
        return -1;
    }
    const unsigned char *units = (const unsigned char *)PyBytes_AS_STRING(bytes);
    while (unit > 0 && units[2 * unit] == 0) {
        unit--;
    }
    *opcode = units[2 * unit];
    Py_DECREF(bytes);
    return unit;
}

static KnownCall *
known_call_place(CoreState *core, const void *position)
{
    uintptr_t address = (uintptr_t)position;
    return &core->known_calls[(address >> 1 ^ address >> 9) % KNOWN_CALLS];
}

static inline bool
call_is_known(CoreState *core, Frame *frame)
{
    const void *position = frame_position(frame);
    KnownCall *known = known_call_place(core, position);
    return known->position == position && known->code == frame_code(frame);
}

/* Has the frame made a plain call (D2)? 1, 0, or -1 with an exception. */
static int
has_called_plainly(CoreState *core, Frame *frame)
{
    int opcode;
    if (call_is_known(core, frame)) {
        return 1;
    }
    if (frame_call_unit(frame, &opcode) < 0) {
        return -1;
    }
    if (!frame_is_suspended_call(opcode)) {
        return 0;
    }
    const void *position = frame_position(frame);
    KnownCall *known = known_call_place(core, position);
    PyCodeObject *old = known->code;
    /* The code is kept alive: its address cannot come to mean another. */
    *known = (KnownCall){(PyCodeObject *)Py_NewRef((PyObject *)frame_code(frame)), position};
    Py_XDECREF(old); /* last, as this may run any code */
    return 1;
}

void
known_calls_forget(CoreState *core)
{
    for (int i = 0; i < KNOWN_CALLS; i++) {
        core->known_calls[i].position = NULL;
        Py_CLEAR(core->known_calls[i].code);
    }
}

/* The frame itself, or if it is the interpreter's own, the next one out that is not. */
Frame *
frame_first_real(Frame *frame)
{
    while (frame != NULL && !frame_is_generator(frame) && !frame_is_plain(frame)) {
        frame = frame_previous(frame);
    }
    return frame;
}

static int
blocked(Barrier *barrier, Frame *frame, bool is_body)
{
    barrier->frame = frame_first_real(frame);
    barrier->is_body = is_body;
    return 0;
}

/* The frame that calls what fiber_run calls: the resumer's, or in a level the innermost one below. */
static Frame *
calling_frame(Fiber *fiber)
{
    return fiber->inner == NULL ? fiber->resumption->frame : fiber->inner->place;
}

/* Did the plain call of the fiber's function, or of a level's, begin this frame? See call_callee in resume.c. Or is it the
 * outermost of a batch? */
static bool
is_first_frame(Fiber *fiber, PyThreadState *ts, Frame *frame)
{
    PyObject **place = (PyObject **)frame;
    if (frame == fiber->resumption->batch) {
        return true;
    }
    if (!fiber->is_direct || fiber->callee == NULL || frame_function(frame) != fiber->callee ||
        frame_beyond_c(frame) != calling_frame(fiber)) {
        return false;
    }
    if (fiber->first_place != NULL) {
        return place == fiber->first_place;
    }
    StackChunk *chunk = ts->datastack_chunk;
    while (chunk->previous != resumption_base(fiber->resumption)->chunk && chunk->previous != NULL) {
        chunk = chunk->previous;
    }
    return place == &chunk->data[chunk->previous == NULL];
}

/* Walk from the frame that called the stub out to the fiber's base: the frame under evaluation, or
 * at the first run that of its function. Does nothing of C lie in between? Else *barrier says what. *count is the number
 * of frames that lie on the data stack. */
static int
find_base(Fiber *fiber, PyThreadState *ts, Frame *stub, Frame **base, Py_ssize_t *count, Barrier *barrier)
{
    Parked *active = fiber->active;
    Frame *evaluated = active == NULL ? NULL : &active->frame;
    Frame *frame = frame_previous(stub);
    *count = 0;
    if (frame_called_by_c(stub)) {
        return blocked(barrier, frame_beyond_c(stub),
                       active == NULL && frame_beyond_c(stub) == calling_frame(fiber));
    }
    for (;; frame = frame_previous(frame)) {
        if (frame_is_generator(frame) || !frame_is_plain(frame)) {
            return blocked(barrier, frame_called_by_c(frame) ? frame_beyond_c(frame) : frame_previous(frame), false);
        }
        if (frame == evaluated) {
            break;
        }
        ++*count;
        if (frame_called_by_c(frame)) {
            if (is_first_frame(fiber, ts, frame)) {
                break;
            }
            Frame *caller = frame_beyond_c(frame);
            return blocked(barrier, caller, active == NULL && caller == calling_frame(fiber));
        }
    }
    *base = frame;
    return 1;
}

/* Have all these frames made plain calls? 1, 0 as *barrier says, or -1 with an exception. */
static int
check_calls(Fiber *fiber, Frame *stub, Frame *base, Barrier *barrier)
{
    Parked *active = fiber->active;
    bool known = active != NULL && active->known_call == frame_position(base);
    for (Frame *frame = frame_previous(stub);; frame = frame_previous(frame)) {
        int plainly = frame == base && known ? 1 : has_called_plainly(fiber->core, frame);
        if (plainly <= 0) {
            return plainly < 0 ? -1 : blocked(barrier, frame, false);
        }
        if (frame == base) {
            break;
        }
    }
    if (active != NULL) {
        active->known_call = frame_position(base);
    }
    return 1;
}

/* The same as find_base and check_calls in one, if there are not more than so many frames, and each has made a call that is known. */
static bool
calls_are_known(Fiber *fiber, PyThreadState *ts, Frame *stub, Py_ssize_t most)
{
    CoreState *core = fiber->core;
    Frame *evaluated = fiber->active == NULL ? NULL : &fiber->active->frame, *frame = stub;
    while (!frame_called_by_c(frame) && most-- > 0) {
        frame = frame_previous(frame);
        if (!call_is_known(core, frame)) { /* only code of plain frames is */
            return false;
        }
        if (frame == evaluated) {
            return true;
        }
    }
    return frame != stub && most >= 0 && is_first_frame(fiber, ts, frame);
}

/* Could the frames be parked that have called the stub, and is it not more than so many that are new? 1, 0, or -1 with an
 * exception. */
int
fiber_could_park(Fiber *fiber, PyThreadState *ts, Frame *stub, Py_ssize_t most)
{
    if (LIKELY(calls_are_known(fiber, ts, stub, most))) {
        return 1;
    }
    Frame *base;
    Py_ssize_t count;
    Barrier barrier;
    int found = find_base(fiber, ts, stub, &base, &count, &barrier);
    return found <= 0 ? found : count > most ? 0 : check_calls(fiber, stub, base, &barrier);
}

/* Heap room for `count` frames from `frame` outward, nothing moved yet. */
static Parked *
reserve(CoreState *core, Frame *frame, Py_ssize_t count)
{
    Parked *inner = NULL, **link = &inner;
    for (; count > 0; count--, frame = frame_previous(frame)) {
        Parked *parked = parked_new(core, frame_code(frame));
        if (parked == NULL) {
            while (inner != NULL) {
                Parked *outer = inner->outer;
                parked_free(inner);
                inner = outer;
            }
            return NULL;
        }
        parked->place = frame;
        *link = parked;
        link = &parked->outer;
    }
    return inner;
}

/* Move the reserved frames to the heap and chain them before the frames that are parked already.
 * Nothing here can fail or run other code. */
static void
park(Fiber *fiber, Parked *fresh)
{
    Parked *rest = fiber->inner, *last = NULL;
    for (Parked *parked = fresh; parked != NULL; parked = parked->outer) {
        frame_move(&parked->frame, parked->place);
        parked->place = &parked->frame;
        parked->known_call = frame_position(&parked->frame);
        fiber->depth++;
        last = parked;
    }
    if (fiber->active != NULL) {
        fiber->active->outer = rest;
        rest = fiber->active;
        fiber->depth++;
    }
    if (last != NULL) {
        last->outer = rest;
    }
    fiber->inner = fresh != NULL ? fresh : rest;
    if (fiber->active != NULL) {
        last = fiber->active;
    }
    /* Older frames are linked already; the evaluator has changed the links of the others. */
    for (Parked *parked = fiber->inner;; parked = parked->outer) {
        parked_set_previous(parked);
        if (parked == last) {
            break;
        }
    }
    if (last->outer == NULL) {
        fiber->outermost = last;
    }
    frame_set_previous(&fiber->outermost->frame, NULL);
}

/* The stub's `return` is to leave the evaluation that was entered at `base`. */
static inline void
leave_by_return(Fiber *fiber, PyThreadState *ts, Frame *stub, Frame *base)
{
    fiber->stub = stub;
    fiber->stub_chunk = ts->datastack_chunk;
    fiber->exit = NULL;
    frame_relink_exit(stub, base, fiber->resumption->frame);
}

/* Everything is validated: from here on nothing can fail. */
static void
commit(Fiber *fiber, PyThreadState *ts, Frame *stub, Frame *base, Parked *fresh, Leaving how)
{
    leave_by_return(fiber, ts, stub, base);
    park(fiber, fresh);
#if FRAME_ENTRY_LEFT_TO_CALLER
    if (fiber->active == NULL && fiber->resumption->batch == NULL) {
        /* Whoever called the evaluator will clear and pop the frame that `base` was, and expects
         * it to end the data stack. Popping must not free a chunk, and until then nothing may be
         * pushed over the stub's frame (by a trace function, say): a chunk without room. */
        frame_hollow(base);
        thread_end_stack_at(ts, &fiber->resumption->full, (char *)base + frame_size(frame_code(base)));
    }
#endif
    fiber->suspending = (char)how;
}

/* (code or None, offset, the function that the fiber calls) */
PyObject *
barrier_place(Fiber *fiber, const Barrier *barrier)
{
    PyObject *code = Py_None;
    int offset = 0;
    if (!barrier->is_body && barrier->frame != NULL) {
        code = (PyObject *)frame_code(barrier->frame);
        offset = 2 * frame_unit(barrier->frame);
    }
    return Py_BuildValue("OiO", code, offset, fiber->callee != NULL ? fiber->callee : fiber->function);
}

void
raise_barrier(Fiber *fiber, const Barrier *barrier)
{
    CoreState *core = fiber->core;
    PyObject *describe = core_hook(core, "describe");
    PyObject *place = describe == NULL ? NULL : barrier_place(fiber, barrier);
    PyObject *text = place == NULL ? NULL : PyObject_CallObject(describe, place);
    Py_XDECREF(place);
    if (text != NULL) {
        PyErr_SetObject(core->barrier_error, text);
        Py_DECREF(text);
    }
}

/* A prompt that C code waits for: whoever suspends in it has nobody to go to. */
static void
raise_at_root(CoreState *core, PyThreadState *ts, Fiber *fiber)
{
    if (fiber_resumer(ts, fiber) != NULL) {
        PyErr_SetString(core->barrier_error, "cannot suspend across a C call: a prompt stands in between that was "
                        "made behind a C call; suspend outside of it, or replace the C call by plain Python");
    }
    else {
        PyErr_SetString(core->fiber_error, "suspend() in a prompt that is outside of any fiber: run the "
                        "function in one, Fiber(function, ...).resume()");
    }
}

/* The fiber that runs here, which is not being left already; or NULL with an exception. */
static Fiber *
fiber_to_suspend(CoreState *core, PyThreadState *ts, bool softly)
{
    Fiber *fiber = fiber_running_here(ts);
    if (fiber == NULL || fiber->core != core || (fiber->is_script && !softly)) {
        PyErr_SetString(core->fiber_error,
                        "suspend() outside of any fiber: run the function in one, "
                        "Fiber(function, ...).resume()");
        return NULL;
    }
    if (fiber->suspending) {
        PyErr_SetString(core->fiber_error, "suspend() while the stack is being left");
        return NULL;
    }
    return fiber;
}

/* The shortcut for an operation. */
bool
fiber_park_again(Fiber *fiber, PyThreadState *ts, Frame *stub, Leaving how)
{
    if (!fiber_calls_again(fiber, stub)) {
        return false;
    }
    leave_by_return(fiber, ts, stub, &fiber->active->frame);
    fiber_put_back(fiber);
    fiber->suspending = (char)how;
    return true;
}

/* What `suspend` was called with: what it returns into is the resume, in its caller's stead. */
static inline PyObject *
value_on_its_way(Frame *stub)
{
    PyObject *value = frame_first_local(stub);
    return Py_NewRef(UNLIKELY(value == NULL) ? Py_None : value); /* unbound: a debugger did that */
}

/* The same where the frames have been parked. In 3.11, if nobody can see the stub any more, it is emptied: whoever has
 * called the evaluator, and is left its frame, has less to do. */
static inline PyObject *
value_leaves(Fiber *fiber, PyThreadState *ts, Frame *stub)
{
#if FRAME_ENTRY_LEFT_TO_CALLER
    FrameSlot *local = frame_slots(stub);
    PyObject *value = slot_object(*local);
    if (LIKELY(value != NULL && frame_returns_quietly(ts, stub, NULL))) {
        *local = slot_empty();
        fiber->stub_chunk = NULL;
        return value;
    }
#endif
    return value_on_its_way(stub);
}

/* Park the frames of the running fiber up to its base, but for the stub, which is current. 1: done,
 * and the interpreter loop is left when the stub returns; 0: a barrier stands there, as *barrier
 * says; -1 with an exception. */
int
try_to_park(Fiber *fiber, PyThreadState *ts, Leaving how, Barrier *barrier)
{
    Frame *base, *stub = thread_frame(ts);
    Parked *fresh = NULL;
    Py_ssize_t count;
    Split split = {0};
    int found = find_base(fiber, ts, stub, &base, &count, barrier);
    if (found > 0) {
        found = check_calls(fiber, stub, base, barrier);
    }
    if (found <= 0) {
        return found;
    }
    if (in_place_stub(fiber) != NULL && in_place_prepare(fiber, stub, &split) < 0) {
        return -1;
    }
    if (count > 0) {
        fresh = reserve(fiber->core, frame_previous(stub), count);
        if (fresh == NULL) {
            in_place_give_up(&split);
            return -1;
        }
    }
    commit(fiber, ts, stub, base, fresh, how);
    if (split.k != NULL) {
        in_place_split(fiber, ts, &split);
    }
    return 1;
}

/* Park the frames for an operation (control.c). At a barrier 0, without an exception if `quietly`. */
int
fiber_park(Fiber *fiber, PyThreadState *ts, bool quietly)
{
    Barrier barrier;
    int parked = try_to_park(fiber, ts, OPERATING, &barrier);
    if (parked == 0 && !quietly) {
        raise_barrier(fiber, &barrier);
    }
    return parked;
}

/* The stub's only local goes to whom the value is given: what waits with its stack does not hold it. */
static PyObject *
suspend_hard(Fiber *running, PyThreadState *ts, PyObject *value, const Barrier *barrier)
{
    Fiber *fiber = hard_find(running, ts);
    if (fiber != NULL) {
        slot_put(&frame_slots(thread_frame(ts))[0], slot_empty());
        return hard_suspend(fiber, running, ts, value, NULL, barrier);
    }
    Py_DECREF(value);
    if (running->is_root) {
        raise_at_root(running->core, ts, running);
    }
    else {
        raise_barrier(running, barrier);
    }
    return NULL;
}

/* Suspend the fiber that runs the stub, the current frame. Steals the value. What the stub returns: the value, into the
 * resume; or what a resume gives, when the fiber has waited here with its C stack; NULL with an exception. */
PyObject *
fiber_suspend(CoreState *core, PyThreadState *ts, PyObject *value, bool softly)
{
    Barrier barrier;
    Fiber *fiber = fiber_to_suspend(core, ts, softly);
    int parked = fiber == NULL ? -1 : fiber->is_root ? 0 : try_to_park(fiber, ts, SUSPENDING, &barrier);
    if (parked > 0) {
        return value;
    }
    if (parked == 0 && !softly) {
        return suspend_hard(fiber, ts, value, &barrier);
    }
    if (parked == 0 && fiber->is_root) {
        raise_at_root(core, ts, fiber);
    }
    else if (parked == 0) {
        raise_barrier(fiber, &barrier);
    }
    Py_DECREF(value);
    return NULL;
}

static NOINLINE PyObject *
suspend_slowly(PyObject *gate, Stub which)
{
    CoreState *core = ((Gate *)gate)->core;
    PyThreadState *ts = PyThreadState_Get();
    Frame *stub = gate_stub(gate, ts, which);
    if (stub == NULL || (which == STUB_YIELD && generator_check_yield(core) < 0)) {
        return NULL;
    }
    PyObject *value = value_on_its_way(stub), *result;
    Fiber *fiber = fiber_running_here(ts);
    if (which == STUB_SUSPEND && fiber != NULL && fiber->core == core && fiber->guest != NULL && !fiber->suspending) {
        result = guest_suspend(fiber, ts, stub, fiber->guest->marks.tag, value);
        Py_DECREF(value);
    }
    else {
        result = fiber_suspend(core, ts, value, false);
    }
    return result;
}

/* The running stub is to leave the evaluation: what it returns. */
static inline PyObject *
leave_shortly(Fiber *fiber, CoreState *core, PyThreadState *ts, Frame *stub, Stub which)
{
    PyObject *value = STUBS_EXIT_DIRECTLY ? frame_exit_directly(ts, stub, core->stub_exits[which]) : NULL;
    if (LIKELY(value != NULL)) {
        fiber->exit = core->stub_exits[which];
        return value;
    }
    leave_by_return(fiber, ts, stub, &fiber->active->frame);
    return value_leaves(fiber, ts, stub);
}

/* The same as suspend_again, where between the stub and the frame under evaluation there is one of a function that has called
 * the stub, also at a call that has been checked. */
static PyObject *
suspend_in_function(Fiber *fiber, CoreState *core, Stub which)
{
    PyThreadState *ts = fiber->ts;
    Frame *stub = thread_frame(ts);
    if (stub == NULL || (PyObject *)frame_code(stub) != core->stub_codes[which]) {
        return NULL;
    }
    Frame *function = frame_previous(stub);
    if (function == NULL || !frame_was_called_from(stub, function) || frame_is_generator(function) || !frame_is_plain(function) ||
        !fiber_calls_again(fiber, function) || !call_is_known(core, function) || in_place_stub(fiber) != NULL) {
        return NULL;
    }
    Parked *fresh = reserve(core, function, 1);
    if (fresh == NULL) {
        PyErr_Clear(); /* the long way says it */
        return NULL;
    }
    PyObject *value = leave_shortly(fiber, core, ts, stub, which);
    park(fiber, fresh);
    fiber->suspending = SUSPENDING;
    return value;
}

/* The shortcut, where it can be taken: what the stub returns, else NULL. */
static inline PyObject *
suspend_again(Fiber *fiber, CoreState *core, Stub which)
{
    PyThreadState *ts = fiber->ts;
    Frame *stub = thread_frame(ts);
    if (UNLIKELY(stub == NULL || (PyObject *)frame_code(stub) != core->stub_codes[which] || !fiber_calls_again(fiber, stub))) {
        return NULL;
    }
    PyObject *value = leave_shortly(fiber, core, ts, stub, which);
    fiber_put_back(fiber);
    fiber->suspending = SUSPENDING;
    return value;
}

/* Where the shortcut cannot be taken: in a function of its own, so that the shortcut saves no registers for it. */
static NOINLINE PyObject *
suspend_otherwise(PyObject *gate)
{
    Fiber *fiber = fiber_active_here;
    PyObject *value = fiber->active == NULL ? NULL : suspend_in_function(fiber, fiber->core, STUB_SUSPEND);
    if (value != NULL) {
        return value;
    }
    return hard_is_next(fiber, fiber->core, STUB_SUSPEND) ? hard_suspend_next(fiber) : suspend_slowly(gate, STUB_SUSPEND);
}

/* `~gate` in `suspend`. */
PyObject *
gate_suspend(PyObject *gate)
{
    Fiber *fiber = fiber_active_here;
    if (UNLIKELY(fiber == NULL || fiber->core != ((Gate *)gate)->core || fiber->is_root || fiber->is_script || fiber->guest != NULL)) {
        return suspend_slowly(gate, STUB_SUSPEND);
    }
    PyObject *value = suspend_again(fiber, fiber->core, STUB_SUSPEND);
    return LIKELY(value != NULL) ? value : suspend_otherwise(gate);
}

/* `~gate` in `yield_`: the same for generators only. */
PyObject *
gate_yield(PyObject *gate)
{
    CoreState *core = ((Gate *)gate)->core;
    Fiber *fiber = fiber_active_here;
    PyObject *value = NULL;
    if (LIKELY(fiber != NULL && core != NULL && Py_IS_TYPE(fiber, core->generator_type))) {
        value = suspend_again(fiber, core, STUB_YIELD);
    }
    return LIKELY(value != NULL) ? value : suspend_slowly(gate, STUB_YIELD);
}
