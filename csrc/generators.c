/* CPython's own generators, coroutines and asynchronous generators, as frames: copied and rebuilt with the operations of parked frames.
 *
 * No API makes a generator that has begun.  So a fresh one is made by calling its function with
 * placeholder arguments (which runs none of its body), and its frame is then filled. */
#include "core.h"

/* Generators, coroutines and asynchronous generators begin alike (PyGenObject); subclasses there are none. */
bool
generator_is_of_type(PyTypeObject *type)
{
    return type == &PyGen_Type || type == &PyCoro_Type || type == &PyAsyncGen_Type;
}

/* Call `function` with an iterator for every parameter: gives a generator that has not begun. The
 * code of a generator expression of 3.15 calls iter() on its parameter even then; that of the others
 * advances its parameter without asking whether it is an iterator (v3.12.5 Python/bytecodes.c,
 * FOR_ITER), and a pickle may leave a generator as blank as it is. */
PyObject *
generator_blank(PyObject *function, PyTypeObject *type)
{
    PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(function);
    Py_ssize_t positional = code->co_argcount, named = code->co_kwonlyargcount;
    PyObject *names, *result, **arguments, *nothing;
    arguments = PyMem_Calloc(positional + named + 1, sizeof(PyObject *));
    if (arguments == NULL) {
        return PyErr_NoMemory();
    }
    names = PyTuple_GetSlice(code->co_localsplusnames, positional, positional + named);
    nothing = names == NULL ? NULL : PySeqIter_New(names);
    for (Py_ssize_t i = 0; i < positional + named; i++) {
        arguments[i] = nothing;
    }
    result = nothing == NULL ? NULL : PyObject_Vectorcall(function, arguments, positional, names);
    Py_XDECREF(nothing);
    Py_XDECREF(names);
    PyMem_Free(arguments);
    if (result != NULL && !Py_IS_TYPE(result, type)) {
        PyErr_Format(PyExc_TypeError, "%R no longer makes a %s", function, type->tp_name);
        Py_CLEAR(result);
    }
    return result;
}

static bool
is_awaited(PyObject *object)
{
    return PyAsyncGen_CheckExact(object) && generator_is_awaited((PyGenObject *)object);
}

static PyObject *
generator_state_tuple(CoreState *core, PyGenObject *generator)
{
    Frame *frame = generator_frame(generator);
    bool fresh = generator_is_fresh(generator);
    int count = frame_code(frame)->co_nlocalsplus;
    PyObject *handled = generator_handled(generator);
    PyObject *locals = slots_capture(core, frame_slots(frame), count);
    PyObject *stack = slots_capture(core, frame_slots(frame) + count, frame_depth(frame) - count);
    if (locals == NULL || stack == NULL) {
        Py_XDECREF(locals);
        Py_XDECREF(stack);
        return NULL;
    }
    const char *state = fresh ? "fresh" : is_awaited((PyObject *)generator) ? "awaited" : "suspended";
    return Py_BuildValue("OsiNNOOO", frame_function(frame), state, fresh ? 0 : 2 * frame_yield_unit(frame), locals, stack,
                         handled == NULL ? Py_None : handled, generator->gi_name, generator->gi_qualname);
}

/* A generator of CPython's that does not run? 0, or -1 with an exception. */
static int
check_suspended(CoreState *core, PyObject *object)
{
    PyGenObject *generator = (PyGenObject *)object;
    if (!generator_is_of_type(Py_TYPE(object))) {
        PyErr_Format(PyExc_TypeError, "expected a generator, coroutine or asynchronous generator, got %R", object);
        return -1;
    }
    if (generator_is_running(generator)) {
        PyErr_Format(core->fiber_error, "%R is running: only a suspended one can be copied or captured", object);
        return -1;
    }
    return 0;
}

/* The same, and it is not half-way through an await either. */
int
generator_check_idle(CoreState *core, PyObject *object)
{
    if (check_suspended(core, object) < 0) {
        return -1;
    }
    if (is_awaited(object)) {
        PyErr_Format(core->fiber_error, "%R is in the middle of an await that its consumer waits for: copy it between two "
                     "values", object);
        return -1;
    }
    return 0;
}

/* (function, state, byte offset of the yield, locals, stack, handled exception, name, qualname);
 * state is "fresh", "suspended", "finished", or "awaited": an asynchronous generator that awaits something within a step. */
PyObject *
core_capture_generator(PyObject *module, PyObject *object)
{
    CoreState *core = core_state(module);
    PyGenObject *generator = (PyGenObject *)object;
    if (check_suspended(core, object) < 0) {
        return NULL;
    }
    if (generator_is_finished(generator)) {
        return Py_BuildValue("OsiOOOOO", Py_None, "finished", 0, Py_None, Py_None, Py_None,
                             generator->gi_name, generator->gi_qualname);
    }
    int was_enabled = hold_collector();
    PyObject *state = generator_state_tuple(core, generator);
    let_collect(was_enabled);
    return state;
}

/* Drop what a frame holds; it stays one that holds nothing. */
static void
frame_empty(Frame *frame)
{
    FrameSlot *slots = frame_slots(frame);
    for (int i = 0, depth = frame_depth(frame); i < depth; i++) {
        slot_put(&slots[i], slot_empty());
    }
}

/* Drop a copy that cannot be completed: closing it would close what it shares with its original. */
void
generator_abandon(PyGenObject *generator)
{
    frame_empty(generator_frame(generator));
    generator_forbid_closing(generator);
    Py_DECREF(generator);
}

