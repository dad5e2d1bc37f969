/* Clauses called in place: those that resume in tail position, and do nothing else with the resumption.
 *
 * For such a clause (effects/tails.py finds out which) `perform` captures nothing. It calls it with a resumption
 * that is only promised: `k.resume(value)` is the value, the clause returns it, and then `perform` does.
 *
 *     fiber.inner --> [perform] --> [program] --> | --> [handle] --> ...        and, called by perform: [clause] --> [note]
 *
 * While it runs, nobody may find the program on the stack, for by the rules it has been captured. So whatever is about
 * to look at the stack's levels begins outside of the handler's (fiber_level), and whatever parks frames captures
 * the program first, late: `k` gets it, and the clause's frames go on where they would have been called.
 *
 *     fiber.inner --> [note] --> [clause] --> | --> [handle] --> ...        k: [perform] --> [program]
 *
 * That cannot fail for what the stack looks like, because that is checked before. Where it could not be done,
 * the clause is called in the usual way, which says why. */
#include "core.h"

#include <structmember.h>

enum { MOST_FRAMES = 16 };  /* not checked more than so many at each operation: captured once, they are parked */

/* ---- what is Python's ------------------------------------------------------------------------------ */

static PyObject **
place_in(PyObject *object, Py_ssize_t offset)
{
    return (PyObject **)((char *)object + offset);
}

static int
find_place(PyObject *type, const char *name, Py_ssize_t *offset)
{
    PyObject *member = PyObject_GetAttrString(type, name);
    bool is_slot = member != NULL && Py_IS_TYPE(member, &PyMemberDescr_Type);
    if (is_slot) {
        *offset = ((PyMemberDescrObject *)member)->d_member->offset;
    }
    else if (member != NULL) {
        PyErr_Format(PyExc_TypeError, "%R has no slot %s", type, name);
    }
    Py_XDECREF(member);
    return is_slot ? 0 : -1;
}

/* k.resume or k.tail_resume, where that is more than to put down a value. A clause whose program has been captured late
 * returns what it calls, so that can be what tail_resume returns: the program is not run behind C code. */
static NOINLINE PyObject *
resume_captured(PyObject *k, PyObject *const *arguments, Py_ssize_t count, const char *method)
{
    if (count > 1) {
        return PyErr_Format(PyExc_TypeError, "%s() takes one value, not %zd", method, count);
    }
    PyObject *usual = PyObject_GetAttrString((PyObject *)Py_TYPE(k), "kept"), *stack[2] = {k, count > 0 ? arguments[0] : NULL};
    Fiber *fiber = fiber_active_here;
    if (fiber != NULL) {
        PyObject *clause = *place_in(k, fiber->core->promises.of_function);
        Frame *caller = thread_frame(fiber->ts);
        if (clause != NULL && PyFunction_Check(clause) && caller != NULL &&
            PyFunction_GET_CODE(clause) == (PyObject *)frame_code(caller)) {
            method = "tail_resume";
        }
    }
    PyObject *function = usual == NULL ? NULL : PyObject_GetAttrString(usual, method);
    PyObject *result = function == NULL ? NULL : PyObject_Vectorcall(function, stack, (size_t)(1 + count), NULL);
    Py_XDECREF(usual);
    Py_XDECREF(function);
    return result;
}

static inline PyObject *
resume_promised(PyObject *k, PyObject *const *arguments, Py_ssize_t count, const char *method)
{
    Fiber *fiber = fiber_active_here;
    if (LIKELY(count <= 1 && fiber != NULL && fiber->control != NULL && fiber->control->in_place.k == k)) {
        fiber->control->in_place.is_resumed = true;
        return Py_NewRef(count == 0 ? Py_None : arguments[0]);
    }
    return resume_captured(k, arguments, count, method);
}

static PyObject *
promise_resume(PyObject *k, PyObject *const *arguments, Py_ssize_t count)
{
    return resume_promised(k, arguments, count, "resume");
}

static PyObject *
promise_tail_resume(PyObject *k, PyObject *const *arguments, Py_ssize_t count)
{
    return resume_promised(k, arguments, count, "tail_resume");
}

/* Methods in C: from a clause, they are called with fewer instructions than a function in Python takes to begin. */
static int
add_methods(PyObject *type)
{
    static PyMethodDef methods[] = {
        {"resume", (PyCFunction)(void (*)(void))promise_resume, METH_FASTCALL, NULL},
        {"tail_resume", (PyCFunction)(void (*)(void))promise_tail_resume, METH_FASTCALL, NULL},
    };
    int failed = 0;
    for (int i = 0; i < 2 && !failed; i++) {
        PyObject *method = PyDescr_NewMethod((PyTypeObject *)type, &methods[i]);
        failed = method == NULL || PyObject_SetAttrString(type, methods[i].ml_name, method) < 0;
        Py_XDECREF(method);
    }
    return failed ? -1 : 0;
}

/* The two classes of what a clause is promised. */
static int
add_promise(Promises *known, PyObject *type)
{
    if (add_methods(type) < 0) {
        return -1;
    }
    Py_XSETREF(known->kinds[0], known->kinds[1]);
    known->kinds[1] = (PyTypeObject *)Py_NewRef(type);
    return 0;
}

