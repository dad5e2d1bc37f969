/* What some iterators have beside plain fields: arrays of indices, tuples that they share with nobody, links of tee(). */
#include "iterator_states.h"

/* --- arrays of indices ---------------------------------------------------------------------------------------------- */

static PyObject *
numbers_read(const Py_ssize_t *numbers, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *number = PyLong_FromSsize_t(numbers[i]);
        if (number == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, number);
    }
    return tuple;
}

/* A new array of `count` numbers from a tuple of as many; of none where the iterator has stopped, and looks at none. */
static Py_ssize_t *
numbers_take(Filling *filling, PyObject *tuple, Py_ssize_t count, bool stopped)
{
    Py_ssize_t *numbers;
    if (!PyTuple_CheckExact(tuple) || PyTuple_GET_SIZE(tuple) != (stopped ? 0 : count)) {
        (void)state_refuse(filling, "it has another number of indices");
        return NULL;
    }
    numbers = PyMem_Calloc(stopped || count == 0 ? 1 : count, sizeof(Py_ssize_t));
    if (numbers == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *number = PyTuple_GET_ITEM(tuple, i);
        numbers[i] = PyLong_Check(number) ? PyLong_AsSsize_t(number) : -1;
        if (numbers[i] < 0) {
            PyErr_Clear();
            PyMem_Free(numbers);
            (void)state_refuse(filling, "an index is no index");
            return NULL;
        }
    }
    return numbers;
}

/* The last result, which the iterator changes in place where nobody else has it: so it is made anew. */
static PyObject *
result_of(PyObject *pool, const Py_ssize_t *indices, Py_ssize_t count)
{
    PyObject *result = PyTuple_New(count);
    for (Py_ssize_t i = 0; result != NULL && i < count; i++) {
        PyTuple_SET_ITEM(result, i, Py_NewRef(PyTuple_GET_ITEM(pool, indices[i])));
    }
    return result;
}

/* (has it begun, indices, cycles); the indices are () once it has stopped. */
static int
chosen_read_all(PyObject *result, const Py_ssize_t *indices, Py_ssize_t count, const Py_ssize_t *cycles, Py_ssize_t turns,
                bool stopped, PyObject **items)
{
    items[0] = PyBool_FromLong(result != NULL);
    items[1] = numbers_read(indices, stopped ? 0 : count);
    items[2] = numbers_read(cycles, stopped ? 0 : turns);
    return items[1] == NULL || items[2] == NULL ? -1 : 0;
}

static int
chosen_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    Combinations *it = (Combinations *)iterator;
    return chosen_read_all(it->result, it->indices, it->r, NULL, 0, it->stopped, items);
}

static int
permuted_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    Permutations *it = (Permutations *)iterator;
    return chosen_read_all(it->result, it->indices, PyTuple_GET_SIZE(it->pool), it->cycles, it->r, it->stopped, items);
}

typedef bool (*Order)(const Py_ssize_t *indices, Py_ssize_t i, Py_ssize_t r, Py_ssize_t n);

/* Index i has as many above it as there are to come (v3.13.0 Modules/itertoolsmodule.c, combinations_next). */
static bool
goes_up(const Py_ssize_t *indices, Py_ssize_t i, Py_ssize_t r, Py_ssize_t n)
{
    return indices[i] <= i + n - r && (i == 0 || indices[i] > indices[i - 1]);
}

static bool
goes_not_down(const Py_ssize_t *indices, Py_ssize_t i, Py_ssize_t r, Py_ssize_t n)
{
    return indices[i] < n && (i == 0 || indices[i] >= indices[i - 1]);
}

/* Arrays, and the result, of a choice of `r` from filling->objects[0]. Before the first, index i is i times `step`: CPython relies on it
   (v3.14.0 Modules/itertoolsmodule.c, cwr_next, asserts it). */
