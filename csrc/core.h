/* The C core of Stackful: fibers on CPython's own frames.
 *
 *   parked.[c]   frames that wait on the heap: allocate, clear, traverse, clone
 *   running.c    which fiber runs here
 *   cstack.c     C stacks for fibers: made, kept in a pool; cstack.h: going from one to another
 *   resume.c     run a fiber: its parked frames, innermost first, one evaluation each
 *   batch.c      frames of a segment that are run together
 *   drive.c      resume fibers: a stack for each, and who goes on after it
 *   awaiting.c   what `await_` goes through, step by step
 *   gates.c      where the stubs, the Python functions that leave the loop, enter
 *   suspend.c    park the running frames and leave the interpreter loop; barriers
 *   hard.c       keep the C stack instead, where C code stands in between
 *   switch.c     transfers that need not leave the interpreter loop
 *   listeners.c  what trace functions hear of exceptions that go outward
 *   levels.c     prompts on a fiber's stack: push, pop, find, clone
 *   handlers.c   which prompts handle an operation, and which are out of force for a while
 *   perform.c    the gates of `perform`, which calls what answers
 *   in_place.c   clauses called without capturing the program, and what captures it late
 *   segment.c    captured pieces of a stack: Segment and Continuation, shared and copied when run
 *   nest.c       fibers on the stacks of other fibers
 *   control.c    the operations of prompts and continuations, and transfer
 *   iterators.c  which iterators are forked
 *   iterator_states.c  where iterators in C stand -> Python values and back; iterator_extras.c: their arrays, tuples, links
 *   insides.c    what scanners of regular expressions, files of text and tokens do not tell of themselves
 *   outside.c    what a snapshot keeps outside of its pickle: numbers of long strings, memory for buffers
 *   naming.c     what a snapshot names, and who says how a value is saved
 *   fork.c       copies of parked frames, and of the iterators on their evaluation stacks
 *   capture.c    parked frames -> Python values and back (for pickles); looking at frames
 *   pieces.c     levels and continuations -> Python values and back
 *   generators.c the same for CPython's generators, coroutines, asynchronous generators
 *   rules.c      what restored frames must hold, remembered by place in the code
 *   fiber.c      the Fiber type: resume, throw, close, finalise
 *   generator_type.c  the Generator type: fibers that are iterators
 *   create.c     new fibers, and copies
 *   attributes.c what a fiber tells about itself
 *   layout.c     is CPython's layout what was compiled in?
 *   module.c     the module, its state, what it exports
 *
 * A suspended fiber is a chain of parked frames, innermost first:
 *
 *     fiber.inner --> [visit]  --outer--> [visit] --outer--> [main] <-- fiber.outermost
 *
 * Each parked frame has called the next inner one; the innermost has called `suspend`.  To resume,
 * the innermost gets its value pushed and is evaluated where it lies; what it returns is pushed on
 * the next.  Functions that it calls meanwhile get their frames on the thread's data stack, as
 * always; at the next suspension those, and only those, are moved to the heap.  So a suspension
 * costs the frames that are new since the resumption, not the depth of the stack.
 *
 * Prompts divide the chain into levels; the outermost level is the fiber's own, and has no prompt:
 *
 *     fiber.inner --> [visit] --> [walk] --> | --> [prompt] --> [main] <-- fiber.outermost
 *     fiber.level --------------------------^ floor: where the result of the level goes
 *
 * A captured piece of the chain is a Segment, which is never run: its frames are copied when they
 * are returned into, and until then a stand-in in the chain shows where they are.
 */
#ifndef STACKFUL_CORE_H
#define STACKFUL_CORE_H

#include "types.h"

#include "cstack.h"

/* Drop what a frame holds, but for its frame object. */
static inline void
frame_release(Frame *frame)
{
    for (int i = 0, depth = frame_depth(frame); i < depth; i++) {
        slot_release(frame_slots(frame)[i]);
    }
    frame_drop_names(frame);
}

