/* Copies of parked frames.
 *
 * Locals are shared references.  What lives on an evaluation stack belongs to its frame and is
 * forked with it (D3): the iterators of running `for` loops, and displays that are half built.
 * Where a forked iterator is also a local of the same fiber, that local gets the fork as well. */
#include "core.h"

typedef struct {
    PyObject *original, *fork; /* both owned */
} Pair;

typedef struct {
    CoreState *core;
    Pair *pairs;
    Py_ssize_t count, room;
    bool awaited; /* what is being looked at stands on the stack of a generator or coroutine */
} Forks;

static PyObject *fork_object(Forks *forks, PyObject *object);

static PyObject *
forks_find(Forks *forks, PyObject *original)
{
    for (Py_ssize_t i = 0; i < forks->count; i++) {
        if (forks->pairs[i].original == original) {
            return forks->pairs[i].fork;
        }
    }
    return NULL;
}

static int
forks_add(Forks *forks, PyObject *original, PyObject *fork)
{
    if (forks->count == forks->room) {
        Py_ssize_t room = forks->room == 0 ? 8 : 2 * forks->room;
        Pair *pairs = PyMem_Realloc(forks->pairs, room * sizeof(Pair));
        if (pairs == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        forks->pairs = pairs;
        forks->room = room;
    }
    forks->pairs[forks->count].original = Py_NewRef(original);
    forks->pairs[forks->count++].fork = Py_NewRef(fork);
    return 0;
}

static void
forks_clear(Forks *forks)
{
    for (Py_ssize_t i = 0; i < forks->count; i++) {
        Py_DECREF(forks->pairs[i].original);
        Py_DECREF(forks->pairs[i].fork);
    }
    PyMem_Free(forks->pairs);
}

/* A copy of a tuple in which each forkable item is forked; tuples of iterators as well (zip). */
static PyObject *
fork_items(Forks *forks, PyObject *tuple)
{
    Py_ssize_t size = PyTuple_GET_SIZE(tuple);
    PyObject *copy = PyTuple_New(size);
    for (Py_ssize_t i = 0; copy != NULL && i < size; i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        PyObject *fork = fork_object(forks, item);
        if (fork == NULL) {
            Py_CLEAR(copy);
            break;
        }
        PyTuple_SET_ITEM(copy, i, fork);
    }
    return copy;
}

static PyObject *
set_state(Forks *forks, PyObject *fork, PyObject *state)
{
    PyObject *quietly;
    if (!iterator_is_of_itertools(Py_TYPE(fork))) {
        return PyObject_CallMethodOneArg(fork, forks->core->setstate_name, state);
    }
    quietly = core_hook(forks->core, "set_state_quietly");
    return quietly == NULL ? NULL : PyObject_CallFunctionObjArgs(quietly, fork, state, NULL);
}

/* Call what __reduce__ gave: (callable, arguments[, state]). */
static PyObject *
rebuild(Forks *forks, PyObject *reduced, bool nested)
{
    PyObject *arguments, *fork, *state = NULL;
    if (!PyTuple_Check(reduced) || PyTuple_GET_SIZE(reduced) < 2) {
        PyErr_SetString(PyExc_TypeError, "an iterator's __reduce__ must give (callable, arguments)");
        return NULL;
    }
    arguments = PyTuple_GET_ITEM(reduced, 1);
    arguments = nested ? fork_items(forks, arguments) : Py_NewRef(arguments);
    if (arguments == NULL) {
        return NULL;
    }
    fork = PyObject_Call(PyTuple_GET_ITEM(reduced, 0), arguments, NULL);
    Py_DECREF(arguments);
    if (fork != NULL && PyTuple_GET_SIZE(reduced) > 2 && PyTuple_GET_ITEM(reduced, 2) != Py_None) {
        state = PyTuple_GET_ITEM(reduced, 2);
        state = nested && PyTuple_Check(state) ? fork_items(forks, state) : Py_NewRef(state);
        PyObject *done = state == NULL ? NULL : set_state(forks, fork, state);
        if (done == NULL) {
            Py_CLEAR(fork);
        }
        Py_XDECREF(state);
        Py_XDECREF(done);
    }
    return fork;
}

static PyObject *
fork_iterator(Forks *forks, PyObject *iterator, bool nested)
{
    PyObject *fork = NULL, *reduced;
    if (iterator_is_of_itertools(Py_TYPE(iterator))) {
        PyObject *quietly = core_hook(forks->core, "reduce_quietly");
        reduced = quietly == NULL ? NULL : PyObject_CallOneArg(quietly, iterator);
    }
    else {
        reduced = PyObject_CallMethodNoArgs(iterator, forks->core->reduce_name);
    }
    if (reduced != NULL) {
        fork = rebuild(forks, reduced, nested);
        Py_DECREF(reduced);
    }
    return fork;
}

static int fork_stack(Forks *forks, Frame *frame, int unit, const char *waiting);
static void share_forks(Forks *forks, Frame *frame);

/* A generator is a frame of its own: it is copied with what stands on its stack. */
static PyObject *
fork_generator(Forks *forks, PyObject *object)
{
    PyGenObject *original = (PyGenObject *)object, *fork;
    if (generator_is_running(original) || generator_is_finished(original)) {
        return Py_NewRef(object); /* nothing in it can diverge, or nothing in it can be copied */
    }
    fork = (PyGenObject *)generator_duplicate(original);
    if (fork == NULL) {
        return NULL;
    }
    Frame *frame = generator_frame(fork);
    bool outer = forks->awaited;
    forks->awaited = true;
    int failed = generator_is_fresh(fork) ? fork_stack(forks, frame, 0, "fresh")
                                          : fork_stack(forks, frame, frame_yield_unit(frame), "yield");
    forks->awaited = outer;
    if (failed) {
        generator_abandon(fork);
        return NULL;
    }
    share_forks(forks, frame);
    return (PyObject *)fork;
}

static int
visit_coroutine(PyObject *object, void *found)
{
    if (PyCoro_CheckExact(object)) {
        *(PyObject **)found = object;
    }
    return 0;
}

/* What `__await__` of a coroutine gives holds the coroutine and nothing else. */
static PyObject *
fork_coroutine_wrapper(Forks *forks, PyObject *wrapper)
{
    PyObject *coroutine = NULL, *fork, *awaited;
    (void)Py_TYPE(wrapper)->tp_traverse(wrapper, visit_coroutine, &coroutine);
    fork = coroutine == NULL ? NULL : fork_object(forks, coroutine);
    if (fork == NULL) {
        return coroutine == NULL ? Py_NewRef(wrapper) : NULL;
    }
    awaited = PyObject_CallMethod(fork, "__await__", NULL);
    Py_DECREF(fork);
    return awaited;
}

/* The awaitables of an asynchronous generator are half-way through it: neither they nor it can go on twice. */
static int
check_awaited(Forks *forks, PyObject *object)
{
    const char *name = Py_TYPE(object)->tp_name;
    if (forks->awaited && (strcmp(name, "async_generator_asend") == 0 || strcmp(name, "async_generator_athrow") == 0 ||
                           strcmp(name, "anext_awaitable") == 0)) {
        PyErr_Format(PyExc_TypeError, "cannot copy: it waits for the next value of an asynchronous generator (%R)",
                     object);
        return -1;
    }
    return 0;
}

/* Generators are forked wherever they stand on a stack; coroutines where another one awaits them. */
static bool
is_forked_generator(Forks *forks, PyTypeObject *type)
{
    return type == &PyGen_Type || (type == &PyCoro_Type && forks->awaited);
}

/* One that runs (and waits for this fiber) cannot be copied, as a running plain one is not. */
static PyObject *
fork_stackful_generator(PyObject *object)
{
    Fiber *original = (Fiber *)object;
    return original->phase == FIBER_ACTIVE ? Py_NewRef(object) : fiber_copy(original, NULL);
}

/* A new reference: the fork of an iterator; anything else is shared. */
static PyObject *
fork_object(Forks *forks, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    bool nested = iterator_has_iterators(type), generator = is_forked_generator(forks, type);
    bool stackful = type == forks->core->generator_type, wrapper = forks->awaited && is_builtin_named(type, "coroutine_wrapper");
    PyObject *fork;
    if (!nested && !generator && !stackful && !wrapper && !iterator_is_leaf(type)) {
        return check_awaited(forks, object) < 0 ? NULL : Py_NewRef(object);
    }
    fork = forks_find(forks, object);
    if (fork != NULL) {
        return Py_NewRef(fork);
    }
    if (!cstack_has_room(PyThreadState_Get())) {
        PyErr_SetString(PyExc_RecursionError, "an iterator is nested too deeply to be copied: the C stack is used up");
        return NULL;
    }
    if (Py_EnterRecursiveCall(" while copying an iterator of iterators")) {
        return NULL;
    }
    fork = generator  ? fork_generator(forks, object)
           : stackful ? fork_stackful_generator(object)
           : wrapper  ? fork_coroutine_wrapper(forks, object)
           : iterator_is_copied_whole(type) ? iterator_copy(object)
                      : fork_iterator(forks, object, nested);
    Py_LeaveRecursiveCall();
    if (fork != NULL && forks_add(forks, object, fork) < 0) {
        Py_CLEAR(fork);
    }
    return fork;
}

/* Is slot `index` of the stack a display that the code is still filling? The bytecode knows; a list
 * that merely is an operand is shared, as everything on the heap. -1 with an exception. */
static int
is_half_built(Forks *forks, Frame *frame, int unit, const char *waiting, int index)
{
    PyObject *hook = core_hook(forks->core, "is_half_built"), *answer;
    int result, opcode;
    if (unit < 0 && strcmp(waiting, "call") == 0) {
        unit = frame_call_unit(frame, &opcode);
    }
    if (hook == NULL || PyErr_Occurred()) {
        return -1;
    }
    answer = PyObject_CallFunction(hook, "Oisi", frame_code(frame), 2 * unit, waiting, index);
    if (answer == NULL) {
        return -1;
    }
    result = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return result;
}

static PyObject *
copy_display(PyObject *object)
{
    if (PyList_CheckExact(object)) {
        return PyList_GetSlice(object, 0, PyList_GET_SIZE(object));
    }
    return PySet_CheckExact(object) ? PySet_New(object) : PyDict_Copy(object);
}

static bool
may_be_display(PyObject *object)
{
    return PyList_CheckExact(object) || PySet_CheckExact(object) || PyDict_CheckExact(object);
}

/* Replace a slot's object by its fork; steals that. */
static int
put_fork(FrameSlot *slot, PyObject *fork)
{
    if (fork == NULL) {
        return -1;
    }
    slot_put(slot, slot_of(fork));
    return 0;
}

/* The iterator of a comprehension or generator expression is its hidden argument ".0"; in 3.15 that is
 * what it iterates over. */
bool
code_has_hidden_iterator(PyCodeObject *code)
{
    PyObject *first = code->co_nlocalsplus > 0 ? PyTuple_GET_ITEM(code->co_localsplusnames, 0) : NULL;
    return first != NULL && PyUnicode_GET_LENGTH(first) == 2 && PyUnicode_CompareWithASCIIString(first, ".0") == 0;
}

/* `unit` is where the frame waits in a "yield"; 0 when it is "fresh", a generator's; -1 for a "call", where it
 * is found when it is needed. */
static int
fork_stack(Forks *forks, Frame *frame, int unit, const char *waiting)
{
    PyCodeObject *code = frame_code(frame);
    FrameSlot *slots = frame_slots(frame), *stack = slots + code->co_nlocalsplus;
    int height = frame_depth(frame) - code->co_nlocalsplus;
    PyObject *hidden = code_has_hidden_iterator(code) ? slot_object(slots[0]) : NULL;
    if (hidden != NULL && put_fork(&slots[0], fork_object(forks, hidden)) < 0) {
        return -1;
    }
    for (int i = 0; i < height; i++) {
        PyObject *object = slot_object(stack[i]);
        int display = 0;
        if (object == NULL) {
            continue;
        }
        if (may_be_display(object)) {
            display = is_half_built(forks, frame, unit, waiting, i);
        }
        if (display < 0 ||
            put_fork(&stack[i], display ? copy_display(object) : fork_object(forks, object)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A local that names a forked iterator names the fork. */
static void
share_forks(Forks *forks, Frame *frame)
{
    FrameSlot *slots = frame_slots(frame);
    for (int i = 0; forks->count > 0 && i < frame_code(frame)->co_nlocalsplus; i++) {
        PyObject *object = slot_object(slots[i]);
        PyObject *fork = object == NULL ? NULL : forks_find(forks, object);
        if (fork != NULL) {
            slot_put(&slots[i], slot_of(Py_NewRef(fork)));
        }
    }
}

/* The same references in a new parked frame. */
static Parked *
duplicate(CoreState *core, Parked *parked)
{
    Frame *from = &parked->frame;
    Parked *copy = parked_new(core, frame_code(from));
    if (copy != NULL) {
        frame_duplicate(&copy->frame, from);
        copy->known_call = parked->known_call;
    }
    return copy;
}

/* Duplicate the frames of a chain, those that stand-ins stand for among them. */
static int
duplicate_chain(CoreState *core, Parked *from, Parked **clone)
{
    Walk walk = {.node = from};
    Parked **link = clone;
    *clone = NULL;
    while ((from = walk_next(&walk)) != NULL) {
        *link = duplicate(core, from);
        if (*link == NULL) {
            return -1;
        }
        link = &(*link)->outer;
    }
    return 0;
}

static int
fork_chain(Forks *forks, Parked *inner)
{
    for (Parked *parked = inner; parked != NULL; parked = parked->outer) {
        if (fork_stack(forks, &parked->frame, -1, "call") < 0) {
            return -1;
        }
    }
    return 0;
}

/* Replace chains by copies of all their frames, which share what they shared before; on failure
 * nothing is left behind. The originals are not changed. */
int
parked_clone_chains(CoreState *core, Parked **chains, Py_ssize_t count)
{
    Forks forks = {.core = core};
    Parked **clones = PyMem_Calloc(count, sizeof(Parked *));
    int failed = 0;
    if (clones == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count && !failed; i++) {
        failed = duplicate_chain(core, chains[i], &clones[i]) < 0;
    }
    for (Py_ssize_t i = 0; i < count && !failed; i++) {
        failed = fork_chain(&forks, clones[i]) < 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        for (Parked *parked = clones[i]; parked != NULL && !failed; parked = parked->outer) {
            share_forks(&forks, &parked->frame);
            parked_set_previous(parked);
        }
        if (failed) {
            parked_clear_chain(clones[i]);
        }
        else {
            chains[i] = clones[i];
        }
    }
    forks_clear(&forks);
    PyMem_Free(clones);
    return failed ? -1 : 0;
}

/* Is there nothing on the frame's stack that might have to be forked? All that is forked is an iterator or a display. */
bool
frame_forks_nothing(Frame *frame)
{
    PyCodeObject *code = frame_code(frame);
    FrameSlot *slots = frame_slots(frame);
    for (int i = code->co_nlocalsplus, depth = frame_depth(frame); i < depth; i++) {
        PyObject *object = slot_object(slots[i]);
        if (object != NULL && (Py_TYPE(object)->tp_iternext != NULL || may_be_display(object))) {
            return false;
        }
    }
    return !code_has_hidden_iterator(code);
}

/* A copy of one frame that forks alone. */
Parked *
parked_clone_one(CoreState *core, Parked *parked)
{
    Forks forks = {.core = core};
    Parked *clone = duplicate(core, parked);
    if (frame_forks_nothing(&parked->frame)) {
        return clone;
    }
    if (clone != NULL && fork_stack(&forks, &clone->frame, -1, "call") < 0) {
        parked_free_node(clone);
        clone = NULL;
    }
    if (clone != NULL) {
        share_forks(&forks, &clone->frame);
    }
    forks_clear(&forks);
    return clone;
}

#define MOST_NESTED 100

static int check_referent(PyObject *object, void *depth);

/* Can the object, to which nothing else refers, be forked apart from others, later? `depth` is how many iterators it is
 * in; of very many nobody asks here, and fork_object refuses them. */
static bool
forks_alone(PyObject *object, int depth)
{
    PyTypeObject *type = Py_TYPE(object);
    if (!iterator_is_forkable(type) || iterator_is_simple(type)) {
        return true;
    }
    if ((type != &PyEnum_Type && type != &PyZip_Type && type != &PyMap_Type && type != &PyFilter_Type) ||
        depth == MOST_NESTED) {
        return false;
    }
    depth++;
    return type->tp_traverse(object, check_referent, &depth) == 0;
}

static int
check_referent(PyObject *object, void *depth)
{
    if (PyTuple_CheckExact(object)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); i++) {
            PyObject *item = PyTuple_GET_ITEM(object, i);
            if (item != NULL && iterator_is_forkable(Py_TYPE(item)) && check_referent(item, depth) != 0) {
                return 1;
            }
        }
        return 0;
    }
    return iterator_is_forkable(Py_TYPE(object)) && (Py_REFCNT(object) > 1 || !forks_alone(object, *(int *)depth));
}

/* A slot that borrows is not counted: then another frame may hold what it borrows. */
static bool
is_held_by_frame_only(PyObject *object, FrameSlot *slots, int depth)
{
    Py_ssize_t held = 0;
    for (int i = 0; i < depth; i++) {
        held += slot_object(slots[i]) == object && slot_counts(slots[i]);
    }
    return Py_REFCNT(object) <= held;
}

/* Can the frame be copied when it is returned into, apart from others? Only if nothing else refers to
 * what has to be forked with it. */
bool
frame_forks_alone(Frame *frame)
{
    PyCodeObject *code = frame_code(frame);
    FrameSlot *slots = frame_slots(frame);
    int depth = frame_depth(frame);
    for (int i = code_has_hidden_iterator(code) ? 0 : code->co_nlocalsplus; i < depth; i++) {
        PyObject *object = i > 0 && i < code->co_nlocalsplus ? NULL : slot_object(slots[i]);
        if (object != NULL && iterator_is_forkable(Py_TYPE(object)) &&
            !(is_held_by_frame_only(object, slots, depth) && forks_alone(object, 0))) {
            return false;
        }
    }
    return true;
}

PyObject *
core_copy_generator(PyObject *module, PyObject *generator)
{
    Forks forks = {.core = core_state(module)};
    PyObject *fork;
    if (generator_check_idle(forks.core, generator) < 0) {
        return NULL;
    }
    fork = fork_generator(&forks, generator);
    forks_clear(&forks);
    return fork;
}
