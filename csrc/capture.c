/* Parked frames as Python values, and back.
 *
 * capture(fiber) and reinstate(fiber, state) are what pickling stands on.  reinstate validates all
 * of a state before it writes anything: shapes and types here, what must stand on each evaluation
 * stack in rules.c and the hook `verify` (fibers/guard.py), which knows the bytecode. */
#include "core.h"

static PyObject *
slot_capture(CoreState *core, FrameSlot slot)
{
    PyObject *object = slot_object(slot);
    if (object != NULL) {
        return Py_NewRef(object);
    }
    return slot_is_number(slot) ? PyLong_FromSsize_t(slot_number(slot)) : Py_NewRef(core->null);
}

/* A tuple of slots; NULL is shown as the marker, a bare number as an int. */
PyObject *
slots_capture(CoreState *core, FrameSlot *slots, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *item = slot_capture(core, slots[i]);
        if (item == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, item);
    }
    return tuple;
}

int
slots_check(CoreState *core, PyObject *tuple, Py_ssize_t least, Py_ssize_t most, const char *what)
{
    Py_ssize_t size = PyTuple_Check(tuple) ? PyTuple_GET_SIZE(tuple) : -1;
    if (size < least || size > most) {
        PyErr_Format(core->format_error, "the %s of a frame cannot have %zd slots (%zd to %zd)", what,
                     size, least, most);
        return -1;
    }
    return 0;
}

void
slots_fill(CoreState *core, FrameSlot *slots, PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        slots[i] = slot_of(item == core->null ? NULL : Py_NewRef(item));
    }
}

/* Where the interpreter expects bare numbers, the hook `verify` has found ints in their range, or
 * nothing; `which` are these places. */
void
slots_make_numbers(FrameSlot *slots, PyObject *which)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(which); i++) {
        FrameSlot *slot = &slots[PyLong_AsSsize_t(PyTuple_GET_ITEM(which, i))];
        PyObject *object = slot_object(*slot);
        if (object != NULL) {
            *slot = slot_of_number(PyLong_AsSsize_t(object));
            Py_DECREF(object);
        }
    }
}

static PyObject *
or_none(PyObject *object)
{
    return object == NULL ? Py_None : object;
}

/* What stands for a frame's namespace: None where its locals lie in slots, True where it is the
 * globals of its function (code of modules), or else the namespace itself (code of classes). */
static PyObject *
namespace_state(Frame *frame)
{
    PyObject *namespace = frame_locals_mapping(frame);
    if ((frame_code(frame)->co_flags & CO_OPTIMIZED) || namespace == NULL) {
        return Py_None;
    }
    return namespace == PyFunction_GET_GLOBALS(frame_function(frame)) ? Py_True : namespace;
}

/* The other way round; borrowed. */
static PyObject *
namespace_from_state(PyObject *state, PyObject *function)
{
    return state == Py_True ? PyFunction_GET_GLOBALS(function) : state;
}

/* (function, code, byte offset, namespace, locals, stack or None) */
static PyObject *
frame_state(CoreState *core, Frame *frame, int offset)
{
    PyCodeObject *code = frame_code(frame);
    int count = code->co_nlocalsplus, depth = frame_depth(frame);
    PyObject *locals = slots_capture(core, frame_slots(frame), count);
    PyObject *stack = depth < count ? Py_NewRef(Py_None)
                                    : slots_capture(core, frame_slots(frame) + count, depth - count);
    if (locals == NULL || stack == NULL) {
        Py_XDECREF(locals);
        Py_XDECREF(stack);
        return NULL;
    }
    return Py_BuildValue("OOiONN", frame_function(frame), code, offset,
                         namespace_state(frame), locals, stack);
}

static int
append_frame(CoreState *core, PyObject *list, Frame *frame)
{
    int opcode, unit = frame_call_unit(frame, &opcode), failed;
    PyObject *state = unit < 0 ? NULL : frame_state(core, frame, 2 * unit);
    if (state == NULL) {
        return -1;
    }
    failed = PyList_Append(list, state);
    Py_DECREF(state);
    return failed;
}