static int
chosen_prepare_by(Filling *filling, PyObject **items, Order fits, Py_ssize_t step)
{
    PyObject *pool = filling->objects[0];
    Py_ssize_t r = filling->numbers[1], n = PyTuple_GET_SIZE(pool);
    bool stopped = filling->numbers[2] != 0;
    filling->arrays[0] = numbers_take(filling, items[1], r, stopped);
    if (filling->arrays[0] == NULL) {
        return -1;
    }
    bool begun = items[0] == Py_True;
    for (Py_ssize_t i = 0; !stopped && i < r; i++) {
        if (!fits(filling->arrays[0], i, r, n) || (!begun && filling->arrays[0][i] != i * step)) {
            return state_refuse(filling, "an index is out of place");
        }
    }
    if (begun && !stopped) {
        filling->made[0] = result_of(pool, filling->arrays[0], r);
        return filling->made[0] == NULL ? -1 : 0;
    }
    return 0;
}

static int
chosen_prepare(Filling *filling, PyObject **items)
{
    return chosen_prepare_by(filling, items, goes_up, 1);
}

static int
chosen_again_prepare(Filling *filling, PyObject **items)
{
    return chosen_prepare_by(filling, items, goes_not_down, 0);
}

/* Each index once, and each cycle within what is left of the pool (permutations_next); as they are at first, if it has not begun. */
static bool
is_permutation(const Filling *filling, Py_ssize_t n, Py_ssize_t r, bool begun, char *seen)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t index = filling->arrays[0][i];
        if (index >= n || seen[index] || (!begun && index != i)) {
            return false;
        }
        seen[index] = 1;
    }
    for (Py_ssize_t i = 0; i < r; i++) {
        Py_ssize_t cycle = filling->arrays[1][i];
        if (cycle < 1 || cycle > n - i || (!begun && cycle != n - i)) {
            return false;
        }
    }
    return r <= n;
}

static int
permuted_prepare(Filling *filling, PyObject **items)
{
    PyObject *pool = filling->objects[0];
    Py_ssize_t r = filling->numbers[1], n = PyTuple_GET_SIZE(pool);
    bool stopped = filling->numbers[2] != 0;
    char *seen;
    filling->arrays[0] = numbers_take(filling, items[1], n, stopped);
    filling->arrays[1] = filling->arrays[0] == NULL ? NULL : numbers_take(filling, items[2], r, stopped);
    if (filling->arrays[1] == NULL) {
        return -1;
    }
    if (stopped) {
        return 0;
    }
    seen = PyMem_Calloc(n + 1, 1);
    if (seen == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    bool fits = is_permutation(filling, n, r, items[0] == Py_True, seen);
    PyMem_Free(seen);
    if (!fits) {
        return state_refuse(filling, "an index is out of place");
    }
    if (items[0] == Py_True) {
        filling->made[0] = result_of(pool, filling->arrays[0], r);
    }
    return items[0] == Py_True && filling->made[0] == NULL ? -1 : 0;
}

static void
numbers_swap(Py_ssize_t **place, Py_ssize_t **other)
{
    Py_ssize_t *before = *place;
    *place = *other;
    *other = before;
}

static void
objects_swap(PyObject **place, PyObject **other)
{
    PyObject *before = *place;
    *place = *other;
    *other = before;
}

static void
chosen_commit(Filling *filling, PyObject *iterator)
{
    numbers_swap(&((Combinations *)iterator)->indices, &filling->arrays[0]);
    objects_swap(&((Combinations *)iterator)->result, &filling->made[0]);
}

static void
permuted_commit(Filling *filling, PyObject *iterator)
{
    numbers_swap(&((Permutations *)iterator)->indices, &filling->arrays[0]);
    numbers_swap(&((Permutations *)iterator)->cycles, &filling->arrays[1]);
    objects_swap(&((Permutations *)iterator)->result, &filling->made[0]);
}

const Extra extra_chosen = {3, chosen_read, chosen_prepare, chosen_commit};
const Extra extra_chosen_again = {3, chosen_read, chosen_again_prepare, chosen_commit};
const Extra extra_permuted = {3, permuted_read, permuted_prepare, permuted_commit};

/* --- product: (has it begun, indices) ------------------------------------------------------------------------------- */

static int
multiplied_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    Product *it = (Product *)iterator;
    items[0] = PyBool_FromLong(it->result != NULL);
    items[1] = numbers_read(it->indices, it->stopped ? 0 : PyTuple_GET_SIZE(it->pools));
    return items[1] == NULL ? -1 : 0;
}

