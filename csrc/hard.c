/* Hard suspension: where C code waits for a function of the fiber, the stack that they are on is kept.
 *
 * Soft suspension moves Python frames and leaves the evaluator; C code cannot be left so.  But a fiber runs on a C stack of
 * its own (cstack.c), and that can be left as it stands: whoever resumed the fiber goes on, on his stack, with what the
 * thread state held when he did.  What it holds of the fiber is taken off the thread, and put on again by the next resume:
 *
 *     frames                   resumer's <- | parked ones <- those kept ... <- suspend's, whose `~` waits
 *     exceptions handled       resumer's <- | the fiber's own <- levels' and generators'
 *     contexts                 resumer's <- | those that Context.run() has entered
 *     active fibers            resumer's <- | this one <- those that run a prompt() for its C code
 *     what is counted          Python frames; for each C stack, C recursion and nested destructors
 *
 * Such a fiber cannot be copied or stored: nobody knows what C code keeps on its stack.  It belongs to its thread. */
#include "core.h"

/* Is this code on that stack? Destructors that the driver runs between two frames are on the resumer's. */
static NOINLINE bool
is_on_stack(CStack *stack)
{
    char *here = __builtin_frame_address(0);
    return here >= stack->low && here < stack->high;
}

/* The fiber that can be kept while `fiber` runs: that one, or where it runs a prompt() for C code, the one whose C code it
 * is; or NULL, without an exception. */
Fiber *
hard_find(Fiber *fiber, PyThreadState *ts)
{
    if (fiber_active_here != fiber || !cstacks_are_safe(fiber->core) || thread_must_stay(ts) != NULL) {
        return NULL; /* greenlet has switched to another stack, or could */
    }
    while (fiber->is_root && fiber->barriers == 0 && fiber->next_active != NULL) {
        fiber = fiber->next_active;
    }
    if (fiber->is_root || fiber->barriers != 0 || !fiber_is_of_thread(fiber, ts)) {
        return NULL;
    }
    CStack *stack = fiber->resumption->stack;
    return stack != NULL && is_on_stack(stack) ? fiber : NULL;
}

/* can_wait(): would `suspend` behind a C call keep the running fiber's stack? */
PyObject *
core_can_wait(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    PyThreadState *ts = PyThreadState_Get();
    Fiber *fiber = fiber_running_here(ts);
    bool can = fiber != NULL && fiber->core == core_state(module) && !fiber->suspending && fiber->guest == NULL &&
               !fiber->is_script && hard_find(fiber, ts) != NULL;
    return PyBool_FromLong(can);
}

/* A walk over the frames that lie on the stack of `fiber`, from the innermost one outward. Those that wait on the heap are no
 * part of it, neither the fiber's own nor those of the fibers that run a prompt() for its C code, from `active` on. */
typedef struct {
    Fiber *fiber, *active;
    Frame *frame;
} Stretch;

static Frame *
stretch_next(Stretch *walk)
{
    Frame *next = frame_previous(walk->frame);
    for (;; walk->active = walk->active->next_active) {
        Parked *inner = walk->active->inner;
        Frame *beyond = walk->active->resumption->frame;
        if (next != beyond && (inner == NULL || next != inner->place)) {
            return walk->frame = next;
        }
        if (walk->active == walk->fiber) {
            return walk->frame = NULL;
        }
        next = beyond;
    }
}

static Frame *
outermost_kept(Fiber *fiber, Frame *innermost)
{
    Stretch walk = {fiber, fiber_active_here, innermost};
    Frame *last;
    do {
        last = walk.frame;
    } while (stretch_next(&walk) != NULL);
    return last;
}

/* Cut the frames off those of the resumer. */
static void
detach_frames(Fiber *fiber, Kept *kept, Frame *innermost)
{
    kept->outermost = fiber->inner != NULL ? &fiber->outermost->frame : outermost_kept(fiber, innermost);
    frame_set_previous(kept->outermost, NULL);
}

