/* Where iterators written in C stand, as Python values, and back: those of itertools and of dicts.
 *
 * A state is a tuple: the fields of the iterator in the order of its layout, core->null for NULL, then the items of its extra.
 * It is put into an iterator that has just been made of core->exhausted, and into no other: what somebody advances right now must
 * not change under it. Whatever a forged state says, the iterator can be advanced: each field is held against what the
 * type's own code takes for granted. */
#include "iterator_states.h"

static bool
is_batched(const Filling *filling)
{
    if (BATCHED_ENDS_BELOW_ZERO && filling->numbers[1] == -1) {
        return true;
    }
    return filling->numbers[1] > 0 && (filling->objects[0] != NULL || !BATCHED_ENDS_BELOW_ZERO);
}

/* Stopped, it looks at nothing else. The arrays are looked at by the extra. */
static bool
is_chosen(const Filling *filling)
{
    Py_ssize_t r = filling->numbers[1];
    return r >= 0 && r <= PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(Py_ssize_t);
}

/* The initial value becomes the total, and is forgotten: never are both there (v3.13.0 Modules/itertoolsmodule.c, accumulate_next). */
static bool
is_accumulated(const Filling *filling)
{
    return filling->objects[1] == NULL || filling->objects[3] == Py_None;
}

/* `currvalue` is asked for first, and then there must be a key. */
static bool
is_grouped(const Filling *filling)
{
    return (filling->objects[3] == NULL) == (filling->objects[4] == NULL);
}

static bool
is_group(const Filling *filling)
{
    return is_builtin_named(Py_TYPE(filling->objects[1]), "itertools.groupby");
}

static bool
is_slice(const Filling *filling)
{
    const Py_ssize_t *numbers = filling->numbers;
    return numbers[1] >= 0 && numbers[2] >= -1 && numbers[3] >= 1 && numbers[4] >= 0;
}

static bool
is_repeated(const Filling *filling)
{
    return filling->numbers[1] >= -1;
}

static bool
is_tee(const Filling *filling)
{
    return is_builtin_named(Py_TYPE(filling->objects[0]), "itertools._tee_dataobject") && filling->numbers[1] >= 0 &&
           filling->numbers[1] <= TEE_CELLS;
}

static bool
is_of_dict(const Filling *filling)
{
    return filling->objects[0] == NULL || IS_ANY_DICT(filling->objects[0]);
}

#define FIELD(structure, member, kind) {kind, offsetof(structure, member)}
#define DICT_FIELDS {FIELD(DictIterator, di_dict, MAYBE_OBJECT), FIELD(DictIterator, di_used, A_SIZE), FIELD(DictIterator, len, A_SIZE)}
#define CHOSEN_FIELDS(structure) {FIELD(structure, pool, A_TUPLE), FIELD(structure, r, A_SIZE), FIELD(structure, stopped, AN_INT)}
#define APPLIED_FIELDS {FIELD(Applied, it, AN_ITERATOR), FIELD(Applied, func, AN_OBJECT)}
#define WHILE_FIELDS {FIELD(While, it, AN_ITERATOR), FIELD(While, func, AN_OBJECT), FIELD(While, flag, A_LONG)}