static int
multiplied_prepare(Filling *filling, PyObject **items)
{
    PyObject *pools = filling->objects[0];
    Py_ssize_t count = PyTuple_GET_SIZE(pools);
    bool stopped = filling->numbers[1] != 0, begun = items[0] == Py_True && !stopped;
    filling->arrays[0] = numbers_take(filling, items[1], count, stopped);
    filling->made[0] = filling->arrays[0] != NULL && begun ? PyTuple_New(count) : NULL;
    if (filling->arrays[0] == NULL || (begun && filling->made[0] == NULL)) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pool = PyTuple_GET_ITEM(pools, i);
        Py_ssize_t index = stopped ? 0 : filling->arrays[0][i];
        if (!PyTuple_CheckExact(pool) || (begun ? index >= PyTuple_GET_SIZE(pool) : index != 0)) {
            return state_refuse(filling, "an index is out of place");
        }
        if (begun) {
            PyTuple_SET_ITEM(filling->made[0], i, Py_NewRef(PyTuple_GET_ITEM(pool, index)));
        }
    }
    return 0;
}

static void
multiplied_commit(Filling *filling, PyObject *iterator)
{
    numbers_swap(&((Product *)iterator)->indices, &filling->arrays[0]);
    objects_swap(&((Product *)iterator)->result, &filling->made[0]);
}

const Extra extra_multiplied = {2, multiplied_read, multiplied_prepare, multiplied_commit};

/* --- cycle: (what it has seen, index, is the rest of its iterator among that?) -------------------------------------- */

static int
saved_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    Cycle *it = (Cycle *)iterator;
    items[0] = PyList_AsTuple(it->saved);
    items[1] = PyLong_FromSsize_t(it->it == NULL ? it->index : 0);
    items[2] = PyBool_FromLong(cycle_saves_no_more(it));
    return items[0] == NULL || items[1] == NULL ? -1 : 0;
}

static int
saved_prepare(Filling *filling, PyObject **items)
{
    Py_ssize_t index = PyLong_Check(items[1]) ? PyLong_AsSsize_t(items[1]) : -1;
    if (index < 0 || !PyTuple_CheckExact(items[0]) || (index > 0 && index >= PyTuple_GET_SIZE(items[0]))) {
        PyErr_Clear();
        return state_refuse(filling, "an index is out of place");
    }
    filling->number = filling->objects[0] != NULL ? CYCLE_BEGINS : index;
    filling->numbers[1] = items[2] == Py_True;
    filling->made[0] = PySequence_List(items[0]); /* which nobody else has */
    return filling->made[0] == NULL ? -1 : 0;
}

static void
saved_commit(Filling *filling, PyObject *iterator)
{
    ((Cycle *)iterator)->index = filling->number;
    cycle_set_saves_no_more((Cycle *)iterator, filling->numbers[1]);
    objects_swap(&((Cycle *)iterator)->saved, &filling->made[0]);
}

const Extra extra_saved = {3, saved_read, saved_prepare, saved_commit};

/* --- zip_longest: (iterators, NULL for those at their end; how many are not) ---------------------------------------- */

static int
zipped_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    ZipLongest *it = (ZipLongest *)iterator;
    items[0] = PyTuple_New(it->tuplesize);
    items[1] = PyBool_FromLong(it->numactive > 0);
    for (Py_ssize_t i = 0; items[0] != NULL && i < it->tuplesize; i++) {
        PyObject *inner = PyTuple_GET_ITEM(it->ittuple, i);
        PyTuple_SET_ITEM(items[0], i, Py_NewRef(inner == NULL ? core->null : inner));
    }
    return items[0] == NULL ? -1 : 0;
}