/* Give the thread back to the resumer. Cannot fail, and runs nothing. */
static ALWAYS_INLINE void
detach(Fiber *fiber, PyThreadState *ts, CStack *stack)
{
    Resumption *resumption = fiber->resumption;
    Kept *kept = &stack->kept;
    detach_frames(fiber, kept, thread_frame(ts));
    evaluations_detach(ts, &kept->evaluations, stack->low, stack->high);
    thread_set_frame(ts, resumption->frame);
    kept->handling = ts->exc_info;
    ts->exc_info = fiber->exc.previous_item;
    kept->context = fiber->owns_context ? NULL : contexts_detach(ts, resumption->context);
    kept->events = thread_events(ts);
    recursion_save(ts, &kept->recursion);
    recursion_restore(ts, &resumption->recursion);
    thread_stack_save(ts, &kept->stack);
    thread_stack_put(ts, &resumption->outer);
    kept->active = fiber_active_here;
    fiber_active_here = fiber->next_active;
    fiber->core->kept++;
    fiber->phase = FIBER_KEPT;
}

/* Code that was instrumented for other events than those that are set now. */
static void
bring_up_to_date(Fiber *fiber, PyThreadState *ts, Kept *kept)
{
    Stretch walk = {fiber, kept->active, evaluations_innermost(&kept->evaluations)};
    for (Frame *f = walk.frame; f != NULL; f = stretch_next(&walk)) {
        if (frame_is_generator(f) || frame_is_plain(f)) {
            frame_hear_of_events(ts, f);
        }
    }
}

/* The counts of frames that were taken on this stack begin with those of the resumer, which may be others now. */
static void
attach_recursion(Fiber *fiber, PyThreadState *ts, Kept *kept)
{
    Resumption *resumption = fiber->resumption;
    Recursion now;
    recursion_save(ts, &now);
    int by = recursion_beyond(&now, &resumption->recursion);
    for (Fiber *active = kept->active; active != fiber; active = active->next_active) {
        recursion_shift(&active->resumption->recursion, by);
    }
    recursion_shift(&kept->recursion, by);
    resumption->recursion = now;
    recursion_restore(ts, &kept->recursion);
}

/* Give the thread to the fiber, which is kept. Cannot fail. */
static ALWAYS_INLINE void
attach(Fiber *fiber, PyThreadState *ts)
{
    Resumption *resumption = fiber->resumption;
    Kept *kept = &resumption->stack->kept;
    if (UNLIKELY(kept->events != thread_events(ts))) {
        bring_up_to_date(fiber, ts, kept);
    }
    resumption->frame = thread_frame(ts);
    resumption->context = ts->context;
    resumption->events = thread_events(ts);
    frame_set_previous(kept->outermost, resumption->frame);
    attach_recursion(fiber, ts, kept);
    thread_stack_save(ts, &resumption->outer);
    thread_stack_put(ts, &kept->stack);
    if (fiber->inner != NULL) {
        thread_set_frame(ts, fiber->inner->place); /* that called the evaluation, to which it will return */
    }
    evaluations_attach(ts, &kept->evaluations);
    fiber->exc.previous_item = ts->exc_info;
    ts->exc_info = kept->handling;
    contexts_attach(ts, kept->context);
    kept->context = NULL;
    fiber->next_active = fiber_active_here;
    fiber_active_here = kept->active;
    fiber->core->kept--;
    fiber->phase = FIBER_ACTIVE;
}

/* Where the outermost of the prompts that stand between the two was made. */
static Barrier
barrier_of_prompts(Fiber *running, Fiber *kept)
{
    while (running->next_active != kept) {
        running = running->next_active;
    }
    return (Barrier){.frame = frame_first_real(running->resumption->frame)};
}

void
hard_attach(Fiber *fiber, PyThreadState *ts)
{
    attach(fiber, ts);
}

/* Leave the stack: what the fiber is resumed with. */
static ALWAYS_INLINE PyObject *
wait_here(Fiber *fiber, PyThreadState *ts, CStack *stack, PyObject *value)
{
    detach(fiber, ts, stack);
    fiber->suspending = KEEPING;
    return cstack_leave(stack, value);
}

