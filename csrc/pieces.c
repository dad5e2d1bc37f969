/* Levels and continuations as Python values, and back: what capture.c is for frames. */
#include "core.h"

static PyObject *
or_none(PyObject *object)
{
    return object == NULL ? Py_None : object;
}

static PyObject *
none_to_null(PyObject *object)
{
    return object == Py_None ? NULL : Py_NewRef(object);
}

/* (tag, winders, state, mask) */
static PyObject *
marks_tuple(const Marks *marks)
{
    return Py_BuildValue("OOOO", or_none(marks->tag), or_none(marks->winders), or_none(marks->state),
                         or_none(marks->mask));
}

static int
malformed(CoreState *core, const char *what)
{
    PyErr_Format(core->format_error, "not the state of levels or of a continuation: %s", what);
    return -1;
}

static int
marks_from_tuple(CoreState *core, PyObject *tuple, Marks *marks)
{
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != 4 || !mask_is_valid(PyTuple_GET_ITEM(tuple, 3))) {
        return malformed(core, "the marks of a level");
    }
    marks->tag = none_to_null(PyTuple_GET_ITEM(tuple, 0));
    marks->winders = none_to_null(PyTuple_GET_ITEM(tuple, 1));
    marks->state = none_to_null(PyTuple_GET_ITEM(tuple, 2));
    marks->mask = none_to_null(PyTuple_GET_ITEM(tuple, 3));
    return 0;
}

/* ---- a fiber's levels ------------------------------------------------------------------------ */

static int
append(PyObject *list, PyObject *item)
{
    int failed = item == NULL || PyList_Append(list, item) < 0;
    Py_XDECREF(item);
    return failed ? -1 : 0;
}

