/* Levels: the prompts on a fiber's stack.
 *
 * A level's exception state lies in its node, so that a level can be taken away and put elsewhere as
 * generators are: the chain of these states (exc_info) leads from the innermost level to the
 * fiber's own, and on to the resumer's. */
#include "core.h"

void
marks_copy(Marks *to, const Marks *from)
{
    to->tag = Py_XNewRef(from->tag);
    to->winders = Py_XNewRef(from->winders);
    to->state = Py_XNewRef(from->state);
    to->mask = Py_XNewRef(from->mask);
}

void
marks_clear(Marks *marks)
{
    Py_CLEAR(marks->tag);
    Py_CLEAR(marks->winders);
    Py_CLEAR(marks->state);
    Py_CLEAR(marks->mask);
}

int
marks_traverse(Marks *marks, visitproc visit, void *arg)
{
    Py_VISIT(marks->tag);
    Py_VISIT(marks->winders);
    Py_VISIT(marks->state);
    Py_VISIT(marks->mask);
    return 0;
}

/* A level that is on no stack yet, with these marks (NULL: none). */
Level *
level_new(const Marks *marks)
{
    Level *level = PyMem_Calloc(1, sizeof(Level));
    if (level == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (marks != NULL) {
        marks_copy(&level->marks, marks);
    }
    return level;
}

/* Release a level that is on no stack any more. */
void
level_free(Level *level)
{
    marks_clear(&level->marks);
    Py_XDECREF(level->exc.exc_value);
    PyMem_Free(level);
}

/* Put a level, without frames, on top. Cannot fail. */
void
level_push(Fiber *fiber, Level *level)
{
    level->below = fiber->level;
    level->floor = fiber->inner;
    level->serial = ++fiber->core->last_serial;
    level->exc.previous_item = fiber->handling;
    fiber->level = level;
    fiber->floor = level->floor;
    fiber->handling = &level->exc;
    if (level->marks.tag != NULL && PyObject_TypeCheck(level->marks.tag, fiber->core->fiber_type)) {
        fiber->guest = level;
    }
}

/* Take the top level off; its frames are gone already. The caller frees it. */
Level *
level_pop(Fiber *fiber)
{
    Level *level = fiber->level;
    fiber->level = level->below;
    fiber->floor = level->below == NULL ? NULL : level->below->floor;
    fiber->handling = level->exc.previous_item;
    if (fiber->guest == level) {
        fiber->guest = level_of_guest(fiber->core, level->below);
    }
    return level;
}

/* The nearest level whose prompt has that tag, or NULL; for running code. */
Level *
level_find(Fiber *fiber, PyObject *tag)
{
    Level *level = fiber_level(fiber);
    while (level != NULL && level->marks.tag != tag) {
        level = level->below;
    }
    return level;
}

Level *
level_with_serial(Fiber *fiber, unsigned long long serial)
{
    Level *level = fiber->level;
    while (level != NULL && level->serial != serial) {
        level = level->below;
    }
    return level;
}

/* An exception on its way to a level: Abort(tag, value), or Abort(tag, value, how many levels with that tag it passes first). It
 * names a level by where that is, not by which: a copy of the frames that it leaves has copies of these levels beneath. */
typedef struct {
    PyObject *tag, *value; /* borrowed */
    Py_ssize_t passing;
} Way;

static bool
read_abort(CoreState *core, PyObject *thrown, Way *way)
{
    if (core->abort_signal == NULL || !Py_IS_TYPE(thrown, (PyTypeObject *)core->abort_signal)) {
        return false;
    }
    way->passing = 0;
    if (PyArg_ParseTuple(((PyBaseExceptionObject *)thrown)->args, "OO|n", &way->tag, &way->value, &way->passing)) {
        return true;
    }
    PyErr_Clear();
    return false;
}

/* What has been thrown leaves a level: *value if the level has that tag and is the one that it is for, which uses it up. */
static PyObject *
leave_level(CoreState *core, PyObject *thrown, Level *level, PyObject **value)
{
    Way way;
    *value = NULL;
    if (level->marks.tag == NULL || !read_abort(core, thrown, &way) || way.tag != level->marks.tag) {
        return thrown;
    }
    if (way.passing > 0) { /* another one: copies of these frames may have this one */
        PyObject *rest = PyObject_CallFunction(core->abort_signal, "OOn", way.tag, way.value, way.passing - 1);
        Py_DECREF(thrown);
        return rest == NULL ? exception_take() : rest;
    }
    *value = Py_NewRef(way.value);
    Py_DECREF(thrown);
    return NULL;
}

/* Is that level on the stack of the fiber, or of those that resumed it? */
static bool
is_in_reach(PyThreadState *ts, Fiber *fiber, const Way *way)
{
    Py_ssize_t passing = way->passing;
    for (; fiber != NULL; fiber = fiber_resumer(ts, fiber)) {
        for (Level *level = fiber_level(fiber); level != NULL; level = level->below) {
            if (level->marks.tag == way->tag && passing-- == 0) {
                return true;
            }
        }
    }
    return false;
}

/* An exception has left a frame that was parked. If it is an abort, and what it leaves for is gone (for the frame was
 * captured in a `finally`, and is gone on with elsewhere), it is an error from here on. */
void
abort_look_again(Fiber *fiber, PyThreadState *ts)
{
    PyObject *thrown = exception_take();
    Way way;
    if (read_abort(fiber->core, thrown, &way) && !is_in_reach(ts, fiber, &way)) {
        PyObject *hook = core_hook(fiber->core, "prompt_not_found");
        PyObject *error = hook == NULL ? NULL : PyObject_CallOneArg(hook, way.tag);
        Py_SETREF(thrown, error == NULL ? exception_take() : error);
    }
    exception_put(thrown);
}

/* The frames of the running fiber's top level have ended with `value`; NULL: by the exception that is
 * set. What the level below gets. Steals the value. */
PyObject *
level_end(Fiber *fiber, PyThreadState *ts, PyObject *value)
{
    Level *level = level_pop(fiber);
    PyObject *thrown = value == NULL ? exception_take() : NULL;
    ts->exc_info = fiber->handling;
    thread_set_frame(ts, fiber->inner->place);
    if (thrown != NULL) {
        thrown = leave_level(fiber->core, thrown, level, &value);
    }
    if (level->marks.tag != NULL && PyObject_TypeCheck(level->marks.tag, fiber->core->fiber_type)) {
        guest_end((Fiber *)level->marks.tag, value);
    }
    level_free(level);
    if (thrown != NULL) {
        exception_put(thrown);
    }
    return value;
}

/* The same levels for a copy of the fiber, whose frames are those of `from`, one by one; stand-ins
 * have become frames. On failure nothing is left behind. */
int
levels_clone(Fiber *from, Parked *inner, Level **clone)
{
    Level **link = clone;
    Parked *node = from->inner;
    *clone = NULL;
    for (Level *level = from->level; level != NULL; level = level->below) {
        Level *twin = level_new(&level->marks);
        if (twin == NULL) {
            levels_free(*clone);
            *clone = NULL;
            return -1;
        }
        for (; node != level->floor; node = node->outer) {
            for (Py_ssize_t count = parked_count(node); count > 0; count--) {
                inner = inner->outer;
            }
        }
        twin->floor = inner;
        twin->exc.exc_value = Py_XNewRef(level->exc.exc_value);
        *link = twin;
        link = &twin->below;
    }
    return 0;
}

void
levels_free(Level *level)
{
    while (level != NULL) {
        Level *below = level->below;
        level_free(level);
        level = below;
    }
}

/* Make these levels the fiber's; they are linked already. */
void
levels_become(Fiber *fiber, Level *level)
{
    fiber->level = level;
    fiber->floor = level == NULL ? NULL : level->floor;
    fiber->handling = level == NULL ? &fiber->exc : &level->exc;
    fiber->guest = level_of_guest(fiber->core, level);
}

/* Make levels, whose floors are set, those of a fiber that has none. Cannot fail. */
void
levels_adopt(Fiber *fiber, Level *level)
{
    levels_become(fiber, level);
    for (; level != NULL; level = level->below) {
        level->exc.previous_item = level->below == NULL ? &fiber->exc : &level->below->exc;
        level->serial = ++fiber->core->last_serial;
    }
}

int
levels_traverse(Level *level, visitproc visit, void *arg)
{
    int stopped = 0;
    for (; level != NULL && !stopped; level = level->below) {
        Py_VISIT(level->exc.exc_value);
        stopped = marks_traverse(&level->marks, visit, arg);
    }
    return stopped;
}

/* ---- for floor 2 --------------------------------------------------------------------------- */

static int
append_steal(PyObject *list, PyObject *item)
{
    int failed = item == NULL || PyList_Append(list, item) < 0;
    Py_XDECREF(item);
    return failed ? -1 : 0;
}

/* prompts(): the tags of the running fiber's levels, innermost first, None where there is none; then
 * the same for the fibers that resumed it, each behind (the fiber itself,). */
PyObject *
core_prompts(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    PyThreadState *ts = PyThreadState_Get();
    PyObject *list = PyList_New(0);
    int failed = list == NULL;
    for (Fiber *fiber = fiber_running_here(ts); fiber != NULL && !failed; fiber = fiber_resumer(ts, fiber)) {
        for (Level *level = fiber_level(fiber); level != NULL && !failed; level = level->below) {
            failed = PyList_Append(list, level->marks.tag == NULL ? Py_None : level->marks.tag) < 0;
        }
        failed = failed || append_steal(list, PyTuple_Pack(1, (PyObject *)fiber)) < 0;
    }
    if (failed) {
        Py_CLEAR(list);
    }
    return list;
}

/* Where the winders of the level `depth` below the innermost are kept; NULL: outside of any fiber, or
 * with an exception. */
static PyObject **
place_of_winders(CoreState *core, Py_ssize_t depth)
{
    Fiber *fiber = fiber_running_here(PyThreadState_Get());
    if (fiber == NULL || fiber->core != core) {
        return NULL;
    }
    Level *level = fiber_level(fiber);
    for (; depth > 0 && level != NULL; depth--) {
        level = level->below;
    }
    if (level != NULL) {
        return &level->marks.winders;
    }
    Marks *own = fiber_own_marks(fiber);
    return own == NULL ? NULL : &own->winders;
}

/* winders(depth): what set_winders was given, or None. */
PyObject *
core_winders(PyObject *module, PyObject *depth)
{
    Py_ssize_t index = PyLong_AsSsize_t(depth);
    PyObject **place = index < 0 ? NULL : place_of_winders(core_state(module), index);
    if (place == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return Py_NewRef(place == NULL || *place == NULL ? Py_None : *place);
}

/* wound(tag): the same for the levels from the innermost out to the prompt with that tag, as a list; None
 * when nothing is kept there, or there is no such prompt. */
PyObject *
core_wound(PyObject *module, PyObject *tag)
{
    Fiber *fiber = fiber_running_here(PyThreadState_Get());
    Level *last = fiber == NULL ? NULL : level_find(fiber, tag), *level;
    bool any = false;
    for (level = last == NULL ? NULL : fiber_level(fiber); level != NULL; level = level == last ? NULL : level->below) {
        any = any || level->marks.winders != NULL;
    }
    if (!any) {
        Py_RETURN_NONE;
    }
    PyObject *list = PyList_New(0);
    for (level = fiber_level(fiber); list != NULL && level != NULL; level = level == last ? NULL : level->below) {
        if (PyList_Append(list, level->marks.winders == NULL ? Py_None : level->marks.winders) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* barrier(thunk): call it from C, across which nothing is captured, and nothing suspended. */
PyObject *
core_barrier(PyObject *Py_UNUSED(module), PyObject *thunk)
{
    Fiber *fiber = (Fiber *)Py_XNewRef((PyObject *)fiber_running_here(PyThreadState_Get()));
    if (fiber == NULL) {
        return PyObject_CallNoArgs(thunk);
    }
    fiber->barriers++;
    PyObject *result = PyObject_CallNoArgs(thunk);
    fiber->barriers--;
    Py_DECREF(fiber);
    return result;
}

/* set_winders(depth, winders) */
PyObject *
core_set_winders(PyObject *module, PyObject *args)
{
    Py_ssize_t depth;
    PyObject *winders;
    if (!PyArg_ParseTuple(args, "nO", &depth, &winders)) {
        return NULL;
    }
    PyObject **place = place_of_winders(core_state(module), depth);
    if (place == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (place != NULL) {
        Py_XSETREF(*place, winders == Py_None ? NULL : Py_NewRef(winders));
    }
    Py_RETURN_NONE;
}