static int
zipped_prepare(Filling *filling, PyObject **items)
{
    Py_ssize_t count = PyTuple_CheckExact(items[0]) ? PyTuple_GET_SIZE(items[0]) : -1;
    if (count < 0) {
        return state_refuse(filling, "something is no tuple");
    }
    filling->made[0] = PyTuple_New(count);
    filling->made[1] = PyTuple_New(count);
    if (filling->made[0] == NULL || filling->made[1] == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *inner = PyTuple_GET_ITEM(items[0], i);
        PyTuple_SET_ITEM(filling->made[1], i, Py_NewRef(Py_None));
        if (inner == filling->core->null) {
            continue;
        }
        if (!PyIter_Check(inner)) {
            return state_refuse(filling, "something is no iterator");
        }
        PyTuple_SET_ITEM(filling->made[0], i, Py_NewRef(inner));
        filling->number += items[1] == Py_True;
    }
    return 0;
}

static void
zipped_commit(Filling *filling, PyObject *iterator)
{
    ZipLongest *it = (ZipLongest *)iterator;
    it->tuplesize = PyTuple_GET_SIZE(filling->made[0]);
    it->numactive = filling->number;
    objects_swap(&it->ittuple, &filling->made[0]);
    objects_swap(&it->result, &filling->made[1]);
}

const Extra extra_zipped = {2, zipped_read, zipped_prepare, zipped_commit};

/* --- a group of groupby: (is it the one that groupby is at?) -------------------------------------------------------- */

static int
current_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    items[0] = PyBool_FromLong(((GroupBy *)((Grouper *)iterator)->parent)->currgrouper == iterator);
    return 0;
}

static int
current_prepare(Filling *filling, PyObject **items)
{
    filling->number = items[0] == Py_True;
    return 0;
}

static void
current_commit(Filling *filling, PyObject *iterator)
{
    if (filling->number) {
        ((GroupBy *)((Grouper *)iterator)->parent)->currgrouper = iterator;
    }
}

const Extra extra_current = {1, current_read, current_prepare, current_commit};

/* --- tee: ((link, iterator, items), ...), from where it stands to where the foremost of its kin stands --------------- */

static PyObject *
link_read(TeeLink *link)
{
    PyObject *values = PyTuple_New(link->numread);
    for (int i = 0; values != NULL && i < link->numread; i++) {
        PyTuple_SET_ITEM(values, i, Py_NewRef(link->values[i]));
    }
    return values == NULL ? NULL : Py_BuildValue("OON", link, link->it, values);
}

static int
links_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    PyObject *list = PyList_New(0);
    TeeLink *link = (TeeLink *)((Tee *)iterator)->dataobj;
    for (; list != NULL && link != NULL; link = (TeeLink *)link->nextlink) {
        PyObject *entry = link_read(link);
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
    }
    items[0] = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return items[0] == NULL ? -1 : 0;
}

static bool
is_empty_link(const Filling *filling, PyObject *link)
{
    return ((TeeLink *)link)->it == filling->core->exhausted;
}

/* All links but the last are full. One that another tee has filled stays as it is. */
static bool
is_link(PyObject *entry, PyTypeObject *type, bool last)
{
    PyObject *values;
    if (!PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != 3 || !Py_IS_TYPE(PyTuple_GET_ITEM(entry, 0), type) ||
        !PyIter_Check(PyTuple_GET_ITEM(entry, 1))) {
        return false;
    }
    values = PyTuple_GET_ITEM(entry, 2);
    return PyTuple_CheckExact(values) && (last ? PyTuple_GET_SIZE(values) <= TEE_CELLS : PyTuple_GET_SIZE(values) == TEE_CELLS);
}

static int
links_prepare(Filling *filling, PyObject **items)
{
    PyObject *first = filling->objects[0];
    Py_ssize_t count = PyTuple_CheckExact(items[0]) ? PyTuple_GET_SIZE(items[0]) : 0, read;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!is_link(PyTuple_GET_ITEM(items[0], i), Py_TYPE(first), i == count - 1)) {
            return state_refuse(filling, "a link is none");
        }
    }
    if (count == 0 || PyTuple_GET_ITEM(PyTuple_GET_ITEM(items[0], 0), 0) != first) {
        return state_refuse(filling, "it begins with another link");
    }
    read = is_empty_link(filling, first) ? PyTuple_GET_SIZE(PyTuple_GET_ITEM(PyTuple_GET_ITEM(items[0], 0), 2))
                                         : ((TeeLink *)first)->numread;
    if (filling->numbers[1] > read) {
        return state_refuse(filling, "an index is out of place");
    }
    filling->made[0] = Py_NewRef(items[0]);
    return 0;
}