/* Suspend `fiber`, which hard_find has found for the running one: its resume returns `value`, or *next goes on instead of it
 * (else NULL). Steals both. Returns what it is resumed with; NULL with an exception, if that was thrown. */
IN_FRAME_OF_ITS_OWN PyObject *
hard_suspend(Fiber *fiber, Fiber *running, PyThreadState *ts, PyObject *value, const Next *next, const Barrier *barrier)
{
    CStack *stack = fiber->resumption->stack;
    stack->kept.barrier = fiber == running ? *barrier : barrier_of_prompts(running, fiber);
    if (next != NULL) {
        stack->run.next = *next;
    }
    return wait_here(fiber, ts, stack, value);
}

/* How many frames it has beside those that are parked. */
Py_ssize_t
hard_depth(Fiber *fiber)
{
    return recursion_beyond(&fiber->resumption->stack->kept.recursion, &fiber->resumption->recursion);
}

/* ---- the shortcuts ---------------------------------------------------------------------------
 *
 * After a switch the processor does not know where `ret` goes: what returns through few functions is fast. */

/* Does C code stand between the running fiber and its prompt? False: perhaps not, see find_base in suspend.c. */
static ALWAYS_INLINE bool
finds_c_code(Fiber *fiber, Frame *frame, Barrier *barrier)
{
    bool begins = fiber->active == NULL;
    if (begins && fiber->is_direct && fiber->first_place == NULL) {
        return false;
    }
    while (!frame_called_by_c(frame)) {
        frame = frame_previous(frame);
        if (frame_is_generator(frame) || (!begins && frame == &fiber->active->frame)) {
            return false;
        }
    }
    if (begins && ((fiber->is_direct && (PyObject **)frame == fiber->first_place) || frame == fiber->resumption->batch)) {
        return false;
    }
    barrier->frame = frame_first_real(frame_beyond_c(frame));
    barrier->is_body = begins && fiber->inner == NULL && frame_beyond_c(frame) == fiber->resumption->frame;
    return true;
}

/* For `~gate` in `suspend`: is it behind C code that the running fiber suspends, on its own stack? */
bool
hard_is_next(Fiber *fiber, CoreState *core, Stub which)
{
    PyThreadState *ts = fiber->ts;
    Frame *stub = thread_frame(ts);
    CStack *stack = fiber->resumption->stack;
    return stack != NULL && is_on_stack(stack) && stub != NULL && (PyObject *)frame_code(stub) == core->stub_codes[which] &&
           !fiber->suspending && fiber->barriers == 0 && cstacks_are_safe(core) && thread_must_stay(ts) == NULL &&
           frame_first_local(stub) != NULL && finds_c_code(fiber, stub, &stack->kept.barrier);
}

/* Then suspend it, with the stub's only local. */
RETURNS_BY_JUMP IN_FRAME_OF_ITS_OWN PyObject *
hard_suspend_next(Fiber *fiber)
{
    PyThreadState *ts = fiber->ts;
    PyObject *value = slot_take(&frame_slots(thread_frame(ts))[0]);
    return wait_here(fiber, ts, fiber->resumption->stack, value);
}

static NOINLINE PyObject *
resume_slowly(Fiber *fiber, PyObject *value)
{
    return fiber_run(fiber, Py_NewRef(value), NULL);
}

