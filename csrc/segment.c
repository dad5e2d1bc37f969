/* Captured pieces of a stack.
 *
 * A Segment holds frames that never run: whoever goes on with them runs copies.  It ends where the
 * captured level ended, or goes on with a tail, part of another segment: what was captured before and
 * not returned into since.
 *
 *     k1 ---> [visit] --> [walk] --> [body]            captured first
 *     k2 ---> [note] --> [visit] --^                   k1 was resumed, visit called note, captured again
 *
 * In a fiber's chain a stand-in shows where such frames belong.  Their copies are made one by one, each
 * when it is about to be returned into: going on with a continuation does not cost its depth. */
#include "core.h"

#define LEAST_TOGETHER 2

/* ---- stand-ins ----------------------------------------------------------------------------- */

static StandIn *
as_stand_in(Parked *node)
{
    assert(parked_is_stand_in(node));
    return (StandIn *)node;
}

/* The frame behind `*frame`, outward; NULL at the end. */
static void
advance(Segment **segment, Parked **frame)
{
    *frame = (*frame)->outer;
    while (*frame == NULL && (*segment)->tail != NULL) {
        *frame = (*segment)->tail_from;
        *segment = (*segment)->tail;
    }
}

/* Returns the segment that it does not need any more, for the caller to drop, or NULL. */
static Segment *
place_stand_in(StandIn *stand_in, Segment *segment, Parked *from)
{
    Segment *old = stand_in->segment;
    stand_in->from = from;
    stand_in->node.place = &from->frame;
    if (LIKELY(old == segment)) {
        return NULL;
    }
    stand_in->segment = (Segment *)Py_NewRef((PyObject *)segment);
    return old;
}