/* Classes of effects/: 1 if it is one of them, else 0; -1 with an exception. */
int
in_place_register(CoreState *core, PyObject *name, PyObject *type)
{
    Promises *known = &core->promises;
    if (PyUnicode_CompareWithASCIIString(name, "resumption") == 0) {
        return find_place(type, "_captured", &known->captured) < 0 || find_place(type, "_function", &known->of_function) < 0 ? -1 : 1;
    }
    if (PyUnicode_CompareWithASCIIString(name, "promise") == 0 && PyType_Check(type)) {
        return add_promise(known, type) < 0 ? -1 : 1;
    }
    if (PyUnicode_CompareWithASCIIString(name, "update") == 0) {
        if (find_place(type, "function", &core->updates.function) < 0) {
            return -1;
        }
        Py_XSETREF(core->updates.type, (PyTypeObject *)Py_NewRef(type));
        return 1;
    }
    if (PyUnicode_CompareWithASCIIString(name, "in_place") == 0) {
        if (find_place(type, "function", &known->function) < 0 || find_place(type, "k", &known->k) < 0 ||
            find_place(type, "code", &known->code) < 0) {
            return -1;
        }
        Py_XSETREF(known->type, (PyTypeObject *)Py_NewRef(type));
        return 1;
    }
    return 0;
}

/* What a clause with state calls; NULL with an exception. */
PyObject *
updates_function(CoreState *core, PyObject *answer)
{
    PyObject *function = *place_in(answer, core->updates.function);
    if (function == NULL) {
        PyErr_SetString(PyExc_AttributeError, "function");
    }
    return Py_XNewRef(function);
}

/* ---- begin and end --------------------------------------------------------------------------------- */

/* Is there nothing in these levels, nor in what the clause would be called in, that it could tell them by? */
static bool
levels_are_simple(Fiber *fiber, Level *last)
{
    for (Level *level = fiber->level;; level = level->below) {
        if (level == fiber->guest || is_handling(&level->exc)) {
            return false;
        }
        if (level == last) {
            return !is_handling(level->exc.previous_item);
        }
    }
}

/* Is it one that the core can put a captured program into? */
static inline bool
is_promise(const Promises *known, PyObject *k)
{
    return k != NULL && (Py_IS_TYPE(k, known->kinds[0]) || Py_IS_TYPE(k, known->kinds[1]));
}

/* Can the clause be called in place, by this stub, for a handler whose level is `last`? 1, 0, or -1 with an exception. */
int
in_place_can_begin(Fiber *fiber, PyThreadState *ts, Frame *stub, Level *last, PyObject *answer)
{
    Promises *known = &fiber->core->promises;
    PyObject *function = *place_in(answer, known->function);
    Control *control = fiber_control(fiber);
    if (control == NULL) {
        return -1;
    }
    if (control->in_place.stub != NULL || fiber->suspending || !is_promise(known, *place_in(answer, known->k)) || function == NULL ||
        !PyFunction_Check(function) || PyFunction_GET_CODE(function) != *place_in(answer, known->code) ||
        !levels_are_simple(fiber, last)) {
        return 0;
    }
    return fiber_could_park(fiber, ts, stub, MOST_FRAMES);
}

/* The clause's function, to be called with *k, which the stub's local `first` will be. The mask is there already. Steals the answer. */
PyObject *
in_place_begin(Fiber *fiber, Frame *stub, Level *last, PyObject *answer, PyObject **k)
{
    Promises *known = &fiber->core->promises;
    PyObject **kept = place_in(answer, known->k);
    InPlace *in_place = &fiber->control->in_place;
    in_place->k = *kept;
    in_place->stub = stub;
    in_place->last = last;
    in_place->answer = answer;
    in_place->mask = fiber->level->marks.mask;
    in_place->is_resumed = false;
    *kept = NULL;
    *k = Py_NewRef(in_place->k);
    return Py_NewRef(*place_in(answer, known->function));
}

/* The stub has no more use for k. Of what its locals have held, *old is to be released afterwards. */
static inline void
forget_k(Frame *stub, FrameSlot old[2])
{
    FrameSlot *locals = frame_slots(stub);
    old[0] = locals[PERFORM_FIRST];
    locals[PERFORM_FIRST] = slot_of(Py_NewRef(Py_None));
    old[1] = slot_empty();
    if (UNLIKELY(slot_object(locals[PERFORM_REST]) != Py_None)) {
        old[1] = locals[PERFORM_REST];
        locals[PERFORM_REST] = slot_of(Py_NewRef(Py_None));
    }
}