/* The first field is where core->exhausted is in an iterator that may be filled. */
static const Layout layouts[] = {
    {"itertools.accumulate", sizeof(Accumulate),
     {FIELD(Accumulate, it, AN_ITERATOR), FIELD(Accumulate, total, MAYBE_OBJECT), FIELD(Accumulate, binop, MAYBE_OBJECT),
      FIELD(Accumulate, initial, AN_OBJECT)}, is_accumulated},
    {"itertools.batched", sizeof(Batched),
     {FIELD(Batched, it, MAYBE_ITERATOR), FIELD(Batched, batch_size, A_SIZE),
#ifdef BATCHED_CAN_BE_STRICT
      FIELD(Batched, strict, A_BOOL)
#endif
     }, is_batched},
    {"itertools.chain", sizeof(Chain), {FIELD(Chain, source, MAYBE_ITERATOR), FIELD(Chain, active, MAYBE_ITERATOR)}},
    {"itertools.combinations", sizeof(Combinations), CHOSEN_FIELDS(Combinations), is_chosen, &extra_chosen},
    {"itertools.combinations_with_replacement", sizeof(Combinations), CHOSEN_FIELDS(Combinations), is_chosen, &extra_chosen_again},
    {"itertools.compress", sizeof(Compress), {FIELD(Compress, data, AN_ITERATOR), FIELD(Compress, selectors, AN_ITERATOR)}},
    {"itertools.count", sizeof(Count),
     {FIELD(Count, long_step, AN_OBJECT), FIELD(Count, long_cnt, MAYBE_OBJECT), FIELD(Count, cnt, A_SIZE)}},
    {"itertools.cycle", sizeof(Cycle), {FIELD(Cycle, it, MAYBE_ITERATOR)}, NULL, &extra_saved},
    {"itertools.dropwhile", sizeof(While), WHILE_FIELDS},
    {"itertools.filterfalse", sizeof(Applied), APPLIED_FIELDS},
    {"itertools.groupby", sizeof(GroupBy),
     {FIELD(GroupBy, it, AN_ITERATOR), FIELD(GroupBy, keyfunc, AN_OBJECT), FIELD(GroupBy, tgtkey, MAYBE_OBJECT),
      FIELD(GroupBy, currkey, MAYBE_OBJECT), FIELD(GroupBy, currvalue, MAYBE_OBJECT)}, is_grouped},
    {"itertools._grouper", sizeof(Grouper), {FIELD(Grouper, tgtkey, AN_OBJECT), FIELD(Grouper, parent, AN_OBJECT)}, is_group,
     &extra_current},
    {"itertools.islice", sizeof(Islice),
     {FIELD(Islice, it, MAYBE_ITERATOR), FIELD(Islice, next, A_SIZE), FIELD(Islice, stop, A_SIZE), FIELD(Islice, step, A_SIZE),
      FIELD(Islice, cnt, A_SIZE)}, is_slice},
    {"itertools.pairwise", sizeof(Pairwise), {FIELD(Pairwise, it, MAYBE_ITERATOR), FIELD(Pairwise, old, MAYBE_OBJECT)}},
    {"itertools.permutations", sizeof(Permutations), CHOSEN_FIELDS(Permutations), is_chosen, &extra_permuted},
    {"itertools.product", sizeof(Product), {FIELD(Product, pools, A_TUPLE), FIELD(Product, stopped, AN_INT)}, NULL, &extra_multiplied},
    {"itertools.repeat", sizeof(Repeat), {FIELD(Repeat, element, AN_OBJECT), FIELD(Repeat, cnt, A_SIZE)}, is_repeated},
    {"itertools.starmap", sizeof(Applied), APPLIED_FIELDS},
    {"itertools.takewhile", sizeof(While), WHILE_FIELDS},
    {"itertools._tee", sizeof(Tee), {FIELD(Tee, dataobj, AN_OBJECT), FIELD(Tee, index, AN_INT)}, is_tee, &extra_links},
    {"itertools.zip_longest", sizeof(ZipLongest), {FIELD(ZipLongest, fillvalue, AN_OBJECT)}, NULL, &extra_zipped},
    {"dict_keyiterator", sizeof(DictIterator), DICT_FIELDS, is_of_dict, &extra_forward},
    {"dict_valueiterator", sizeof(DictIterator), DICT_FIELDS, is_of_dict, &extra_forward},
    {"dict_itemiterator", sizeof(DictIterator), DICT_FIELDS, is_of_dict, &extra_forward},
    {"dict_reversekeyiterator", sizeof(DictIterator), DICT_FIELDS, is_of_dict, &extra_backward},
    {"dict_reversevalueiterator", sizeof(DictIterator), DICT_FIELDS, is_of_dict, &extra_backward},
    {"dict_reverseitemiterator", sizeof(DictIterator), DICT_FIELDS, is_of_dict, &extra_backward},
    {"memory_iterator", sizeof(MemoryIterator), {FIELD(MemoryIterator, it_seq, MAYBE_OBJECT), FIELD(MemoryIterator, it_index, A_SIZE)}},
};