/* A node for all frames of the segment. */
static Parked *
stand_in_new(Segment *segment)
{
    StandIn *stand_in = PyMem_Calloc(1, sizeof(StandIn));
    if (stand_in == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    stand_in->count = segment->depth;
    Parked *from = segment->inner;
    while (from == NULL) {
        from = segment->tail_from;
        segment = segment->tail;
    }
    (void)place_stand_in(stand_in, segment, from); /* there was none before */
    return &stand_in->node;
}

/* A walk over the frames of a chain, those that stand-ins stand for among them. */
Parked *
walk_next(Walk *walk)
{
    Parked *node = walk->node;
    if (walk->shared == NULL) {
        if (node == NULL || !parked_is_stand_in(node)) {
            walk->node = node == NULL ? NULL : node->outer;
            return node;
        }
        walk->segment = as_stand_in(node)->segment;
        walk->shared = as_stand_in(node)->from;
        walk->node = node->outer;
    }
    Parked *frame = walk->shared;
    advance(&walk->segment, &walk->shared);
    return frame;
}

/* The innermost node is a stand-in: put the frame that it begins with before it, or in its stead. *unused is to be
 * dropped when the chain is in order and the thread's current frame is none of its: it may run any code. */
int
stand_in_expand(CoreState *core, Parked **inner, Segment **unused)
{
    StandIn *stand_in = as_stand_in(*inner);
    Segment *segment = stand_in->segment;
    Parked *from = stand_in->from, *own;
    if (Py_REFCNT(segment) == 1 && segment->inner == from) {
        own = from; /* nobody else will want it */
        segment->inner = NULL;
    }
    else if ((own = parked_clone_one(core, from)) == NULL) {
        return -1;
    }
    Parked *next = from;
    advance(&segment, &next);
    if (own == from && segment == stand_in->segment) {
        segment->inner = next;
        segment->depth--;
    }
    if (--stand_in->count == 0) {
        own->outer = stand_in->node.outer;
        *unused = stand_in->segment;
        stand_in->segment = NULL;
        parked_free_node(&stand_in->node);
    }
    else {
        *unused = place_stand_in(stand_in, segment, next);
        own->outer = &stand_in->node;
    }
    parked_set_previous(own);
    *inner = own;
    return 0;
}

/* How many frames, from where the stand-in is, can be put on the data stack together, with `besides` bytes of something
 * else? None that needs more than references, so that nothing can fail; and not the last one, with which the segment may
 * go. *size: their bytes. */
static Py_ssize_t
count_due(StandIn *stand_in, PyThreadState *ts, size_t besides, size_t *size)
{
    Parked *parked = stand_in->from;
    Py_ssize_t count = 0;
    *size = 0;
    for (; count < stand_in->due && parked->outer != NULL; parked = parked->outer) {
        size_t more = *size + parked_frame_size(parked);
        if (!thread_has_room(ts, more + besides) || !frame_forks_nothing(&parked->frame) ||
            !frame_is_up_to_date(ts, &parked->frame)) {
            break;
        }
        *size = more;
        count++;
    }
    return count;
}

/* Copies of so many frames from this one outward on the data stack, where they take `size` bytes: each has called the next
 * inner one. Returns the first frame that has not been copied. */
static Parked *
copy_to_stack(PyThreadState *ts, Parked *from, Py_ssize_t count, size_t size, Batch *batch)
{
    char *place = (char *)ts->datastack_top + size;
    ts->datastack_top = (PyObject **)place;
    batch->innermost = NULL;
    for (; count > 0; count--, from = from->outer) {
        place -= parked_frame_size(from);
        Frame *inner = batch->outermost, *copy = batch->outermost = (Frame *)place;
        frame_duplicate(copy, &from->frame);
        if (batch->innermost == NULL) {
            batch->innermost = copy;
        }
        else {
            frame_set_caller(inner, copy);
        }
    }
    return from;
}

/* The node is a stand-in: put copies of the frames that it begins with on the data stack, as many as are due, and twice as
 * many the next time. Returns how many; 0: they are to be copied one by one. Cannot fail, and runs nothing. */
Py_ssize_t
stand_in_unroll(PyThreadState *ts, Parked *node, size_t besides, Batch *batch)
{
    StandIn *stand_in = as_stand_in(node);
    Segment *segment = stand_in->segment;
    size_t size;
    if (stand_in->due == 0 || (Py_REFCNT(segment) == 1 && segment->inner == stand_in->from)) {
        stand_in->due = LEAST_TOGETHER;
        return 0;
    }
    Py_ssize_t count = count_due(stand_in, ts, besides, &size);
    if (count < LEAST_TOGETHER) {
        return 0;
    }
    Parked *next = copy_to_stack(ts, stand_in->from, count, size, batch);
    (void)place_stand_in(stand_in, segment, next); /* in the same segment */
    stand_in->count -= count;
    stand_in->due = 2 * count;
    return count;
}

/* Put the frames that the node stands for in its stead, all of them. Returns the node, which the caller frees; or NULL
 * with an exception. */
Parked *
stand_in_expand_all(CoreState *core, Parked **link)
{
    StandIn alone = *as_stand_in(*link);
    Parked *frames = &alone.node, *rest = alone.node.outer;
    alone.node.outer = NULL;
    if (parked_clone_chains(core, &frames, 1) < 0) {
        return NULL;
    }
    Parked *old = *link, *last = frames;
    while (last->outer != NULL) {
        last = last->outer;
    }
    last->outer = rest;
    *link = frames;
    for (Parked *frame = frames; frame != rest; frame = frame->outer) {
        parked_set_previous(frame);
    }
    return old;
}

/* ---- the type Segment ---------------------------------------------------------------------- */

static Segment *
segment_new(CoreState *core)
{
    return (Segment *)core->segment_type->tp_alloc(core->segment_type, 0);
}

/* A segment with frames that were stored; or NULL with an exception. */
Segment *
segment_from_states(CoreState *core, PyObject *frames)
{
    Segment *segment = segment_new(core);
    if (segment == NULL || parked_from_states(core, frames, &segment->inner) < 0) {
        Py_XDECREF(segment);
        return NULL;
    }
    for (Parked *parked = segment->inner; parked != NULL; parked = parked->outer) {
        parked_set_previous(parked);
        segment->depth++;
        segment->is_eager = segment->is_eager || !frame_forks_alone(&parked->frame);
    }
    return segment;
}

static int
segment_traverse(Segment *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->tail);
    return parked_traverse_chain(self->inner, visit, arg);
}

/* A long list of tails is freed in a loop. */
static void
segment_dealloc(Segment *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, segment_dealloc)
    Parked *inner = self->inner;
    self->inner = NULL;
    parked_clear_chain(inner);
    Py_XDECREF(self->tail);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* Without tp_clear: every cycle through a segment goes through a fiber or a continuation. */
static PyType_Slot segment_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Private: captured frames.")},
    {Py_tp_dealloc, segment_dealloc},
    {Py_tp_traverse, segment_traverse},
    {0, NULL},
};

PyType_Spec segment_spec = {
    .name = "stackful._core.Segment",
    .basicsize = sizeof(Segment),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = segment_slots,
};

/* ---- the type Continuation ----------------------------------------------------------------- */