PyObject *
parked_states(CoreState *core, Parked *inner, PyObject *list)
{
    Walk walk = {.node = inner};
    for (Parked *parked; (parked = walk_next(&walk)) != NULL;) {
        if (append_frame(core, list, &parked->frame) < 0) {
            return NULL;
        }
    }
    return list;
}

/* The innermost frame of an active fiber: the thread's, or that which resumed another fiber; or of one that is kept. */
static Frame *
innermost_of_active(Fiber *fiber, PyThreadState *ts)
{
    if (fiber->phase == FIBER_KEPT) {
        return frame_previous(hard_innermost(fiber)); /* who has called the stub */
    }
    Fiber *above = fiber_resumed_by(ts, fiber);
    return above == NULL ? thread_frame(ts) : above->resumption->frame;
}

static PyObject *
active_states(CoreState *core, Fiber *fiber, PyObject *list)
{
    PyThreadState *ts = PyThreadState_Get();
    if (fiber->phase == FIBER_ACTIVE && !fiber_is_of_thread(fiber, ts)) {
        /* Another thread's running frames are not ours to walk: after a fork it may not exist. */
        return parked_states(core, fiber->inner, list);
    }
    Frame *rest = fiber->inner != NULL ? fiber->inner->place : NULL;
    Frame *end = fiber->phase == FIBER_KEPT ? NULL : fiber->resumption->frame;
    for (Frame *f = innermost_of_active(fiber, ts); f != NULL && f != rest && f != end; f = frame_previous(f)) {
        if ((frame_is_plain(f) || frame_is_generator(f)) && frame_is_complete(f) &&
            append_frame(core, list, f) < 0) {
            return NULL;
        }
    }
    return parked_states(core, fiber->inner, list);
}

static int
check_is_fiber(CoreState *core, PyObject *object)
{
    if (!PyObject_TypeCheck(object, core->fiber_type)) {
        PyErr_Format(PyExc_TypeError, "expected a Fiber, got %R", object);
        return -1;
    }
    return 0;
}

/* look(fiber): the states of its frames, innermost first, suspended or running. */
PyObject *
core_look(PyObject *module, PyObject *object)
{
    CoreState *core = core_state(module);
    PyObject *list;
    if (check_is_fiber(core, object) < 0 || (list = PyList_New(0)) == NULL) {
        return NULL;
    }
    Fiber *fiber = (Fiber *)object;
    int was_enabled = hold_collector();
    PyObject *done = fiber->phase == FIBER_ACTIVE || fiber->phase == FIBER_KEPT ? active_states(core, fiber, list)
                                                  : parked_states(core, fiber->inner, list);
    let_collect(was_enabled);
    if (done == NULL) {
        Py_CLEAR(list);
    }
    return list;
}

/* handled(fiber): the exception that its frames are handling, the innermost one; None where they handle none. */
PyObject *
core_handled(PyObject *module, PyObject *object)
{
    if (check_is_fiber(core_state(module), object) < 0) {
        return NULL;
    }
    Fiber *fiber = (Fiber *)object;
    for (Level *level = fiber->level; level != NULL; level = level->below) {
        if (is_handling(&level->exc)) {
            return Py_NewRef(level->exc.exc_value);
        }
    }
    return Py_NewRef(is_handling(&fiber->exc) ? fiber->exc.exc_value : Py_None);
}