/* Borrowed for ever; NULL with an exception where nothing is known of the type, or its size is not what was compiled in. */
static const Layout *
layout_of(PyObject *iterator)
{
    PyTypeObject *type = Py_TYPE(iterator);
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (is_builtin_named(type, layouts[i].name) && type->tp_basicsize == layouts[i].size) {
            return &layouts[i];
        }
    }
    PyErr_Format(PyExc_TypeError, "nothing is known of where a %R stands", type);
    return NULL;
}

static int
field_count(const Layout *layout)
{
    int count = 0;
    while (count < MOST_FIELDS && layout->fields[count].kind != NO_FIELD) {
        count++;
    }
    return count;
}

static PyObject *
field_read(CoreState *core, PyObject *iterator, const Field *field)
{
    PyObject *object;
    switch (field->kind) {
    case A_SIZE:
        return PyLong_FromSsize_t(AT(iterator, field->offset, Py_ssize_t));
    case A_LONG:
        return PyLong_FromLong(AT(iterator, field->offset, long));
    case AN_INT:
        return PyLong_FromLong(AT(iterator, field->offset, int));
    case A_BOOL:
        return PyBool_FromLong(AT(iterator, field->offset, bool));
    default:
        object = AT(iterator, field->offset, PyObject *);
        return Py_NewRef(object == NULL ? core->null : object);
    }
}

/* iterator_state(iterator): where it stands, for fill_iterator; TypeError where that is not known. */
PyObject *
core_iterator_state(PyObject *module, PyObject *iterator)
{
    CoreState *core = core_state(module);
    const Layout *layout = layout_of(iterator);
    if (layout == NULL) {
        return NULL;
    }
    PyObject *extra[MOST_EXTRAS] = {NULL};
    int fields = field_count(layout), extras = layout->extra == NULL ? 0 : layout->extra->count;
    PyObject *state = PyTuple_New(fields + extras);
    bool failed = state == NULL || (extras > 0 && layout->extra->read(core, iterator, extra) < 0);
    for (int i = 0; !failed && i < fields; i++) {
        PyObject *value = field_read(core, iterator, &layout->fields[i]);
        failed = value == NULL;
        PyTuple_SET_ITEM(state, i, value);
    }
    for (int i = 0; i < extras; i++) {
        if (failed) {
            Py_XDECREF(extra[i]);
        }
        else {
            PyTuple_SET_ITEM(state, fields + i, extra[i]);
        }
    }
    if (failed) {
        Py_CLEAR(state);
    }
    return state;
}

int
state_refuse(const Filling *filling, const char *why)
{
    if (!PyErr_Occurred() || !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Format(PyExc_ValueError, "this is no state of a %s: %s", filling->layout->name, why);
    }
    return -1;
}

static Py_ssize_t
most_of(Kind kind)
{
    return kind == A_SIZE ? PY_SSIZE_T_MAX : kind == A_LONG ? LONG_MAX : kind == AN_INT ? INT_MAX : 1;
}

static Py_ssize_t
least_of(Kind kind)
{
    return kind == A_SIZE ? PY_SSIZE_T_MIN : kind == A_LONG ? LONG_MIN : kind == AN_INT ? INT_MIN : 0;
}

/* Take one value of a state, if its field can hold it. */
static int
field_take(Filling *filling, int index, PyObject *value)
{
    Kind kind = filling->layout->fields[index].kind;
    if (kind >= A_SIZE) {
        Py_ssize_t number = PyLong_Check(value) ? PyLong_AsSsize_t(value) : PY_SSIZE_T_MIN;
        if (!PyLong_Check(value) || PyErr_Occurred() || number > most_of(kind) || number < least_of(kind)) {
            return state_refuse(filling, "a number does not fit");
        }
        filling->numbers[index] = number;
        return 0;
    }
    bool maybe = kind == MAYBE_OBJECT || kind == MAYBE_ITERATOR;
    if (value == filling->core->null) {
        return maybe ? 0 : state_refuse(filling, "something is missing");
    }
    if ((kind == AN_ITERATOR || kind == MAYBE_ITERATOR) && !PyIter_Check(value)) {
        return state_refuse(filling, "something is no iterator");
    }
    if (kind == A_TUPLE && !PyTuple_CheckExact(value)) {
        return state_refuse(filling, "something is no tuple");
    }
    filling->objects[index] = Py_NewRef(value);
    return 0;
}