Continuation *
continuation_new(CoreState *core, Py_ssize_t count)
{
    Continuation *k = (Continuation *)core->continuation_type->tp_alloc(core->continuation_type, count);
    for (Py_ssize_t i = 0; k != NULL && i < count; i++) {
        k->pieces[i].segment = segment_new(core);
        if (k->pieces[i].segment == NULL) {
            Py_CLEAR(k);
        }
    }
    return k;
}

static int
continuation_traverse(Continuation *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_VISIT(self->pieces[i].segment);
        Py_VISIT(self->pieces[i].handled);
        int stopped = marks_traverse(&self->pieces[i].marks, visit, arg);
        if (stopped) {
            return stopped;
        }
    }
    return 0;
}

static int
continuation_clear(Continuation *self)
{
    for (Py_ssize_t i = 0; i < Py_SIZE(self); i++) {
        Py_CLEAR(self->pieces[i].segment);
        marks_clear(&self->pieces[i].marks);
        Py_CLEAR(self->pieces[i].handled);
    }
    return 0;
}

static void
continuation_dealloc(Continuation *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, continuation_dealloc)
    (void)continuation_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyObject *
continuation_repr(Continuation *self)
{
    return PyUnicode_FromFormat("<captured frames: %zd, in %zd levels, at %p>", self->depth, Py_SIZE(self), self);
}

static PyType_Slot continuation_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Private: use stackful.control and its kin.")},
    {Py_tp_dealloc, continuation_dealloc},
    {Py_tp_traverse, continuation_traverse},
    {Py_tp_clear, continuation_clear},
    {Py_tp_repr, continuation_repr},
    {0, NULL},
};

PyType_Spec continuation_spec = {
    .name = "stackful._core.Continuation",
    .basicsize = offsetof(Continuation, pieces),
    .itemsize = sizeof(Piece),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = continuation_slots,
};

/* ---- capture ------------------------------------------------------------------------------- */

/* Move the nodes of the fiber's top level into the segment. Cannot fail. */
static void
take_frames(Fiber *fiber, Segment *segment)
{
    Parked **link = &fiber->inner;
    Parked *last = NULL, *end = fiber->floor;
    segment->inner = fiber->inner;
    while (*link != end && !parked_is_stand_in(*link)) {
        last = *link;
        link = &last->outer;
        segment->depth++;
        segment->is_eager = segment->is_eager || !frame_forks_alone(&last->frame);
    }
    Parked *rest = *link;
    if (last == NULL) {
        segment->inner = NULL;
    }
    else {
        last->outer = NULL;
    }
    if (rest != end) {
        StandIn *stand_in = as_stand_in(rest);
        assert(rest->outer == end);
        segment->depth += stand_in->count;
        segment->tail = stand_in->segment;
        segment->tail_from = stand_in->from;
        segment->is_eager = segment->is_eager || segment->tail->is_eager;
        stand_in->segment = NULL;
        parked_free_node(rest);
    }
    else if (last != NULL) {
        frame_set_previous(&last->frame, NULL); /* who will be its caller is not known */
    }
    fiber->inner = end;
    fiber->depth -= segment->depth;
}

/* Move the fiber's innermost levels, with their frames, into k: as many as it has room for. Cannot fail. */
void
continuation_take(Fiber *fiber, Continuation *k)
{
    for (Py_ssize_t i = 0; i < Py_SIZE(k); i++) {
        Piece *piece = &k->pieces[i];
        take_frames(fiber, piece->segment);
        Level *level = level_pop(fiber);
        piece->marks = level->marks;
        piece->handled = level->exc.exc_value;
        PyMem_Free(level);
        k->depth += piece->segment->depth;
        k->is_eager = k->is_eager || piece->segment->is_eager;
    }
}

/* Take the levels from the innermost one to `last` off the stack: the continuation up to the prompt
 * of `last`, or with it. Nothing is changed on failure. */
PyObject *
continuation_capture(Fiber *fiber, Level *last, Taking how)
{
    Py_ssize_t count = 1;
    for (Level *level = fiber->level; level != last; level = level->below) {
        count++;
    }
    Marks prompt = {.tag = last->marks.tag, .state = last->marks.state};
    Level *fresh = how == PROMPT_STAYS ? level_new(&prompt) : NULL;
    Continuation *k = how == PROMPT_STAYS && fresh == NULL ? NULL : continuation_new(fiber->core, count);
    if (k == NULL) {
        if (fresh != NULL) {
            level_free(fresh);
        }
        return NULL;
    }
    continuation_take(fiber, k);
    if (fresh != NULL) {
        level_push(fiber, fresh);
    }
    if (how != PROMPT_IS_CAPTURED) {
        Py_CLEAR(k->pieces[count - 1].marks.tag);
        Py_CLEAR(k->pieces[count - 1].marks.state);
    }
    return (PyObject *)k;
}