/* Nothing may change what is being read: reading allocates, and in 3.11 that may run the collector, which may run
 * anything, on other threads too (v3.11.2 Modules/gcmodule.c, gc_alloc). Returns what to give to let_collect. */
static inline int
hold_collector(void)
{
    return PyGC_Disable();
}

static inline void
let_collect(int was_enabled)
{
    if (was_enabled) {
        PyGC_Enable();
    }
}

/* Is an exception being handled there? */
static inline bool
is_handling(const _PyErr_StackItem *item)
{
    return item->exc_value != NULL && item->exc_value != Py_None;
}

/* For the shortcuts of loops around `suspend` and its kin: is it the frame that was resumed that has called the
 * stub, at a call that has been checked? That says all: fiber->ts is the current thread state, no other stack (of a
 * greenlet) has been switched to, no generator runs in between, and the fiber is not being left already. */
static inline bool
fiber_calls_again(Fiber *fiber, Frame *stub)
{
    Parked *active = fiber->active;
    return active != NULL && frame_was_called_from(stub, &active->frame) &&
           active->known_call == frame_position(&active->frame);
}

/* Then nothing is moved: that frame is the innermost of those that wait. */
static inline void
fiber_put_back(Fiber *fiber)
{
    Parked *active = fiber->active;
    fiber->inner = active;
    fiber->depth++;
    if (active->outer != NULL) {
        frame_set_previous(&active->frame, active->outer->place);
    }
    frame_set_previous(&fiber->outermost->frame, NULL);
}

/* Of a node that is a frame: how many bytes that takes. */
static inline size_t
parked_frame_size(Parked *parked)
{
    return parked->size - offsetof(Parked, frame);
}

/* Is a node of a chain not a frame, but a StandIn for some? */
static inline bool
parked_is_stand_in(Parked *node)
{
    return node->place != &node->frame;
}

/* parked.c */
Parked *parked_new(CoreState *core, PyCodeObject *code);
void parked_free(Parked *parked);
void parked_end(CoreState *core, Parked *parked);
void parked_free_node(Parked *node);
void parked_clear_chain(Parked *inner);
Py_ssize_t parked_count(Parked *node);
void parked_set_previous(Parked *parked);
void frame_discard(Frame *frame);
int parked_traverse_chain(Parked *inner, visitproc visit, void *arg);
void parked_link(Fiber *fiber);

/* running.c */
extern THREAD_LOCAL Fiber *fiber_active_here;
void fiber_take_off_list(Fiber *fiber);
void callers_bring_up_to_date(PyThreadState *ts);
Fiber *fiber_running_here(PyThreadState *ts);
Fiber *fiber_resumed_by(PyThreadState *ts, Fiber *fiber);
Fiber *fiber_resumer(PyThreadState *ts, Fiber *fiber);
bool fiber_is_of_thread(Fiber *fiber, PyThreadState *ts);

/* Where the Python frames of its fiber begin, if those are not on the heap. */
static inline const ThreadStack *
resumption_base(Resumption *resumption)
{
    return resumption->stack != NULL ? &resumption->stack->unused : &resumption->outer;
}

/* A fiber has been left. Where events were set meanwhile, code that its callers run may not have heard of it: whoever
 * walks the stack, to instrument code, goes no further than to the outermost frame of a continuation that waits. */
static inline void
callers_hear_of_events(PyThreadState *ts, const Resumption *resumption)
{
    if (UNLIKELY(resumption->events != thread_events(ts))) {
        callers_bring_up_to_date(ts);
    }
}

/* Suspended: it can be resumed. */
static inline bool
fiber_waits(Fiber *fiber)
{
    return fiber->phase == FIBER_PARKED || fiber->phase == FIBER_KEPT;
}

/* cstack.c */
bool cstacks_look_again(CoreState *core);
bool cstack_has_room(PyThreadState *ts);
CStack *cstack_take_slowly(CoreState *core);
void cstack_give(CoreState *core, CStack *stack);
void cstacks_free(CoreState *core);

/* greenlet moves pieces of C stacks about, and knows only the thread's own: once it is loaded, no others are used. */
static inline bool
cstacks_are_safe(CoreState *core)
{
    return LIKELY(core->modules_seen == PyDict_GET_SIZE(core->modules)) || cstacks_look_again(core);
}