/* The fresh frame of a generator takes position and contents of another of the same code. */
static void
fill_from_frame(Frame *to, Frame *from)
{
    frame_empty(to);
    for (int i = 0, depth = frame_depth(from); i < depth; i++) {
        frame_slots(to)[i] = slot_duplicate(frame_slots(from)[i]);
    }
    frame_set_depth(to, frame_depth(from));
    frame_copy_position(to, from);
}

/* A copy of a suspended or fresh generator that shares what its slots hold. */
PyObject *
generator_duplicate(PyGenObject *original)
{
    PyObject *function = frame_function(generator_frame(original));
    if ((PyCodeObject *)PyFunction_GET_CODE(function) != frame_code(generator_frame(original))) {
        /* Before it is called: another code may be that of an ordinary function, which runs. */
        PyErr_Format(PyExc_TypeError, "%R cannot be copied: its function has another __code__ now", original);
        return NULL;
    }
    int was_enabled = hold_collector();
    PyGenObject *copy = (PyGenObject *)generator_blank(function, Py_TYPE(original));
    if (copy != NULL) {
        fill_from_frame(generator_frame(copy), generator_frame(original));
        generator_copy_state(copy, original);
        generator_copy_closed(copy, original);
    }
    let_collect(was_enabled);
    return (PyObject *)copy;
}

/* Is there really a yield at this place of this code? The depth of the stack and what stands on
 * it are checked by the hook `verify`, which knows the bytecode. A new reference to what it says. */
static PyObject *
check_waiting(CoreState *core, PyCodeObject *code, int offset, const char *waiting, PyObject *locals,
              PyObject *stack)
{
    if (slots_check(core, locals, code->co_nlocalsplus, code->co_nlocalsplus, "locals") < 0 ||
        slots_check(core, stack, 0, code->co_stacksize - 1, "evaluation stack") < 0) {
        return NULL;
    }
    return frame_verify(core, code, offset, waiting, locals, stack, Py_None);
}

/* A generator that has not begun holds arguments and cells just where every one of its code does. */
static PyObject *
check_fresh(CoreState *core, PyGenObject *blank, PyObject *locals, PyObject *stack)
{
    Frame *frame = generator_frame(blank);
    FrameSlot *slots = frame_slots(frame);
    int count = frame_code(frame)->co_nlocalsplus;
    if (slots_check(core, locals, count, count, "locals") < 0) {
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        PyObject *given = PyTuple_GET_ITEM(locals, i);
        PyObject *object = slot_object(slots[i]);
        bool is_cell = object != NULL && PyCell_Check(object);
        if ((object == NULL) != (given == core->null) || (is_cell && !PyCell_Check(given))) {
            return PyErr_Format(core->format_error,
                                "local %d of a generator that has not begun cannot be %R", i, given);
        }
    }
    return check_waiting(core, frame_code(frame), 0, "fresh", locals, stack);
}

static void
fill_from_state(CoreState *core, PyGenObject *generator, const char *state, int offset,
                PyObject *locals, PyObject *stack, PyObject *numbers, PyObject *handled)
{
    Frame *frame = generator_frame(generator);
    FrameSlot *slots = frame_slots(frame);
    frame_empty(frame);
    slots_fill(core, slots, locals);
    slots_fill(core, slots + PyTuple_GET_SIZE(locals), stack);
    slots_make_numbers(slots + PyTuple_GET_SIZE(locals), numbers);
    frame_set_depth(frame, (int)(PyTuple_GET_SIZE(locals) + PyTuple_GET_SIZE(stack)));
    if (strcmp(state, "fresh") != 0) {
        generator_set_awaited(generator, strcmp(state, "awaited") == 0);
        frame_set_yield_position(frame, offset / 2);
        generator_set_state(generator, generator_suspended_state(frame, offset / 2),
                            handled == Py_None ? NULL : handled);
    }
}

/* reinstate_generator(generator, state): `generator` is fresh, of the captured function. */
PyObject *
core_reinstate_generator(PyObject *module, PyObject *args)
{
    CoreState *core = core_state(module);
    PyObject *object, *function, *locals, *stack, *handled, *name, *qualname, *fit;
    const char *state;
    int offset;
    if (!PyArg_ParseTuple(args, "O(OsiO!O!OUU)", &object, &function, &state, &offset, &PyTuple_Type,
                          &locals, &PyTuple_Type, &stack, &handled, &name, &qualname)) {
        return NULL;
    }
    if (!generator_is_of_type(Py_TYPE(object)) ||
        !generator_is_fresh((PyGenObject *)object) || (handled != Py_None && !PyExceptionInstance_Check(handled))) {
        PyErr_SetString(core->format_error, "a generator's state needs a generator that has not begun");
        return NULL;
    }
    PyGenObject *generator = (PyGenObject *)object;
    PyCodeObject *code = frame_code(generator_frame(generator));
    if (strcmp(state, "suspended") == 0 || (strcmp(state, "awaited") == 0 && PyAsyncGen_CheckExact(object))) {
        fit = check_waiting(core, code, offset, "yield", locals, stack);
    }
    else if (strcmp(state, "fresh") == 0) {
        fit = check_fresh(core, generator, locals, stack);
    }
    else {
        fit = PyErr_Format(core->format_error, "unknown state of a generator: %s", state);
    }
    if (fit != NULL && !generator_is_fresh(generator)) {
        PyErr_SetString(core->format_error, "the generator was begun while its state was being checked");
        Py_CLEAR(fit);
    }
    if (fit == NULL) {
        return NULL;
    }
    Py_INCREF(object);
    fill_from_state(core, generator, state, offset, locals, stack, PyTuple_GET_ITEM(fit, 1), handled);
    Py_DECREF(fit);
    Py_SETREF(generator->gi_name, Py_NewRef(name));
    Py_SETREF(generator->gi_qualname, Py_NewRef(qualname));
    return object;
}