/* frame_object(fiber): that of its innermost frame, as sys._getframe() gives it; None where it has no frames. */
PyObject *
core_frame_object(PyObject *module, PyObject *object)
{
    PyThreadState *ts = PyThreadState_Get();
    Frame *running = thread_frame(ts), *innermost;
    Fiber *fiber = (Fiber *)object;
    if (check_is_fiber(core_state(module), object) < 0) {
        return NULL;
    }
    if (fiber->phase == FIBER_KEPT) {
        innermost = frame_previous(hard_innermost(fiber));
    }
    else if (fiber->phase != FIBER_PARKED || fiber->inner == NULL || parked_is_stand_in(fiber->inner)) {
        Py_RETURN_NONE;
    }
    else {
        innermost = &fiber->inner->frame;
    }
    int was_enabled = hold_collector();
    thread_set_frame(ts, innermost);
    PyObject *frame = (PyObject *)PyThreadState_GetFrame(ts);
    thread_set_frame(ts, running);
    let_collect(was_enabled);
    return frame != NULL || PyErr_Occurred() ? frame : Py_NewRef(Py_None);
}

static PyObject *
fiber_state(CoreState *core, Fiber *fiber, FiberPhase phase)
{
    PyObject *frames = PyList_New(0);
    if (frames == NULL || parked_states(core, fiber->inner, frames) == NULL) {
        Py_XDECREF(frames);
        return NULL;
    }
    return Py_BuildValue("iOOOOOON", phase, or_none(fiber->function),
                         or_none(fiber->arguments), or_none(fiber->keywords),
                         fiber->result == NULL ? core->null : fiber->result, or_none(fiber_context(fiber)),
                         or_none(fiber->exc.exc_value), frames);
}

/* capture(fiber): (phase, function, arguments, keywords, value, context, handled, frames). */
PyObject *
core_capture(PyObject *module, PyObject *object)
{
    CoreState *core = core_state(module);
    if (check_is_fiber(core, object) < 0) {
        return NULL;
    }
    Fiber *fiber = (Fiber *)object;
    if (fiber->phase == FIBER_ACTIVE) {
        return PyErr_Format(core->fiber_error, "%R is running: only a suspended fiber can be captured", object);
    }
    if (fiber->phase == FIBER_KEPT) {
        raise_kept(fiber, "capture");
        return NULL;
    }
    int was_enabled = hold_collector();
    PyObject *state = fiber_state(core, fiber, fiber->phase == FIBER_HELD ? FIBER_PARKED : (FiberPhase)fiber->phase);
    let_collect(was_enabled);
    return state;
}

static PyObject *
malformed(CoreState *core, const char *what)
{
    return PyErr_Format(core->format_error, "not the state of a fiber: %s", what);
}

/* A parked frame made from its state, or NULL with an exception. */
static Parked *
parked_from_state(CoreState *core, PyObject *state)
{
    PyObject *function, *namespace, *locals, *stack, *fit;
    PyCodeObject *code;
    int offset;
    if (!PyArg_ParseTuple(state, "O!O!iOO!O!", &PyFunction_Type, &function, &PyCode_Type, &code, &offset,
                          &namespace, &PyTuple_Type, &locals, &PyTuple_Type, &stack)) {
        return NULL;
    }
    namespace = namespace_from_state(namespace, function);
    bool optimized = (code->co_flags & CO_OPTIMIZED) != 0;
    if ((code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) ||
        optimized != (namespace == Py_None) || (!optimized && !PyDict_Check(namespace))) {
        malformed(core, "its code is not that of an ordinary function");
        return NULL;
    }
    if (slots_check(core, locals, code->co_nlocalsplus, code->co_nlocalsplus, "locals") < 0 ||
        slots_check(core, stack, 0, code->co_stacksize - 1, "evaluation stack") < 0 ||
        (fit = frame_verify(core, code, offset, "call", locals, stack, namespace)) == NULL) {
        return NULL;
    }
    Parked *parked = parked_new(core, code);
    if (parked != NULL) {
        FrameSlot *slots = frame_slots(&parked->frame);
        frame_init(&parked->frame, function, code, optimized ? NULL : namespace);
        slots_fill(core, slots, locals);
        slots_fill(core, slots + code->co_nlocalsplus, stack);
        slots_make_numbers(slots + code->co_nlocalsplus, PyTuple_GET_ITEM(fit, 1));
        frame_set_depth(&parked->frame, (int)(code->co_nlocalsplus + PyTuple_GET_SIZE(stack)));
        frame_set_call_position(&parked->frame, offset / 2, (int)PyLong_AsLong(PyTuple_GET_ITEM(fit, 0)));
    }
    Py_DECREF(fit);
    return parked;
}