/* hard.c */
Fiber *hard_find(Fiber *fiber, PyThreadState *ts);
PyObject *hard_suspend(Fiber *fiber, Fiber *running, PyThreadState *ts, PyObject *value, const Next *next, const Barrier *barrier);
bool hard_is_next(Fiber *fiber, CoreState *core, Stub which);
PyObject *hard_suspend_next(Fiber *fiber);
PyObject *fiber_resume_kept(Fiber *fiber, PyObject *value);
void hard_attach(Fiber *fiber, PyThreadState *ts);
Py_ssize_t hard_depth(Fiber *fiber);
int hard_traverse(Fiber *fiber, visitproc visit, void *arg);
Frame *hard_innermost(Fiber *fiber);
void hard_abandon(Fiber *fiber);
void hard_close_abandoned(CoreState *core, PyThreadState *ts);
PyObject *core_kept(PyObject *module, PyObject *args);
PyObject *core_can_wait(PyObject *module, PyObject *ignored);
void raise_kept(Fiber *fiber, const char *verb);

/* resume.c */
PyObject *run_fiber(Run *run, PyThreadState *ts, PyObject *value, PyObject *thrown);
PyObject *run_left(Run *run, PyThreadState *ts, PyObject *result);
PyObject *fiber_resume_parked(Fiber *fiber, PyObject *value);
PyObject *fiber_advance(Fiber *fiber, PyObject *value, bool bare);

/* batch.c */
Frame *batch_begin(Fiber *fiber, PyThreadState *ts, Resumption *resumption, PyObject *value);
void batch_end(Resumption *resumption);
PyObject *gate_return_into(PyObject *gate);

/* drive.c */
PyObject *fiber_run(Fiber *fiber, PyObject *value, PyObject *thrown);
PyObject *run_end(Run *run, PyThreadState *ts, Fiber **ran, PyObject *result);

/* switch.c */
PyObject *fiber_switch(PyObject *gate);

/* listeners.c */
void listeners_miss_call(PyThreadState *ts, Resumption *resumption);
void listeners_restore(PyThreadState *ts, Resumption *resumption);

/* gates.c */
int gates_open(CoreState *core, PyObject *module);
int gates_register(CoreState *core, PyObject *name, PyObject *function);
int gates_traverse(CoreState *core, visitproc visit, void *arg);
void gates_shut(CoreState *core);
Frame *gate_stub(PyObject *gate, PyThreadState *ts, Stub stub);

/* suspend.c */
Frame *frame_first_real(Frame *frame);
PyObject *barrier_place(Fiber *fiber, const Barrier *barrier);
int try_to_park(Fiber *fiber, PyThreadState *ts, Leaving how, Barrier *barrier);
void raise_barrier(Fiber *fiber, const Barrier *barrier);
int fiber_park(Fiber *fiber, PyThreadState *ts, bool quietly);
PyObject *fiber_suspend(CoreState *core, PyThreadState *ts, PyObject *value, bool softly);
int fiber_could_park(Fiber *fiber, PyThreadState *ts, Frame *stub, Py_ssize_t most);
void known_calls_forget(CoreState *core);
bool fiber_park_again(Fiber *fiber, PyThreadState *ts, Frame *stub, Leaving how);
PyObject *gate_suspend(PyObject *gate);
PyObject *gate_yield(PyObject *gate);
PyObject *core_is_capturable(PyObject *module, PyObject *ignored);
int frame_call_unit(Frame *frame, int *opcode);

/* iterators.c */
bool is_builtin_named(PyTypeObject *type, const char *name);
bool iterator_is_simple(PyTypeObject *type);
bool iterator_is_leaf(PyTypeObject *type);
bool iterator_is_of_itertools(PyTypeObject *type);
bool iterator_has_iterators(PyTypeObject *type);
bool iterator_is_forkable(PyTypeObject *type);
bool iterator_is_copied_whole(PyTypeObject *type);
PyObject *iterator_copy(PyObject *iterator);

