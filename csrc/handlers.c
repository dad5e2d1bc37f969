/* Handlers of effects: a level whose prompt's tag is one answers the operations that it maps to something.
 *
 * What answers runs outside of its handler: what it performs goes to outer ones.  So while it is called, in the
 * stub `perform`, the innermost level has a mask.  From there outward,
 *
 *     (how many levels of this fiber, itself first, are out of force; the serial of the last one, if
 *      that is in a fiber further out, else 0; the mask that it had before, or None)
 *
 * The last one is the handler's, so the mask also says which frames a resumption consists of. It is captured with
 * them, and goes when `perform` returns. */
#include "core.h"

#include "cpython/dict_entries.h"

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

/* ---- what answers an operation -------------------------------------------------------------------- */

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

enum { LOOKED_AT = 2 }; /* entries of a handler that are compared before one is looked up: most handlers are as small as that */

/* What the handler maps the operation to, borrowed, or NULL. */
static inline PyObject *
answer_in(PyObject *handler, PyObject *operation)
{
    PyObject *answer = dict_early_value(handler, operation, LOOKED_AT);
    return answer != NULL ? answer : PyDict_GetItemWithError(handler, operation);
}

/* What answers, borrowed from its handler; *search is where that stands. Or NULL with an exception. */
static PyObject *
find_answer(Search *search, PyObject *operation)
{
    PyObject *handler;
    while ((handler = search_next(search)) != NULL) {
        PyObject *answer = answer_in(handler, operation);
        if (answer != NULL || PyErr_Occurred()) {
            return answer;
        }
    }
    return raise_unhandled(search->core, operation);
}

/* From the innermost level of the running fiber outward, handlers up to where the search is are out of force. */
static int
mask(Fiber *fiber, Search *search)
{
    Marks *marks = fiber->level != NULL ? &fiber->level->marks : fiber_own_marks(fiber);
    unsigned long long beyond = search->has_crossed ? search->level->serial : 0;
    if (marks == NULL) {
        return -1;
    }
    if (search->passed == 1 && beyond == 0 && marks->mask == NULL) {
        marks->mask = Py_NewRef(search->core->mask_of_one); /* as nearly always */
        return 0;
    }
    PyObject *mask = PyTuple_New(3);
    PyObject *count = mask == NULL ? NULL : PyLong_FromSsize_t(search->passed);
    PyObject *serial = count == NULL ? NULL : PyLong_FromUnsignedLongLong(beyond);
    if (serial == NULL) {
        Py_XDECREF(mask);
        Py_XDECREF(count);
        return -1;
    }
    PyTuple_SET_ITEM(mask, 0, count);
    PyTuple_SET_ITEM(mask, 1, serial);
    PyTuple_SET_ITEM(mask, 2, marks->mask == NULL ? Py_NewRef(Py_None) : marks->mask);
    marks->mask = mask;
    return 0;
}

/* What answers the operation, borrowed from its handler, which is out of force from now on, as those further in are. *level is the
 * handler's, NULL: not in this fiber; *marks those of that level. NULL with an exception. */
PyObject *
handler_find_answer(CoreState *core, Fiber *fiber, PyObject *operation, Level **level, Marks **marks)
{
    Search search = search_from(core, fiber);
    PyObject *answer = find_answer(&search, operation);
    if (answer == NULL || mask(fiber, &search) < 0) {
        return NULL;
    }
    *level = search.has_crossed ? NULL : search.level;
    *marks = marks_of(search.fiber, search.level);
    return answer;
}

/* The same, if it is the innermost level's own handler that answers, as nearly always; else NULL, and nothing has happened. */
PyObject *
handler_answer_nearby(CoreState *core, Level *level, PyObject *operation)
{
    Marks *marks = &level->marks;
    if (marks->mask != NULL || marks->tag == NULL || !Py_IS_TYPE(marks->tag, core->handler_type)) {
        return NULL;
    }
    PyObject *answer = dict_early_value(marks->tag, operation, LOOKED_AT);
    if (answer != NULL) {
        marks->mask = Py_NewRef(core->mask_of_one);
    }
    return answer;
}

