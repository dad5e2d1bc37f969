/* Handlers of effects: a level whose prompt's tag is one answers the operations that it has clauses for.
 *
 * A clause runs outside of its handler: what it performs goes to outer ones.  When frames are captured
 * for a clause, the levels up to its handler's are gone while it runs.  A clause that is answered in
 * place is called with all of them still there, so the innermost gets a mask: from there outward,
 *
 *     (how many levels of this fiber, itself first, are out of force; the serial of the last one, if
 *      that is in a fiber further out, else 0; the mask that it had before, or None)
 */
#include "core.h"

/* ---- the handlers in force, innermost first ---------------------------------------------------- */

typedef struct {
    CoreState *core;
    Fiber *fiber;  /* where the search is: */
    Level *level;  /*   its own level if NULL */
    bool is_begun, has_crossed; /* not in the first fiber any more */
    Py_ssize_t passed;          /* levels of the first fiber, this one too */
    Py_ssize_t skip;            /* so many of this fiber are out of force, */
    unsigned long long until;   /*   and those up to this one, */
    unsigned long long beyond;  /*   which is in a fiber further out */
} Search;

static Search
search_from(CoreState *core, Fiber *fiber)
{
    return (Search){.core = core, .fiber = fiber != NULL && fiber->core == core ? fiber : NULL};
}

static Marks *
marks_of(Fiber *fiber, Level *level)
{
    static Marks none;
    if (level != NULL) {
        return &level->marks;
    }
    return fiber->control == NULL ? &none : &fiber->control->marks;
}

/* The level with that serial in the fiber or those that resumed it, or NULL. */
static Level *
find_serial(Fiber *fiber, unsigned long long serial)
{
    for (; fiber != NULL; fiber = fiber_resumer(PyThreadState_Get(), fiber)) {
        Level *level = level_with_serial(fiber, serial);
        if (level != NULL) {
            return level;
        }
    }
    return NULL;
}

static void
read_mask(PyObject *mask, Py_ssize_t *count, unsigned long long *serial)
{
    *count = PyLong_AsSsize_t(PyTuple_GET_ITEM(mask, 0));
    *serial = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(mask, 1));
}

/* One level outward; false at the end. */
static bool
search_outward(Search *search)
{
    if (!search->is_begun) {
        search->is_begun = true;
        if (search->fiber != NULL) {
            search->level = search->fiber->level;
        }
    }
    else if (search->level != NULL) {
        search->level = search->level->below;
    }
    else {
        Fiber *outer = fiber_resumer(PyThreadState_Get(), search->fiber);
        search->fiber = outer != NULL && outer->core == search->core ? outer : NULL;
        search->level = search->fiber == NULL ? NULL : outer->level;
        search->has_crossed = true;
        search->skip = 0;
        search->until = search->beyond != 0 && find_serial(search->fiber, search->beyond) != NULL ? search->beyond : 0;
        search->beyond = 0;
    }
    search->passed += !search->has_crossed;
    return search->fiber != NULL;
}

/* The next handler in force, borrowed, or NULL. */
static PyObject *
search_next(Search *search)
{
    while (search_outward(search)) {
        Marks *marks = marks_of(search->fiber, search->level);
        if (search->until != 0) {
            if (search->level != NULL && search->level->serial == search->until) {
                search->until = 0;
            }
        }
        else if (search->skip > 0) {
            search->skip--;
        }
        else if (marks->mask != NULL) {
            read_mask(marks->mask, &search->skip, &search->beyond);
            search->skip--;
        }
        else if (marks->tag != NULL && search->core->handler_type != NULL &&
                 PyObject_TypeCheck(marks->tag, search->core->handler_type)) {
            return marks->tag;
        }
    }
    return NULL;
}

