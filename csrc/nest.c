/* Fibers on the stacks of other fibers.
 *
 * The method `fiber.resume` is C code, and nothing is captured across that.  The stub `resume` needs none: it puts the
 * frames of a suspended fiber, the guest, on top of the running one's, above a prompt that has the guest as its tag.
 *
 *     host.inner --> [visit] --> [walk] --> | --> [main] <-- host.outermost
 *                    guest's frames         prompt, tag: guest
 *
 * `suspend` gives them back to the guest, and its value to the caller of `resume`.  Whatever is captured or suspended
 * further out takes them along.  So a guest is a place in the heap: reinstated twice, the frames go back to it
 * twice, and what it held before is dropped. */
#include "core.h"

/* The innermost of these levels whose frames are a guest's, or NULL. */
Level *
level_of_guest(CoreState *core, Level *level)
{
    while (level != NULL && (level->marks.tag == NULL || !PyObject_TypeCheck(level->marks.tag, core->fiber_type))) {
        level = level->below;
    }
    return level;
}

static Fiber *
guest_of(Level *level)
{
    return (Fiber *)level->marks.tag;
}

/* The fiber that runs the current code: the running fiber, or its innermost guest; NULL: none. */
Fiber *
fiber_or_guest(PyThreadState *ts)
{
    Fiber *fiber = fiber_running_here(ts);
    return fiber == NULL || fiber->guest == NULL ? fiber : guest_of(fiber->guest);
}

/* ---- the frames go on the host's stack --------------------------------------------------------- */

/* Can the fiber lie on another's stack? What is to happen around its runs takes a resume of its own. */
bool
guest_can_be(Fiber *fiber, PyObject *thrown)
{
    return fiber->context == NULL && (fiber->control == NULL || fiber->control->successor == NULL) &&
           !PyObject_TypeCheck(fiber, fiber->core->generator_type) && fiber->phase != FIBER_KEPT &&
           !(fiber->phase == FIBER_FRESH && thrown != Py_None);
}

/* The level that the guest's frames will be above, with the marks of its own level. */
static Level *
level_for(Fiber *guest)
{
    Marks marks = {.tag = (PyObject *)guest};
    if (guest->control != NULL) {
        marks.winders = guest->control->marks.winders;
        marks.state = guest->control->marks.state;
        marks.mask = guest->control->marks.mask;
    }
    return level_new(&marks);
}

/* Move frames and levels, above `base`, which is the host's innermost level. Cannot fail. */
static void
move_to_host(Fiber *host, Fiber *guest, Level *base)
{
    guest->outermost->outer = host->inner;
    parked_set_previous(guest->outermost);
    host->inner = guest->inner;
    host->depth += guest->depth;
    Level *lowest = guest->level;
    while (lowest != NULL && lowest->below != NULL) {
        lowest = lowest->below;
    }
    if (lowest != NULL) {
        lowest->below = base;
        lowest->exc.previous_item = &base->exc;
        levels_become(host, guest->level);
    }
    base->exc.exc_value = guest->exc.exc_value;
    guest->exc.exc_value = NULL;
    guest->inner = guest->outermost = NULL;
    guest->depth = 0;
    levels_become(guest, NULL);
}

/* The host is parked and held: put the guest's frames on its stack; a guest that has not begun is called there. */
int
guest_enter(Fiber *host, PyObject **operands, Next *next)
{
    Fiber *guest = (Fiber *)operands[0];
    if (fiber_check_idle(guest, "resume", operands[1]) < 0) {
        return -1;
    }
    if (guest->phase == FIBER_KEPT) {
        PyErr_Format(guest->core->fiber_error, "cannot resume %R: meanwhile it has been suspended behind a C call", guest);
        return -1;
    }
    if (!recursion_has_room(PyThreadState_Get(), host->depth + guest->depth)) {
        PyErr_Format(PyExc_RecursionError, "maximum recursion depth exceeded: no room for the frames of %R", guest);
        return -1;
    }
    Level *base = level_for(guest);
    if (base == NULL) {
        return -1;
    }
    level_push(host, base);
    if (guest->phase == FIBER_FRESH) {
        next->callee = Py_NewRef(guest->function);
        next->arguments = guest->arguments;
        next->keywords = guest->keywords;
        guest->arguments = guest->keywords = NULL;
    }
    else {
        move_to_host(host, guest, base);
        next->value = operands[2] == Py_None ? Py_NewRef(operands[1]) : NULL;
        next->thrown = operands[2] == Py_None ? NULL : Py_NewRef(operands[2]);
    }
    guest->phase = FIBER_GUEST;
    return 0;
}

static int
wrong_type(const char *what, PyObject *object)
{
    PyErr_Format(PyExc_TypeError, "expected %s, got %R", what, object);
    return -1;
}