/* The stub is about to return: what was promised will not be asked for, unless somebody has kept k. */
void
in_place_end(Fiber *fiber)
{
    InPlace *in_place = &fiber->control->in_place;
    Frame *stub = in_place->stub;
    PyObject *k = in_place->k, *answer = in_place->answer, **kept = place_in(answer, fiber->core->promises.k);
    FrameSlot old[2];
    in_place->stub = NULL;
    in_place->k = in_place->answer = NULL;
    forget_k(stub, old);
    if (LIKELY(slot_object(old[0]) == k && slot_counts(old[0]))) {
        drop_shared(k);
    }
    else {
        slot_release(old[0]);
    }
    slot_release(old[1]);
    if (LIKELY(*kept == NULL && is_held_once(k))) {
        *kept = k; /* for the next time */
    }
    else {
        Py_DECREF(k);
    }
    drop(answer);
}

void
in_place_clear(InPlace *in_place)
{
    InPlace old = *in_place;
    *in_place = (InPlace){0};
    Py_XDECREF(old.k);
    Py_XDECREF(old.answer);
}

int
in_place_traverse(InPlace *in_place, visitproc visit, void *arg)
{
    Py_VISIT(in_place->k);
    Py_VISIT(in_place->answer);
    return 0;
}

/* ---- captured late --------------------------------------------------------------------------------- */

/* Of the masks from `mask` inward to `own`, which it does not belong to, the same as seen from outside of so many levels,
 * on top of `before`. *made is NULL where there are none. */
static int
masks_from_outside(PyObject *mask, PyObject *own, Py_ssize_t levels, PyObject *before, PyObject **made)
{
    Py_ssize_t count = 0;
    *made = NULL;
    for (PyObject *each = mask; each != own; each = PyTuple_GET_ITEM(each, 2)) {
        count++;
    }
    if (count == 0) {
        return 0;
    }
    PyObject **masks = PyMem_Malloc(count * sizeof(PyObject *));
    if (masks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++, mask = PyTuple_GET_ITEM(mask, 2)) {
        masks[i] = mask;
    }
    *made = Py_NewRef(before == NULL ? Py_None : before);
    while (count-- > 0 && *made != NULL) {
        Py_ssize_t passed = PyLong_AsSsize_t(PyTuple_GET_ITEM(masks[count], 0));
        *made = Py_BuildValue("nON", passed - levels, PyTuple_GET_ITEM(masks[count], 1), *made);
    }
    PyMem_Free(masks);
    return *made == NULL ? -1 : 0;
}

static Marks *
marks_outside(Fiber *fiber, Level *last)
{
    return last->below != NULL ? &last->below->marks : &fiber->control->marks;
}

/* Make what in_place_split needs, for frames that this stub is to park. */
int
in_place_prepare(Fiber *fiber, Frame *stub, Split *split)
{
    InPlace *now = &fiber->control->in_place;
    Py_ssize_t levels = 1;
    for (Level *level = fiber->level; level != now->last; level = level->below) {
        levels++;
    }
    for (Frame *frame = frame_previous(stub); frame != now->stub; frame = frame_previous(frame)) {
        split->frames++;
    }
    int was_enabled = hold_collector();
    split->k = continuation_new(fiber->core, levels);
    if (split->k != NULL && masks_from_outside(fiber->level->marks.mask, now->mask, levels,
                                               marks_outside(fiber, now->last)->mask, &split->mask) < 0) {
        Py_CLEAR(split->k);
    }
    let_collect(was_enabled);
    return split->k == NULL ? -1 : 0;
}

void
in_place_give_up(Split *split)
{
    Py_CLEAR(split->k);
    Py_CLEAR(split->mask);
}

/* All frames are parked. Take those of the program out from under those of the clause. Cannot fail. */
void
in_place_split(Fiber *fiber, PyThreadState *ts, Split *split)
{
    InPlace done = fiber->control->in_place;
    Marks *outside = marks_outside(fiber, done.last), *inside = &fiber->level->marks;
    Parked *inner = fiber->inner, **link = &inner, *last = NULL;
    PyObject *masks = inside->mask, *handled = fiber->level->exc.exc_value;
    FrameSlot old[2];
    fiber->control->in_place = (InPlace){0};
    for (; split->frames > 0; split->frames--) {
        last = *link;
        link = &last->outer;
    }
    Parked *stub = *link;
    inside->mask = Py_NewRef(done.mask);
    fiber->level->exc.exc_value = NULL;
    if (split->mask != NULL) {
        Py_XSETREF(outside->mask, split->mask); /* the new one holds the old one */
    }
    fiber->inner = stub;
    continuation_take(fiber, split->k);
    *link = fiber->inner;
    fiber->inner = inner;
    if (last != NULL) {
        parked_set_previous(last);
        frame_own(&last->frame);
    }
    _PyErr_StackItem *item = fiber->handling;
    PyObject *none = item->exc_value; /* levels_are_simple */
    item->exc_value = handled;
    ts->exc_info = item;
    forget_k(&stub->frame, old);
    slot_put(&frame_slots(&stub->frame)[PERFORM_WAY], slot_of(Py_NewRef(Py_False)));
    Py_XSETREF(*place_in(done.k, fiber->core->promises.captured), (PyObject *)split->k); /* it was Ellipsis */
    Py_XDECREF(none);
    Py_XDECREF(masks);
    Py_DECREF(done.answer);
    Py_DECREF(done.k);
    slot_release(old[0]);
    slot_release(old[1]);
}