static int
filling_prepare(Filling *filling, PyObject *state)
{
    const Layout *layout = filling->layout;
    int fields = field_count(layout), extras = layout->extra == NULL ? 0 : layout->extra->count;
    if (!PyTuple_CheckExact(state) || PyTuple_GET_SIZE(state) != fields + extras) {
        return state_refuse(filling, "it has another length");
    }
    for (int i = 0; i < fields; i++) {
        if (field_take(filling, i, PyTuple_GET_ITEM(state, i)) < 0) {
            return -1;
        }
    }
    if (layout->is_possible != NULL && !layout->is_possible(filling)) {
        return state_refuse(filling, "its parts do not go together");
    }
    return extras == 0 ? 0 : layout->extra->prepare(filling, &PyTuple_GET_ITEM(state, fields));
}

static void
filling_commit(Filling *filling, PyObject *iterator)
{
    const Layout *layout = filling->layout;
    for (int i = 0; i < field_count(layout); i++) {
        const Field *field = &layout->fields[i];
        PyObject *before;
        switch (field->kind) {
        case A_SIZE:
            AT(iterator, field->offset, Py_ssize_t) = filling->numbers[i];
            break;
        case A_LONG:
            AT(iterator, field->offset, long) = (long)filling->numbers[i];
            break;
        case AN_INT:
            AT(iterator, field->offset, int) = (int)filling->numbers[i];
            break;
        case A_BOOL:
            AT(iterator, field->offset, bool) = filling->numbers[i] != 0;
            break;
        default:
            before = AT(iterator, field->offset, PyObject *);
            AT(iterator, field->offset, PyObject *) = filling->objects[i];
            filling->objects[i] = before;
        }
    }
    if (layout->extra != NULL) {
        layout->extra->commit(filling, iterator);
    }
}

static void
filling_clear(Filling *filling)
{
    for (int i = 0; i < MOST_FIELDS; i++) {
        Py_XDECREF(filling->objects[i]);
    }
    for (int i = 0; i < 2; i++) {
        Py_XDECREF(filling->made[i]);
        PyMem_Free(filling->arrays[i]);
    }
}

/* Made of core->exhausted, and not filled yet? It may be wrapped in tuples, in a dict, or in a link of tee(). */
static bool
is_blank(CoreState *core, const Layout *layout, PyObject *iterator)
{
    PyObject *first = AT(iterator, layout->extra == &extra_zipped ? offsetof(ZipLongest, ittuple) : layout->fields[0].offset, PyObject *);
    if (layout->extra == &extra_forward || layout->extra == &extra_backward) {
        return first != NULL && PyDict_CheckExact(first) && PyDict_GET_SIZE(first) == 1 && PyDict_Contains(first, core->exhausted) == 1;
    }
    if (layout->extra == &extra_links) {
        return first != NULL && ((TeeLink *)first)->it == core->exhausted;
    }
    while (first != NULL && PyTuple_CheckExact(first) && PyTuple_GET_SIZE(first) == 1) {
        first = PyTuple_GET_ITEM(first, 0);
    }
    return first == core->exhausted;
}

/* fill_iterator(iterator, state): put it where the state says. All or nothing. ValueError where there can be no such state, or the
 * iterator is not one that was made to be filled. */
PyObject *
core_fill_iterator(PyObject *module, PyObject *args)
{
    PyObject *iterator, *state;
    if (!PyArg_ParseTuple(args, "OO", &iterator, &state)) {
        return NULL;
    }
    Filling filling = {.core = core_state(module), .layout = layout_of(iterator), .iterator = iterator};
    if (filling.layout == NULL) {
        return NULL;
    }
    if (!is_blank(filling.core, filling.layout, iterator)) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "%R is in use: only a new one is filled", iterator);
    }
    int failed = filling_prepare(&filling, state) < 0;
    if (!failed) {
        filling_commit(&filling, iterator);
    }
    filling_clear(&filling);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* A new iterator at its end. */
PyObject *
iterator_exhausted(void)
{
    PyObject *empty = PyTuple_New(0), *iterator = empty == NULL ? NULL : PyObject_GetIter(empty), *item;
    Py_XDECREF(empty);
    item = iterator == NULL ? NULL : PyIter_Next(iterator);
    assert(item == NULL);
    (void)item;
    return iterator;
}