/* handlers(): those in force, innermost first. */
PyObject *
core_handlers(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    Search search = search_from(core_state(module), fiber_running_here(PyThreadState_Get()));
    PyObject *list = PyList_New(0), *handler;
    while (list != NULL && (handler = search_next(&search)) != NULL) {
        if (PyList_Append(list, handler) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* ---- the clause for an operation ----------------------------------------------------------------- */

static PyObject *
raise_unhandled(CoreState *core, PyObject *operation)
{
    PyObject *hook = core_hook(core, "unhandled");
    PyObject *error = hook == NULL ? NULL : PyObject_CallOneArg(hook, operation);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

/* The clause that answers, borrowed from its handler; *search is where that stands. Or NULL with an
 * exception. */
static PyObject *
find_clause(Search *search, PyObject *operation)
{
    PyObject *handler;
    while ((handler = search_next(search)) != NULL) {
        PyObject *clause = PyDict_GetItemWithError(handler, operation);
        if (clause != NULL || PyErr_Occurred()) {
            return clause;
        }
    }
    return raise_unhandled(search->core, operation);
}

static Search
search_here(PyObject *module)
{
    return search_from(core_state(module), fiber_running_here(PyThreadState_Get()));
}

/* From the innermost level of the running fiber outward, handlers up to where the search is are out of force. */
static int
mask(Fiber *fiber, Search *search)
{
    Marks *marks = fiber->level != NULL ? &fiber->level->marks : fiber_own_marks(fiber);
    unsigned long long beyond = search->has_crossed ? search->level->serial : 0;
    PyObject *mask = marks == NULL ? NULL : Py_BuildValue("nKO", search->passed, beyond,
                                                          marks->mask == NULL ? Py_None : marks->mask);
    if (mask == NULL) {
        return -1;
    }
    Py_XSETREF(marks->mask, mask);
    return 0;
}

/* find_clause(operation): the clause of the innermost handler in force that has one. For one that is answered in
 * place, the handlers up to its own are out of force from now on, until unmask(). */
PyObject *
core_find_clause(PyObject *module, PyObject *operation)
{
    Search search = search_here(module);
    Fiber *fiber = search.fiber;
    PyObject *clause = Py_XNewRef(find_clause(&search, operation));
    if (clause != NULL && Py_IS_TYPE(clause, search.core->in_place_type) && mask(fiber, &search) < 0) {
        Py_CLEAR(clause);
    }
    return clause;
}

/* mask(operation): the same for any clause; the state of its handler. */
PyObject *
core_mask(PyObject *module, PyObject *operation)
{
    Search search = search_here(module);
    Fiber *fiber = search.fiber;
    if (find_clause(&search, operation) == NULL || mask(fiber, &search) < 0) {
        return NULL;
    }
    PyObject *state = search.level->marks.state;
    return Py_NewRef(state == NULL ? Py_None : state);
}

static Marks *
innermost_marks(PyObject *module)
{
    Fiber *fiber = fiber_running_here(PyThreadState_Get());
    return fiber == NULL || fiber->core != core_state(module) ? NULL : marks_of(fiber, fiber->level);
}

static void
unmask(Marks *marks)
{
    PyObject *mask = marks->mask;
    if (mask != NULL) {
        PyObject *before = PyTuple_GET_ITEM(mask, 2);
        marks->mask = before == Py_None ? NULL : Py_NewRef(before);
        Py_DECREF(mask);
    }
}

/* unmask(): what the innermost level's latest mask has put out of force is in force again. */
PyObject *
core_unmask(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    Marks *marks = innermost_marks(module);
    if (marks != NULL) {
        unmask(marks);
    }
    Py_RETURN_NONE;
}

/* The level that the mask of the fiber's innermost level ends with, or NULL: it is not here any more. */
static Level *
masked_last(Fiber *fiber, PyObject *mask)
{
    Py_ssize_t count;
    unsigned long long serial;
    read_mask(mask, &count, &serial);
    if (serial != 0) {
        return find_serial(fiber, serial);
    }
    Level *level = fiber->level;
    while (--count > 0 && level != NULL) {
        level = level->below;
    }
    return level;
}

/* unmask_with(state): and the last handler that was out of force has this state now. */
PyObject *
core_unmask_with(PyObject *module, PyObject *state)
{
    Marks *marks = innermost_marks(module);
    if (marks != NULL && marks->mask != NULL) {
        Level *level = masked_last(fiber_running_here(PyThreadState_Get()), marks->mask);
        unmask(marks);
        if (level != NULL) {
            Py_XSETREF(level->marks.state, Py_NewRef(state));
        }
    }
    Py_RETURN_NONE;
}

/* ---- leaving ------------------------------------------------------------------------------------- */

/* Where the handler of `operation` is: 1, and in *serial its level's serial, 0 if that is not in this
 * fiber; or -1 with an exception. */
int
handler_find(CoreState *core, Fiber *fiber, PyObject *operation, unsigned long long *serial)
{
    Search search = search_from(core, fiber);
    if (find_clause(&search, operation) == NULL) {
        return -1;
    }
    *serial = search.has_crossed ? 0 : search.level->serial;
    return 1;
}

/* way_out(operation): by which serial an abort names the level of its handler. */
PyObject *
core_way_out(PyObject *module, PyObject *operation)
{
    Search search = search_here(module);
    return find_clause(&search, operation) == NULL ? NULL : PyLong_FromUnsignedLongLong(search.level->serial);
}

/* leave_force(): the handler of the innermost level, which is out of force from now on, and its state. None and None
 * where there is none. */
PyObject *
core_leave_force(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    CoreState *core = core_state(module);
    Fiber *fiber = fiber_running_here(PyThreadState_Get());
    if (fiber == NULL || fiber->core != core || fiber->level == NULL || core->handler_type == NULL ||
        fiber->level->marks.tag == NULL || !PyObject_TypeCheck(fiber->level->marks.tag, core->handler_type)) {
        return PyTuple_Pack(2, Py_None, Py_None);
    }
    Marks *marks = &fiber->level->marks;
    Search here = {.passed = 1};
    PyObject *pair = PyTuple_Pack(2, marks->tag, marks->state == NULL ? Py_None : marks->state);
    if (pair != NULL && mask(fiber, &here) < 0) {
        Py_CLEAR(pair);
    }
    return pair;
}

/* ---- for resumptions ------------------------------------------------------------------------------- */

/* set_state(depth, state): of the handler `depth` levels below the innermost. */
PyObject *
core_set_state(PyObject *module, PyObject *args)
{
    Py_ssize_t depth;
    PyObject *state;
    if (!PyArg_ParseTuple(args, "nO", &depth, &state)) {
        return NULL;
    }
    Fiber *fiber = fiber_running_here(PyThreadState_Get());
    Level *level = fiber == NULL || fiber->core != core_state(module) ? NULL : fiber->level;
    for (; depth > 0 && level != NULL; depth--) {
        level = level->below;
    }
    if (level != NULL) {
        Py_XSETREF(level->marks.state, Py_NewRef(state));
    }
    Py_RETURN_NONE;
}

/* outermost(k): (how many levels it has, the tag of the outermost, its state). */
PyObject *
core_outermost(PyObject *module, PyObject *object)
{
    if (!Py_IS_TYPE(object, core_state(module)->continuation_type)) {
        return PyErr_Format(PyExc_TypeError, "expected captured frames, got %R", object);
    }
    Py_ssize_t count = Py_SIZE(object);
    Marks *marks = &((Continuation *)object)->pieces[count - 1].marks;
    return Py_BuildValue("nOO", count, marks->tag == NULL ? Py_None : marks->tag,
                         marks->state == NULL ? Py_None : marks->state);
}

/* ---- for snapshots --------------------------------------------------------------------------------- */

static bool
is_number(PyObject *object, unsigned long long least)
{
    if (!PyLong_CheckExact(object)) {
        return false;
    }
    unsigned long long number = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred() || number > PY_SSIZE_T_MAX) {
        PyErr_Clear();
        return false;
    }
    return number >= least;
}

/* None, or a mask. */
bool
mask_is_valid(PyObject *mask)
{
    while (mask != Py_None) {
        if (!PyTuple_CheckExact(mask) || PyTuple_GET_SIZE(mask) != 3 || !is_number(PyTuple_GET_ITEM(mask, 0), 1) ||
            !is_number(PyTuple_GET_ITEM(mask, 1), 0)) {
            return false;
        }
        mask = PyTuple_GET_ITEM(mask, 2);
    }
    return true;
}