/* Park the running fiber for the operation; false with an exception, or without one at a barrier if `quietly`. */
bool
park_for(Fiber *fiber, PyThreadState *ts, Frame *stub, Operation operation, PyObject **operands, bool quietly)
{
    Control *control = fiber_control(fiber);
    if (control == NULL ||
        (!fiber_park_again(fiber, ts, stub, OPERATING) && fiber_park(fiber, ts, quietly) <= 0)) {
        return false;
    }
    control->operation = operation;
    for (int i = 0; i < 3; i++) {
        control->operands[i] = Py_NewRef(operands[i]);
    }
    return true;
}

static PyObject *
resume_by_method(PyObject **operands)
{
    bool throws = operands[2] != Py_None;
    return fiber_run((Fiber *)operands[0], throws ? NULL : Py_NewRef(operands[1]), throws ? Py_NewRef(operands[2]) : NULL);
}

/* `~gate` in `resume(fiber, value, error)`. Where frames cannot be put on top of the caller's: the method. */
static PyObject *
resume(CoreState *core, PyThreadState *ts, Frame *stub, PyObject **operands)
{
    if (check_message(core, operands, "resume") < 0) {
        return NULL;
    }
    Fiber *fiber = fiber_running_here(ts);
    if (fiber != NULL && fiber->core == core && !fiber->suspending && guest_can_be((Fiber *)operands[0], operands[2])) {
        if (park_for(fiber, ts, stub, OPERATION_RESUME, operands, true)) {
            return Py_NewRef(Py_None);
        }
        if (PyErr_Occurred()) {
            return NULL;
        }
    }
    return resume_by_method(operands);
}

/* ---- and back to the guest ----------------------------------------------------------------------- */

/* Can it be given frames? What it holds is no obstacle: whoever reinstates a continuation twice goes on twice. */
static int
check_can_take(Fiber *guest)
{
    if (guest->phase == FIBER_ACTIVE || guest->phase == FIBER_HELD || guest->phase == FIBER_KEPT) {
        PyErr_Format(guest->core->fiber_error, "cannot suspend here: these frames belong to %R, which is in use elsewhere",
                     guest);
        return -1;
    }
    return 0;
}

/* All frames that the node stands for, in its stead: on it, a level may stand. */
static int
bring_up_all(Fiber *host, Parked **link)
{
    Parked *stand_in = stand_in_expand_all(host->core, link);
    if (stand_in == NULL) {
        return -1;
    }
    for (Level *level = host->level; level != NULL; level = level->below) {
        if (level->floor == stand_in) {
            level->floor = *link;
        }
    }
    host->floor = host->level->floor;
    if (link != &host->inner && !parked_is_stand_in((Parked *)link)) {
        parked_set_previous((Parked *)link); /* `outer` is its first member */
    }
    parked_free_node(stand_in);
    return 0;
}

/* The outermost of the frames above `base`: one that can be run, whatever stands for it. */
static Parked *
find_outermost(Fiber *host, Level *base)
{
    Parked **link = &host->inner;
    while ((*link)->outer != base->floor) {
        link = &(*link)->outer;
    }
    if (parked_is_stand_in(*link) && bring_up_all(host, link) < 0) {
        return NULL;
    }
    Parked *last = *link;
    while (last->outer != base->floor) {
        last = last->outer;
    }
    return last;
}

/* The frame below `base`, which will go on: one that can be run. */
static int
bring_up_floor(Fiber *host, Level *base, Parked *outermost)
{
    if (!parked_is_stand_in(base->floor)) {
        return 0;
    }
    Parked *floor = base->floor;
    Segment *unused = NULL;
    if (stand_in_expand(host->core, &floor, &unused) < 0) {
        return -1;
    }
    base->floor = outermost->outer = floor;
    host->floor = host->level->floor;
    parked_set_previous(outermost);
    Py_XDECREF(unused);
    return 0;
}

/* What the fiber held before goes; its destructors run last. */
static void
exchange(Fiber *guest, Parked *inner, Parked *outermost, Py_ssize_t depth, Level *level, PyObject *handled)
{
    Parked *old = guest->inner;
    Level *levels = guest->level;
    PyObject *old_handled = guest->exc.exc_value, *result = guest->result, *arguments = guest->arguments,
             *keywords = guest->keywords;
    guest->result = guest->arguments = guest->keywords = NULL;
    guest->inner = inner;
    guest->outermost = outermost;
    guest->depth = depth;
    guest->exc.exc_value = handled;
    levels_become(guest, level);
    guest->phase = inner != NULL ? FIBER_PARKED : FIBER_DEAD;
    parked_clear_chain(old);
    levels_free(levels);
    Py_XDECREF(old_handled);
    Py_XDECREF(result);
    Py_XDECREF(arguments);
    Py_XDECREF(keywords);
}

/* Take the level and all above it off the host. Its frames are not the host's any more. Cannot fail. */
static Level *
take_levels(Fiber *host, Fiber *guest, Level *base)
{
    Level *above = NULL;
    if (host->level != base) {
        above = host->level;
        Level *lowest = above;
        while (lowest->below != base) {
            lowest = lowest->below;
        }
        lowest->below = NULL;
        lowest->exc.previous_item = &guest->exc;
    }
    levels_become(host, base->below);
    return above;
}