/* The frames of these states, chained. */
int
parked_from_states(CoreState *core, PyObject *frames, Parked **inner)
{
    Parked **link = inner;
    *inner = NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(frames); i++) {
        PyObject *state = Py_NewRef(PyList_GET_ITEM(frames, i));
        *link = PyTuple_Check(state) ? parked_from_state(core, state) : NULL;
        if (*link == NULL && !PyErr_Occurred()) {
            malformed(core, "a frame is not a tuple");
        }
        Py_DECREF(state);
        if (*link == NULL) {
            parked_clear_chain(*inner);
            *inner = NULL;
            return -1;
        }
        link = &(*link)->outer;
    }
    return 0;
}

static bool
phase_fits(int phase, PyObject *arguments, Py_ssize_t frames)
{
    switch (phase) {
    case FIBER_FRESH:
        return frames == 0 && PyTuple_Check(arguments);
    case FIBER_PARKED:
        return frames > 0;
    case FIBER_DEAD:
    case FIBER_GUEST:
        return frames == 0;
    default:
        return false;
    }
}

static bool
keywords_fit(PyObject *arguments, PyObject *keywords)
{
    if (keywords == Py_None) {
        return true;
    }
    if (!PyTuple_Check(keywords) || !PyTuple_Check(arguments) ||
        PyTuple_GET_SIZE(keywords) > PyTuple_GET_SIZE(arguments)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keywords); i++) {
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(keywords, i))) {
            return false;
        }
    }
    return true;
}

static PyObject *
none_to_null(PyObject *object)
{
    return object == Py_None ? NULL : Py_NewRef(object);
}

/* reinstate(fiber, state): `fiber` is blank (module.c, blank) and takes what capture gave. */
PyObject *
core_reinstate(PyObject *module, PyObject *args)
{
    CoreState *core = core_state(module);
    PyObject *object, *function, *arguments, *keywords, *value, *context, *handled, *frames;
    Parked *inner;
    int phase;
    if (!PyArg_ParseTuple(args, "O(iOOOOOOO!)", &object, &phase, &function, &arguments, &keywords, &value,
                          &context, &handled, &PyList_Type, &frames) ||
        check_is_fiber(core, object) < 0) {
        return NULL;
    }
    Fiber *fiber = (Fiber *)object;
    if (fiber->phase != FIBER_DEAD || fiber->function != NULL) {
        return malformed(core, "the fiber to fill is in use");
    }
    if (!phase_fits(phase, arguments, PyList_GET_SIZE(frames)) || !keywords_fit(arguments, keywords) ||
        !PyCallable_Check(function) || (handled != Py_None && !PyExceptionInstance_Check(handled)) ||
        (context != Py_None && !PyContext_CheckExact(context))) {
        return malformed(core, "phase, function, arguments, context or exception do not fit");
    }
    if (parked_from_states(core, frames, &inner) < 0) {
        return NULL;
    }
    if (fiber->phase != FIBER_DEAD || fiber->function != NULL) {
        parked_clear_chain(inner); /* the verification ran other code, which got there first */
        return malformed(core, "the fiber to fill is in use");
    }
    fiber->function = Py_NewRef(function);
    fiber->is_direct = PyFunction_Check(function);
    fiber->arguments = phase == FIBER_FRESH ? Py_NewRef(arguments) : NULL;
    fiber->keywords = phase == FIBER_FRESH ? none_to_null(keywords) : NULL;
    fiber->result = value == core->null ? NULL : Py_NewRef(value);
    fiber->context = none_to_null(context);
    fiber->exc.exc_value = none_to_null(handled);
    fiber->inner = inner;
    fiber->phase = (char)phase;
    fiber->is_copy = true;
    parked_link(fiber);
    return Py_NewRef(object);
}