/* iterator_states.c */
PyObject *core_iterator_state(PyObject *module, PyObject *iterator);
PyObject *core_fill_iterator(PyObject *module, PyObject *args);
PyObject *iterator_exhausted(void);

/* outside.c */
PyObject *core_blank_bytes(PyObject *module, PyObject *size);
PyObject *core_numbering(PyObject *module, PyObject *terms);

/* naming.c */
PyObject *core_named(PyObject *module, PyObject *args);
PyObject *core_reducing(PyObject *module, PyObject *terms);

/* insides.c */
PyObject *core_bare_frame(PyObject *module, PyObject *code);
PyObject *core_scanner_state(PyObject *module, PyObject *scanner);
PyObject *core_set_scanner(PyObject *module, PyObject *args);
PyObject *core_text_state(PyObject *module, PyObject *file);
PyObject *core_token_state(PyObject *module, PyObject *token);
PyObject *core_fill_token(PyObject *module, PyObject *args);
PyObject *core_asend_state(PyObject *module, PyObject *awaitable);
PyObject *core_set_asend(PyObject *module, PyObject *args);
PyObject *core_view_offset(PyObject *module, PyObject *view);

/* fork.c */
Parked *parked_clone_one(CoreState *core, Parked *parked);
int parked_clone_chains(CoreState *core, Parked **chains, Py_ssize_t count);
bool frame_forks_alone(Frame *frame);
bool frame_forks_nothing(Frame *frame);
bool code_has_hidden_iterator(PyCodeObject *code);
PyObject *core_copy_generator(PyObject *module, PyObject *generator);

/* levels.c */
void marks_copy(Marks *to, const Marks *from);
void marks_clear(Marks *marks);
int marks_traverse(Marks *marks, visitproc visit, void *arg);
Level *level_new(const Marks *marks);
void level_free(Level *level);
void level_push(Fiber *fiber, Level *level);
Level *level_pop(Fiber *fiber);
Level *level_find(Fiber *fiber, PyObject *tag);
Level *level_with_serial(Fiber *fiber, unsigned long long serial);
Marks *fiber_own_marks(Fiber *fiber);
PyObject *level_end(Fiber *fiber, PyThreadState *ts, PyObject *value);
void abort_look_again(Fiber *fiber, PyThreadState *ts);
int levels_clone(Fiber *from, Parked *inner, Level **clone);
void levels_become(Fiber *fiber, Level *level);
void levels_adopt(Fiber *fiber, Level *level);
void levels_free(Level *level);
int levels_traverse(Level *level, visitproc visit, void *arg);
PyObject *core_prompts(PyObject *module, PyObject *ignored);
PyObject *core_winders(PyObject *module, PyObject *depth);
PyObject *core_wound(PyObject *module, PyObject *tag);
PyObject *core_barrier(PyObject *module, PyObject *thunk);
PyObject *core_set_winders(PyObject *module, PyObject *args);

/* handlers.c */
PyObject *core_handlers(PyObject *module, PyObject *ignored);
PyObject *handler_find_answer(CoreState *core, Fiber *fiber, PyObject *operation, Level **level, Marks **marks);
PyObject *handler_answer_nearby(CoreState *core, Level *level, PyObject *operation);
Level *handler_answering(CoreState *core, Fiber *fiber);
void handlers_unmask(Fiber *fiber);
unsigned long long handler_to_capture(CoreState *core, Fiber *fiber);
bool mask_is_valid(PyObject *mask);
PyObject *core_state_of_handler(PyObject *module, PyObject *ignored);
PyObject *core_change_state(PyObject *module, PyObject *state);
PyObject *core_way_out(PyObject *module, PyObject *ignored);
PyObject *core_leave_force(PyObject *module, PyObject *ignored);
PyObject *core_set_state(PyObject *module, PyObject *args);
PyObject *core_outermost(PyObject *module, PyObject *k);

/* perform.c */
PyObject *gate_perform(PyObject *gate);
PyObject *gate_unmask(PyObject *gate);
PyObject *gate_resumed(PyObject *gate);