/* The host is parked and held: give the frames above the guest's prompt back to it, with their marks. */
int
guest_leave(Fiber *host, Fiber *guest)
{
    Level *base = level_find(host, (PyObject *)guest);
    Control *control = fiber_control(guest);
    Parked *outermost = control == NULL ? NULL : find_outermost(host, base);
    if (outermost == NULL || bring_up_floor(host, base, outermost) < 0 || check_can_take(guest) < 0) {
        return -1;
    }
    Parked *inner = host->inner;
    Marks old = control->marks;
    host->inner = base->floor;
    outermost->outer = NULL;
    frame_set_previous(&outermost->frame, NULL);
    Py_ssize_t depth = 0;
    for (Parked *node = inner; node != NULL; node = node->outer) {
        depth += parked_count(node);
    }
    host->depth -= depth;
    Level *above = take_levels(host, guest, base);
    control->marks = base->marks;
    control->marks.tag = NULL;
    exchange(guest, inner, outermost, depth, above, base->exc.exc_value);
    marks_clear(&old);
    PyMem_Free(base);
    Py_DECREF(guest); /* the tag */
    return 0;
}

/* The frames above a guest's prompt have ended, with this value (NULL: by an exception, which the caller keeps). */
void
guest_end(Fiber *guest, PyObject *value)
{
    if (guest->phase == FIBER_ACTIVE || guest->phase == FIBER_HELD || guest->phase == FIBER_KEPT) {
        return;
    }
    Py_INCREF(guest);
    exchange(guest, NULL, NULL, 0, NULL, NULL);
    guest->result = Py_XNewRef(value);
    Py_DECREF(guest);
}

/* The host is parked and held: who is on top of it, if anyone, gets its frames back, and another fiber comes there. */
int
guest_exchange(Fiber *host, PyObject **operands, Next *next)
{
    if (fiber_check_idle((Fiber *)operands[0], "transfer to", operands[1]) < 0 ||
        (host->guest != NULL && guest_leave(host, guest_of(host->guest)) < 0)) {
        return -1;
    }
    return guest_enter(host, operands, next);
}

/* `suspend` in a guest. */
PyObject *
guest_suspend(Fiber *host, PyThreadState *ts, Frame *stub, PyObject *guest, PyObject *value)
{
    PyObject *operands[3] = {guest, value, Py_None};
    if (check_can_take((Fiber *)guest) < 0 || !park_for(host, ts, stub, OPERATION_LEAVE, operands, false)) {
        return NULL;
    }
    return Py_NewRef(Py_None);
}

/* ---- the gates ------------------------------------------------------------------------------------- */

PyObject *
gate_resume(PyObject *gate)
{
    PyThreadState *ts = PyThreadState_Get();
    Frame *stub = gate_stub(gate, ts, STUB_RESUME);
    PyObject *operands[3];
    if (stub == NULL) {
        return NULL;
    }
    read_operands(stub, 0, operands);
    PyObject *result = resume(((Gate *)gate)->core, ts, stub, operands);
    drop_operands(operands);
    return result;
}

/* The fiber to suspend is not the running one, nor a guest of it. */
static PyObject *
raise_out_of_reach(CoreState *core, PyObject *fiber)
{
    if (!PyObject_TypeCheck(fiber, core->fiber_type)) {
        (void)wrong_type("a fiber", fiber);
        return NULL;
    }
    return prompt_not_found(core, fiber);
}

/* What the stub was called with, a new reference: None where a debugger has unbound it. */
static PyObject *
argument(Frame *stub, int index)
{
    PyObject *object = slot_object(frame_slots(stub)[index]);
    return Py_NewRef(object == NULL ? Py_None : object);
}

/* `~gate` in `suspend_to(fiber, value)`. */
PyObject *
gate_suspend_to(PyObject *gate)
{
    CoreState *core = ((Gate *)gate)->core;
    PyThreadState *ts = PyThreadState_Get();
    Frame *stub = gate_stub(gate, ts, STUB_SUSPEND_TO);
    if (stub == NULL) {
        return NULL;
    }
    PyObject *target = argument(stub, 0), *value = argument(stub, 1), *result;
    Fiber *fiber = fiber_running_here(ts);
    if (fiber != NULL && fiber->core == core && !fiber->suspending && PyObject_TypeCheck(target, core->fiber_type) &&
        level_find(fiber, target) != NULL) {
        result = guest_suspend(fiber, ts, stub, target, value);
    }
    else if (fiber != NULL && (PyObject *)fiber == target) {
        result = fiber_suspend(core, ts, Py_NewRef(value), true);
    }
    else {
        result = raise_out_of_reach(core, target);
    }
    Py_DECREF(target);
    Py_DECREF(value);
    return result;
}