/* Give `value` to a fiber that is kept, and has no context of its own. */
RETURNS_BY_JUMP IN_FRAME_OF_ITS_OWN PyObject *
fiber_resume_kept(Fiber *fiber, PyObject *value)
{
    PyThreadState *ts = thread_running(&fiber->core->finder);
    CStack *stack = fiber->resumption->stack;
    Run *run = &stack->run;
    if (UNLIKELY(!fiber_is_of_thread(fiber, ts) || !recursion_has_room(ts, fiber->depth + hard_depth(fiber)))) {
        return resume_slowly(fiber, value);
    }
    run->fiber = (Fiber *)Py_NewRef((PyObject *)fiber);
    attach(fiber, ts);
    PyObject *result = cstack_enter(stack, Py_NewRef(value));
    fiber = run->resumption.fiber;
    if (UNLIKELY(fiber->suspending != KEEPING || result == NULL)) {
        return run_left(run, ts, result);
    }
    callers_hear_of_events(ts, &run->resumption);
    fiber->suspending = RUNNING;
    run->fiber = NULL;
    Py_DECREF(fiber);
    return result;
}

/* ---- a fiber that is kept ------------------------------------------------------------------- */

static int
visit_call(Call *call, visitproc visit, void *arg)
{
    Py_VISIT(call->function);
    Py_VISIT(call->few[0]);
    Py_VISIT(call->few[1]);
    Py_VISIT(call->arguments);
    Py_VISIT(call->keywords);
    return 0;
}

/* What its Python frames hold, as far as that is known; what C code holds is not. */
int
hard_traverse(Fiber *fiber, visitproc visit, void *arg)
{
    CStack *stack = fiber->resumption->stack;
    Stretch walk = {fiber, stack->kept.active, evaluations_innermost(&stack->kept.evaluations)};
    int stop = visit_call(&stack->run.call, visit, arg);
    for (Frame *f = walk.frame; stop == 0 && f != NULL; f = stretch_next(&walk)) {
        if (frame_is_plain(f) && frame_is_complete(f)) {
            stop = frame_visit_running(f, visit, arg);
        }
    }
    if (stop != 0) {
        return stop;
    }
    Py_VISIT(stack->kept.context);
    return 0;
}

/* The innermost frame that it has. */
Frame *
hard_innermost(Fiber *fiber)
{
    return evaluations_innermost(&fiber->resumption->stack->kept.evaluations);
}

/* kept(): how many fibers wait with their C stacks; kept(fiber): is it one of these, and of this thread? */
PyObject *
core_kept(PyObject *module, PyObject *args)
{
    PyObject *object = NULL;
    if (!PyArg_ParseTuple(args, "|O", &object)) {
        return NULL;
    }
    CoreState *core = core_state(module);
    if (object == NULL) {
        return PyLong_FromSsize_t(core->kept);
    }
    Fiber *fiber = (Fiber *)object;
    return PyBool_FromLong(PyObject_TypeCheck(object, core->fiber_type) && fiber->phase == FIBER_KEPT &&
                           fiber_is_of_thread(fiber, PyThreadState_Get()));
}

/* It cannot be copied, or stored: the error says what C code waits in it. */
void
raise_kept(Fiber *fiber, const char *verb)
{
    PyObject *describe = core_hook(fiber->core, "describe_kept");
    PyObject *place = describe == NULL ? NULL : barrier_place(fiber, &fiber->resumption->stack->kept.barrier);
    PyObject *text = place == NULL ? NULL : PyObject_CallObject(describe, place);
    Py_XDECREF(place);
    if (text != NULL) {
        PyErr_Format(fiber->core->fiber_error, "cannot %s %R: %U", verb, fiber, text);
        Py_DECREF(text);
    }
}

/* ---- dropped, on another thread ----------------------------------------------------------------- */

/* It can be closed on its thread only: it waits for that. Steals a reference. */
void
hard_abandon(Fiber *fiber)
{
    fiber->next_active = fiber->core->abandoned;
    fiber->core->abandoned = fiber;
}

/* Close those of this thread. */
void
hard_close_abandoned(CoreState *core, PyThreadState *ts)
{
    Fiber **link = &core->abandoned;
    while (*link != NULL) {
        Fiber *fiber = *link;
        if (fiber_is_of_thread(fiber, ts)) {
            *link = fiber->next_active;
            Py_DECREF(fiber); /* which closes it */
            link = &core->abandoned;
        }
        else {
            link = &fiber->next_active;
        }
    }
}