/* in_place.c */
PyObject *updates_function(CoreState *core, PyObject *answer);
int in_place_register(CoreState *core, PyObject *name, PyObject *type);
int in_place_can_begin(Fiber *fiber, PyThreadState *ts, Frame *stub, Level *last, PyObject *answer);
PyObject *in_place_begin(Fiber *fiber, Frame *stub, Level *last, PyObject *answer, PyObject **k);
void in_place_end(Fiber *fiber);
void in_place_clear(InPlace *in_place);
int in_place_traverse(InPlace *in_place, visitproc visit, void *arg);
int in_place_prepare(Fiber *fiber, Frame *stub, Split *split);
void in_place_give_up(Split *split);
void in_place_split(Fiber *fiber, PyThreadState *ts, Split *split);

/* The `perform` that has called a clause in place, or NULL. */
static inline Frame *
in_place_stub(Fiber *fiber)
{
    return fiber->control == NULL ? NULL : fiber->control->in_place.stub;
}

/* The innermost level that running code is to find. */
static inline Level *
fiber_level(Fiber *fiber)
{
    return LIKELY(in_place_stub(fiber) == NULL) ? fiber->level : fiber->control->in_place.last->below;
}

/* If it is this one, it is about to return. */
static inline void
in_place_end_of(Fiber *fiber, Frame *stub)
{
    if (in_place_stub(fiber) != NULL && in_place_stub(fiber) == stub) {
        in_place_end(fiber);
    }
}

/* segment.c */
extern PyType_Spec segment_spec, continuation_spec;

/* awaiting.c */
extern PyType_Spec steps_spec;
void steps_forget(CoreState *core);
PyObject *core_portal(PyObject *module, PyObject *fiber);
PyObject *core_is_portal(PyObject *module, PyObject *fiber);
PyObject *core_steps(PyObject *module, PyObject *awaitable);
Parked *walk_next(Walk *walk);
int stand_in_expand(CoreState *core, Parked **inner, Segment **unused);
Parked *stand_in_expand_all(CoreState *core, Parked **link);
Py_ssize_t stand_in_unroll(PyThreadState *ts, Parked *node, size_t besides, Batch *batch);
Segment *segment_from_states(CoreState *core, PyObject *frames);
Continuation *continuation_new(CoreState *core, Py_ssize_t count);
void continuation_take(Fiber *fiber, Continuation *k);
PyObject *continuation_capture(Fiber *fiber, Level *last, Taking how);
Made *continuation_make(CoreState *core, PyObject *k, PyObject *delimiter);
void continuation_unmake(PyObject *k, Made *made);
void continuation_put(Fiber *fiber, PyObject *k, Made *made);

/* nest.c */
Level *level_of_guest(CoreState *core, Level *level);
Fiber *fiber_or_guest(PyThreadState *ts);
int guest_enter(Fiber *host, PyObject **operands, Next *next);
int guest_exchange(Fiber *host, PyObject **operands, Next *next);
bool guest_can_be(Fiber *fiber, PyObject *thrown);
bool park_for(Fiber *fiber, PyThreadState *ts, Frame *stub, Operation operation, PyObject **operands, bool quietly);
int guest_leave(Fiber *host, Fiber *guest);
void guest_end(Fiber *guest, PyObject *value);
PyObject *guest_suspend(Fiber *host, PyThreadState *ts, Frame *stub, PyObject *guest, PyObject *value);
PyObject *gate_resume(PyObject *gate);
PyObject *gate_suspend_to(PyObject *gate);

/* control.c */
int check_message(CoreState *core, PyObject **operands, const char *verb);
void read_operands(Frame *stub, int first, PyObject **operands);
void drop_operands(PyObject **operands);
PyObject *prompt_not_found(CoreState *core, PyObject *tag);
Control *fiber_control(Fiber *fiber);
int control_copy(Fiber *from, Fiber *to);
void control_clear(Fiber *fiber);
int control_traverse(Control *control, visitproc visit, void *arg);
void control_forget(Fiber *fiber);
void control_perform(Fiber *fiber, Next *next);
PyObject *gate_operate(PyObject *gate);
PyObject *gate_transfer(PyObject *gate);
PyObject *core_successor(PyObject *module, PyObject *fiber);
PyObject *core_set_successor(PyObject *module, PyObject *args);