/* ---- reinstate ----------------------------------------------------------------------------- */

void
continuation_unmake(PyObject *k, Made *made)
{
    for (Py_ssize_t i = 0; i < Py_SIZE(k); i++) {
        parked_clear_chain(made[i].inner);
        if (made[i].level != NULL) {
            level_free(made[i].level);
        }
    }
    PyMem_Free(made);
}

/* Nodes for all pieces: copies of all frames where some of them share what must be forked. */
static int
make_nodes(CoreState *core, Continuation *k, Made *made)
{
    Py_ssize_t count = Py_SIZE(k);
    for (Py_ssize_t i = 0; i < count; i++) {
        made[i].inner = stand_in_new(k->pieces[i].segment);
        if (made[i].inner == NULL) {
            return -1;
        }
    }
    if (!k->is_eager) {
        return 0;
    }
    Parked **chains = PyMem_Calloc(count, sizeof(Parked *));
    if (chains == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        chains[i] = made[i].inner;
    }
    int failed = parked_clone_chains(core, chains, count);
    for (Py_ssize_t i = 0; i < count && !failed; i++) {
        parked_clear_chain(made[i].inner); /* the stand-in */
        made[i].inner = chains[i];
    }
    PyMem_Free(chains);
    return failed;
}

static int
make_levels(Continuation *k, PyObject *delimiter, Made *made)
{
    Py_ssize_t count = Py_SIZE(k);
    for (Py_ssize_t i = 0; i < count; i++) {
        Piece *piece = &k->pieces[i];
        Marks marks = piece->marks;
        if (i == count - 1 && delimiter != NULL) {
            marks.tag = delimiter;
            marks.state = NULL;
        }
        Level *level = made[i].level = level_new(&marks);
        if (level == NULL) {
            return -1;
        }
        level->exc.exc_value = Py_XNewRef(piece->handled);
    }
    return 0;
}

/* Nobody else has `k`, which is about to be used up: its segments go to the stand-ins, so that frames are moved that
 * nobody else has, and need not be copied. */
static void
hand_over(Continuation *k, Made *made)
{
    for (Py_ssize_t i = 0; i < Py_SIZE(k); i++) {
        if (parked_is_stand_in(made[i].inner)) {
            Py_CLEAR(k->pieces[i].segment);
        }
    }
}

/* What continuation_put puts on a stack: for each piece its level, that of the outermost with the tag
 * `delimiter` (NULL: its own), and its nodes, the innermost of all a frame that can be run. */
Made *
continuation_make(CoreState *core, PyObject *k, PyObject *delimiter)
{
    Made *made = PyMem_Calloc(Py_SIZE(k), sizeof(Made));
    if (made == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (make_nodes(core, (Continuation *)k, made) < 0 || make_levels((Continuation *)k, delimiter, made) < 0) {
        continuation_unmake(k, made);
        return NULL;
    }
    if (Py_REFCNT(k) == 1) {
        hand_over((Continuation *)k, made);
    }
    Segment *unused = NULL;
    if (parked_is_stand_in(made[0].inner) && stand_in_expand(core, &made[0].inner, &unused) < 0) {
        continuation_unmake(k, made);
        return NULL;
    }
    Py_XDECREF(unused);
    return made;
}

/* Put a level and its frames on top. Cannot fail. */
static void
put(Fiber *fiber, Made *made)
{
    level_push(fiber, made->level);
    for (Parked *node = made->inner; node != NULL; node = node->outer) {
        fiber->depth += parked_count(node);
        if (node->outer == NULL) {
            node->outer = fiber->inner;
            if (!parked_is_stand_in(node)) {
                parked_set_previous(node);
            }
            break;
        }
    }
    fiber->inner = made->inner;
    made->inner = NULL;
    made->level = NULL;
}

/* Put the frames of k on the fiber's stack. Uses up `made`. Cannot fail. */
void
continuation_put(Fiber *fiber, PyObject *k, Made *made)
{
    for (Py_ssize_t i = Py_SIZE(k) - 1; i >= 0; i--) {
        put(fiber, &made[i]);
    }
    PyMem_Free(made);
}
