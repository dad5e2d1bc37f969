/* Between iterator_states.c, which knows fields, and iterator_extras.c, which knows what else some iterators have. */
#ifndef STACKFUL_ITERATOR_STATES_H
#define STACKFUL_ITERATOR_STATES_H

#include "core.h"

#include "cpython/iterator_layouts.h"

#define MOST_FIELDS 5
#define MOST_EXTRAS 3

typedef enum { NO_FIELD, AN_OBJECT, MAYBE_OBJECT, AN_ITERATOR, MAYBE_ITERATOR, A_TUPLE, A_SIZE, A_LONG, AN_INT, A_BOOL } Kind;

typedef struct {
    Kind kind;
    size_t offset;
} Field;

typedef struct Filling Filling;

/* What a type has beside plain fields: so many items at the end of its state. */
typedef struct {
    int count;
    int (*read)(CoreState *core, PyObject *iterator, PyObject **items); /* new references */
    int (*prepare)(Filling *filling, PyObject **items);                 /* everything that can fail */
    void (*commit)(Filling *filling, PyObject *iterator);               /* what cannot */
} Extra;

typedef struct {
    const char *name;
    Py_ssize_t size;
    Field fields[MOST_FIELDS];
    bool (*is_possible)(const Filling *filling); /* do the fields go together? */
    const Extra *extra;
} Layout;

/* A state on its way into an iterator. Before the commit it owns what is to go in, afterwards what was there. */
struct Filling {
    CoreState *core;
    const Layout *layout;
    PyObject *iterator;
    PyObject *objects[MOST_FIELDS];
    Py_ssize_t numbers[MOST_FIELDS];
    PyObject *made[2];
    Py_ssize_t *arrays[2];
    Py_ssize_t number;
};

#define AT(iterator, offset, type) (*(type *)((char *)(iterator) + (offset)))

/* iterator_extras.c */
extern const Extra extra_chosen, extra_chosen_again, extra_permuted, extra_multiplied, extra_saved, extra_zipped;
extern const Extra extra_current, extra_links, extra_forward, extra_backward;
int state_refuse(const Filling *filling, const char *why);

#endif