/* generators.c */
bool generator_is_of_type(PyTypeObject *type);
int generator_check_idle(CoreState *core, PyObject *object);
PyObject *generator_blank(PyObject *function, PyTypeObject *type);
void generator_abandon(PyGenObject *generator);
PyObject *generator_duplicate(PyGenObject *original);
PyObject *core_capture_generator(PyObject *module, PyObject *generator);
PyObject *core_reinstate_generator(PyObject *module, PyObject *args);

/* capture.c */
PyObject *core_capture(PyObject *module, PyObject *fiber);
PyObject *core_reinstate(PyObject *module, PyObject *args);
PyObject *core_look(PyObject *module, PyObject *fiber);
PyObject *core_handled(PyObject *module, PyObject *fiber);
PyObject *slots_capture(CoreState *core, FrameSlot *slots, Py_ssize_t count);
int slots_check(CoreState *core, PyObject *tuple, Py_ssize_t least, Py_ssize_t most, const char *what);
void slots_fill(CoreState *core, FrameSlot *slots, PyObject *tuple);
void slots_make_numbers(FrameSlot *slots, PyObject *which);

PyObject *parked_states(CoreState *core, Parked *inner, PyObject *list);
int parked_from_states(CoreState *core, PyObject *frames, Parked **inner);

/* pieces.c */
PyObject *core_capture_levels(PyObject *module, PyObject *fiber);
PyObject *core_reinstate_levels(PyObject *module, PyObject *args);
PyObject *core_capture_continuation(PyObject *module, PyObject *k);
PyObject *core_blank_continuation(PyObject *module, PyObject *count);
PyObject *core_reinstate_continuation(PyObject *module, PyObject *args);
PyObject *core_reduce(PyObject *module, PyObject *object);
PyObject *core_deepcopy(PyObject *module, PyObject *args);

/* rules.c */
PyObject *frame_verify(CoreState *core, PyCodeObject *code, int offset, const char *waiting, PyObject *locals,
                       PyObject *stack, PyObject *namespace);
void rules_forget(CoreState *core);

/* create.c */
bool is_direct(CoreState *core, PyObject *function);
PyObject *fiber_blank(CoreState *core, PyTypeObject *type);
PyObject *fiber_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames);
PyObject *fiber_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
PyObject *fiber_copy(Fiber *fiber, PyObject *ignored);

/* attributes.c */
extern PyGetSetDef fiber_attributes[];
PyObject *fiber_context(Fiber *self);
PyObject *core_own_context(PyObject *module, PyObject *fiber);
PyObject *core_frame_object(PyObject *module, PyObject *fiber);
PyObject *fiber_why_not_portable(Fiber *fiber, PyObject *ignored);
PyObject *fiber_reduce(Fiber *fiber, PyObject *protocol);
PyObject *fiber_deepcopy(Fiber *fiber, PyObject *memo);
PyObject *fiber_repr(Fiber *fiber);
PyObject *fiber_sizeof(Fiber *fiber, PyObject *ignored);

/* generator_type.c */
extern PyType_Spec generator_spec;
int generator_check_yield(CoreState *core);
PyObject *generator_outcome(Fiber *fiber, PyObject *result, bool bare);

/* fiber.c */
extern PyType_Spec fiber_spec;
void fiber_end_by(Fiber *self, PyCFunction close);
int fiber_check_idle(Fiber *fiber, const char *verb, PyObject *value);
FiberPhase fiber_hold(Fiber *fiber);
void fiber_let_go(Fiber *fiber);

/* layout.c */
PyObject *core_check_layout(PyObject *module, PyObject *marker);

/* module.c */
CoreState *core_state(PyObject *module);
PyObject *core_hook(CoreState *core, const char *name);

#endif