static PyObject *
level_states(Fiber *fiber)
{
    PyObject *list = PyList_New(0);
    Parked *node = fiber->inner;
    for (Level *level = fiber->level; list != NULL && level != NULL; level = level->below) {
        Py_ssize_t count = 0;
        for (; node != level->floor; node = node->outer) {
            count += parked_count(node);
        }
        if (append(list, Py_BuildValue("nNO", count, marks_tuple(&level->marks), or_none(level->exc.exc_value))) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* capture_levels(fiber): None where there is nothing but the fiber's own level; else the levels, innermost
 * first, each (number of frames, marks, handled), then the fiber's own marks and successor. */
PyObject *
core_capture_levels(PyObject *module, PyObject *object)
{
    CoreState *core = core_state(module);
    if (!PyObject_TypeCheck(object, core->fiber_type) || ((Fiber *)object)->phase == FIBER_ACTIVE) {
        return PyErr_Format(PyExc_TypeError, "expected a suspended Fiber, got %R", object);
    }
    Fiber *fiber = (Fiber *)object;
    if (fiber->level == NULL && fiber->control == NULL) {
        Py_RETURN_NONE;
    }
    Marks none = {0}, *own = fiber->control == NULL ? &none : &fiber->control->marks;
    PyObject *successor = fiber->control == NULL ? NULL : fiber->control->successor;
    int was_enabled = hold_collector();
    PyObject *levels = level_states(fiber);
    PyObject *state = levels == NULL ? NULL : Py_BuildValue("NNO", levels, marks_tuple(own), or_none(successor));
    let_collect(was_enabled);
    return state;
}

/* Levels for the chain from `node` outward, or NULL with an exception; *levels is then partly made. */
static int
levels_from_states(CoreState *core, PyObject *states, Parked *node, Level **levels)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(states); i++) {
        PyObject *marks, *handled, *state = PyList_GET_ITEM(states, i);
        if (!PyTuple_Check(state) || PyTuple_GET_SIZE(state) != 3 || !PyLong_CheckExact(PyTuple_GET_ITEM(state, 0))) {
            return malformed(core, "a level is not a tuple of its kind"); /* another number could run code here */
        }
        Py_ssize_t count = PyLong_AsSsize_t(PyTuple_GET_ITEM(state, 0));
        if (count == -1 && PyErr_Occurred()) {
            return -1;
        }
        marks = PyTuple_GET_ITEM(state, 1);
        handled = PyTuple_GET_ITEM(state, 2);
        for (; count > 0 && node != NULL; count--) {
            node = node->outer;
        }
        if (count != 0 || node == NULL || (handled != Py_None && !PyExceptionInstance_Check(handled))) {
            return malformed(core, "a level does not fit the frames");
        }
        Level *level = *levels = level_new(NULL);
        if (level == NULL || marks_from_tuple(core, marks, &level->marks) < 0) {
            return -1;
        }
        level->floor = node;
        level->exc.exc_value = none_to_null(handled);
        levels = &level->below;
    }
    return 0;
}

/* reinstate_levels(fiber, state): a fiber that reinstate has just filled gets what capture_levels gave. */
PyObject *
core_reinstate_levels(PyObject *module, PyObject *args)
{
    CoreState *core = core_state(module);
    PyObject *object, *states, *own, *successor;
    Level *levels = NULL;
    Marks marks = {0};
    if (!PyArg_ParseTuple(args, "O!(O!OO)", core->fiber_type, &object, &PyList_Type, &states, &own, &successor)) {
        return NULL;
    }
    Fiber *fiber = (Fiber *)object;
    if (fiber->phase == FIBER_ACTIVE || fiber->phase == FIBER_HELD || fiber->phase == FIBER_KEPT || !fiber->is_copy || fiber->level != NULL ||
        (successor != Py_None && !PyObject_TypeCheck(successor, core->fiber_type))) {
        (void)malformed(core, "the fiber is in use");
        return NULL;
    }
    (void)fiber_hold(fiber);
    int failed = fiber_control(fiber) == NULL || marks_from_tuple(core, own, &marks) < 0 ||
                 levels_from_states(core, states, fiber->inner, &levels) < 0;
    fiber_let_go(fiber);
    if (failed) {
        marks_clear(&marks);
        levels_free(levels);
        return NULL;
    }
    levels_adopt(fiber, levels);
    Marks old = fiber->control->marks;
    fiber->control->marks = marks;
    marks_clear(&old);
    Py_XSETREF(fiber->control->successor, none_to_null(successor));
    Py_RETURN_NONE;
}

/* ---- continuations --------------------------------------------------------------------------- */

static PyObject *
piece_state(CoreState *core, Piece *piece)
{
    PyObject *frames = PyList_New(0);
    StandIn all = {.segment = piece->segment, .from = piece->segment->inner};
    while (all.from == NULL) {
        all.from = all.segment->tail_from;
        all.segment = all.segment->tail;
    }
    all.node.place = &all.from->frame;
    if (frames == NULL || parked_states(core, &all.node, frames) == NULL) {
        Py_XDECREF(frames);
        return NULL;
    }
    return Py_BuildValue("NON", marks_tuple(&piece->marks), or_none(piece->handled), frames);
}

static Continuation *
as_continuation(CoreState *core, PyObject *object)
{
    if (!Py_IS_TYPE(object, core->continuation_type)) {
        PyErr_Format(PyExc_TypeError, "expected captured frames, got %R", object);
        return NULL;
    }
    return (Continuation *)object;
}

/* capture_continuation(k): its pieces, innermost first, each (marks, handled, frames). */
PyObject *
core_capture_continuation(PyObject *module, PyObject *object)
{
    CoreState *core = core_state(module);
    Continuation *k = as_continuation(core, object);
    PyObject *list = k == NULL ? NULL : PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < Py_SIZE(k); i++) {
        if (k->pieces[i].segment == NULL || k->pieces[i].segment->depth == 0) {
            PyErr_SetString(core->fiber_error, "this continuation has no frames");
            Py_CLEAR(list);
        }
        else if (append(list, piece_state(core, &k->pieces[i])) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* blank_continuation(count): for reinstate_continuation to fill. */
PyObject *
core_blank_continuation(PyObject *module, PyObject *object)
{
    CoreState *core = core_state(module);
    Py_ssize_t count = PyLong_AsSsize_t(object);
    if (count < 1 || count > 1000000) {
        if (!PyErr_Occurred()) {
            (void)malformed(core, "the number of pieces");
        }
        return NULL;
    }
    return core->continuation_type->tp_alloc(core->continuation_type, count);
}

static int
piece_from_state(CoreState *core, PyObject *state, Piece *piece)
{
    PyObject *marks, *handled, *frames;
    if (!PyTuple_Check(state) || !PyArg_ParseTuple(state, "OOO!", &marks, &handled, &PyList_Type, &frames)) {
        return PyErr_Occurred() ? -1 : malformed(core, "a piece is not a tuple");
    }
    if (PyList_GET_SIZE(frames) == 0 || (handled != Py_None && !PyExceptionInstance_Check(handled))) {
        return malformed(core, "a piece without frames, or what it handles is no exception");
    }
    piece->handled = none_to_null(handled);
    piece->segment = segment_from_states(core, frames);
    return piece->segment == NULL ? -1 : marks_from_tuple(core, marks, &piece->marks);
}

static void
pieces_free(Piece *pieces, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_XDECREF(pieces[i].segment);
        marks_clear(&pieces[i].marks);
        Py_XDECREF(pieces[i].handled);
    }
    PyMem_Free(pieces);
}

/* reinstate_continuation(k, pieces): `k` is blank. All or nothing. */
PyObject *
core_reinstate_continuation(PyObject *module, PyObject *args)
{
    CoreState *core = core_state(module);
    PyObject *object, *states;
    if (!PyArg_ParseTuple(args, "OO!", &object, &PyList_Type, &states)) {
        return NULL;
    }
    Continuation *k = as_continuation(core, object);
    Py_ssize_t count = k == NULL ? 0 : Py_SIZE(k);
    if (k != NULL && PyList_GET_SIZE(states) != count) {
        (void)malformed(core, "the number of pieces");
        return NULL;
    }
    if (k == NULL) {
        return NULL;
    }
    Piece *pieces = PyMem_Calloc(count, sizeof(Piece));
    int failed = pieces == NULL;
    for (Py_ssize_t i = 0; i < count && !failed; i++) {
        PyObject *state = i < PyList_GET_SIZE(states) ? Py_NewRef(PyList_GET_ITEM(states, i)) : Py_NewRef(Py_None);
        failed = piece_from_state(core, state, &pieces[i]) < 0;
        Py_DECREF(state);
    }
    if (!failed && k->pieces[0].segment != NULL) {
        failed = malformed(core, "the continuation to fill is in use");
    }
    if (failed) {
        if (pieces == NULL) {
            return PyErr_NoMemory();
        }
        pieces_free(pieces, count);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        k->pieces[i] = pieces[i];
        k->depth += pieces[i].segment->depth;
        k->is_eager = k->is_eager || pieces[i].segment->is_eager;
    }
    PyMem_Free(pieces);
    Py_RETURN_NONE;
}

/* What pickles and copies the object as a snapshot: for objects of upper floors that hold frames. */
PyObject *
core_reduce(PyObject *module, PyObject *object)
{
    PyObject *hook = core_hook(core_state(module), "reduce");
    return hook == NULL ? NULL : PyObject_CallOneArg(hook, object);
}

PyObject *
core_deepcopy(PyObject *module, PyObject *args)
{
    PyObject *object, *memo, *hook = core_hook(core_state(module), "deepcopy");
    if (hook == NULL || !PyArg_ParseTuple(args, "OO", &object, &memo)) {
        return NULL;
    }
    return PyObject_CallFunctionObjArgs(hook, object, memo, NULL);
}