static void
link_fill(TeeLink *link, PyObject *entry, PyObject *next)
{
    PyObject *values = PyTuple_GET_ITEM(entry, 2);
    PyObject *before = link->it;
    link->it = Py_NewRef(PyTuple_GET_ITEM(entry, 1));
    Py_DECREF(before); /* core->exhausted, which lives on */
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(values); i++) {
        link->values[i] = Py_NewRef(PyTuple_GET_ITEM(values, i));
    }
    link->numread = (int)PyTuple_GET_SIZE(values);
    link->nextlink = next == NULL ? NULL : Py_NewRef(PyTuple_GET_ITEM(next, 0));
}

static void
links_commit(Filling *filling, PyObject *Py_UNUSED(iterator))
{
    PyObject *entries = filling->made[0];
    for (Py_ssize_t i = 0, count = PyTuple_GET_SIZE(entries); i < count; i++) {
        PyObject *entry = PyTuple_GET_ITEM(entries, i);
        if (is_empty_link(filling, PyTuple_GET_ITEM(entry, 0))) {
            link_fill((TeeLink *)PyTuple_GET_ITEM(entry, 0), entry, i + 1 < count ? PyTuple_GET_ITEM(entries, i + 1) : NULL);
        }
    }
}

const Extra extra_links = {1, links_read, links_prepare, links_commit};

/* --- dicts: (how many of those that are in it now lie behind) ------------------------------------------------------- */

/* How many entries there are before `end`: an unpickled dict has no gaps, where something was deleted. */
static Py_ssize_t
entries_before(PyObject *dict, Py_ssize_t end)
{
    Py_ssize_t pos = 0, count = 0;
    while (pos < end && PyDict_Next(dict, &pos, NULL, NULL) && pos <= end) {
        count++;
    }
    return count;
}

static int
position_read(PyObject *iterator, int more, PyObject **items)
{
    DictIterator *it = (DictIterator *)iterator;
    items[0] = PyLong_FromSsize_t(it->di_dict == NULL ? 0 : entries_before(it->di_dict, it->di_pos + more) - more);
    return items[0] == NULL ? -1 : 0;
}

static int
forward_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    return position_read(iterator, 0, items);
}

/* Backwards, di_pos is the entry that comes next, or -1. */
static int
backward_read(CoreState *core, PyObject *iterator, PyObject **items)
{
    return position_read(iterator, 1, items);
}

static int
forward_prepare(Filling *filling, PyObject **items)
{
    filling->number = PyLong_Check(items[0]) ? PyLong_AsSsize_t(items[0]) : -1;
    PyErr_Clear();
    return filling->number < 0 ? state_refuse(filling, "it stands before its dict") : 0;
}

/* CPython holds a position from the end against nothing, so the dict must be there already. */
static int
backward_prepare(Filling *filling, PyObject **items)
{
    Py_ssize_t position = PyLong_Check(items[0]) ? PyLong_AsSsize_t(items[0]) : PY_SSIZE_T_MAX;
    Py_ssize_t size = filling->objects[0] == NULL ? 0 : PyDict_Size(filling->objects[0]);
    if (PyErr_Occurred() || position < -1 || position >= (size > 0 ? size : 1)) {
        PyErr_Clear();
        return state_refuse(filling, "it stands behind its dict");
    }
    filling->number = position;
    return 0;
}

static void
position_commit(Filling *filling, PyObject *iterator)
{
    ((DictIterator *)iterator)->di_pos = filling->number;
}

const Extra extra_forward = {1, forward_read, forward_prepare, position_commit};
const Extra extra_backward = {1, backward_read, backward_prepare, position_commit};