/* What was put out of force is in force again. */
void
handlers_unmask(Fiber *fiber)
{
    Marks *marks = marks_of(fiber, fiber->level);
    PyObject *mask = marks->mask;
    if (mask != NULL) {
        PyObject *before = PyTuple_GET_ITEM(mask, 2);
        marks->mask = before == Py_None ? NULL : Py_NewRef(before);
        drop(mask);
    }
}

/* The handler's level for which the fiber's innermost one is masked. NULL with an exception: it is not here any more.
 * *is_here: it is one of this fiber. */
static Level *
masked_last(CoreState *core, Fiber *fiber, bool *is_here)
{
    Marks *marks = fiber == NULL || fiber->core != core ? NULL : marks_of(fiber, fiber->level);
    Level *level = NULL;
    if (marks != NULL && marks->mask == core->mask_of_one && fiber->level != NULL) {
        *is_here = true;
        return fiber->level; /* as nearly always */
    }
    if (marks != NULL && marks->mask != NULL) {
        Py_ssize_t count;
        unsigned long long serial;
        read_mask(marks->mask, &count, &serial);
        *is_here = serial == 0;
        level = serial != 0 ? find_serial(fiber, serial) : fiber->level;
        while (serial == 0 && --count > 0 && level != NULL) {
            level = level->below;
        }
    }
    if (level == NULL) {
        PyErr_SetString(core->fiber_error, "the handler of this operation is gone: the fiber was resumed elsewhere while "
                        "the operation was being answered");
    }
    return level;
}

/* The same for what answers, while it is called. */
Level *
handler_answering(CoreState *core, Fiber *fiber)
{
    bool is_here;
    return masked_last(core, fiber, &is_here);
}

static Level *
masked_last_here(PyObject *module)
{
    return handler_answering(core_state(module), fiber_running_here(PyThreadState_Get()));
}

/* The serial of the level up to which frames are to be captured for a clause; 0 with an exception. */
unsigned long long
handler_to_capture(CoreState *core, Fiber *fiber)
{
    bool is_here = false;
    Level *level = masked_last(core, fiber, &is_here);
    if (level != NULL && !is_here) {
        PyErr_Format(core->barrier_error, "cannot perform: %R stands between the operation and its handler, and a fiber that "
                     "is resumed by its own program is no part of what is captured; handle it inside, or answer with "
                     "a fun clause", fiber);
    }
    return level != NULL && is_here ? level->serial : 0;
}

/* The following are for what answers, while it is called: */

/* state(): of its handler. */
PyObject *
core_state_of_handler(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    Level *level = masked_last_here(module);
    return level == NULL ? NULL : Py_NewRef(level->marks.state == NULL ? Py_None : level->marks.state);
}

/* change_state(state) */
PyObject *
core_change_state(PyObject *module, PyObject *state)
{
    Level *level = masked_last_here(module);
    if (level == NULL) {
        return NULL;
    }
    Py_XSETREF(level->marks.state, Py_NewRef(state));
    Py_RETURN_NONE;
}

/* way_out(): how an abort names the level of its handler: by the handler, and how many more of its levels, out of force, are
 * passed before. */
PyObject *
core_way_out(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    PyThreadState *ts = PyThreadState_Get();
    Level *last = masked_last_here(module);
    Py_ssize_t passing = 0;
    if (last == NULL) {
        return NULL;
    }
    for (Fiber *fiber = fiber_running_here(ts); fiber != NULL; fiber = fiber_resumer(ts, fiber)) {
        for (Level *level = fiber_level(fiber); level != NULL; level = level->below) {
            if (level == last) {
                return Py_BuildValue("On", last->marks.tag, passing);
            }
            passing += level->marks.tag == last->marks.tag;
        }
    }
    Py_UNREACHABLE();
}

/* ---- the end of a handled program ------------------------------------------------------------------ */

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
    Search here = {.core = core, .passed = 1};
    int was_enabled = hold_collector(); /* a destructor may change the state */
    PyObject *pair = PyTuple_Pack(2, marks->tag, marks->state == NULL ? Py_None : marks->state);
    let_collect(was_enabled);
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
