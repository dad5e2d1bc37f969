/* What iterators written in C hold. CPython shows these structures to nobody: there is no header to include, and from 3.14 on
 * no method that tells what is in them. So they stand here once more, each with where it was read, and only as far as it is needed.
 *
 * v3.11.7, v3.12.1, v3.13.0, v3.14.10 and v3.15.2, Modules/itertoolsmodule.c; where versions differ, the field has an #if.
 * A type whose size is another one at run time is not touched (iterator_states.c, layout_of). */
#ifndef STACKFUL_CPYTHON_ITERATOR_LAYOUTS_H
#define STACKFUL_CPYTHON_ITERATOR_LAYOUTS_H

#include <Python.h>
#include <stdbool.h>

/* At its end, a batched has a size of -1. */
#define BATCHED_ENDS_BELOW_ZERO (PY_VERSION_HEX >= 0x030E0000)

/* `index` of a cycle that still takes from its iterator: from 3.14 on it tells that by itself. */
#define CYCLE_BEGINS (PY_VERSION_HEX >= 0x030E0000 ? -1 : 0)

#if PY_VERSION_HEX >= 0x030F0000
#define IS_ANY_DICT(object) PyAnyDict_Check(object)
#else
#define IS_ANY_DICT(object) PyDict_Check(object)
#endif

#define HAS_MODULE_STATE (PY_VERSION_HEX >= 0x030C0000) /* groupby, tee and accumulate know their module from 3.12 on */

typedef struct {
    PyObject_HEAD
    PyObject *total, *it, *binop, *initial;
#if HAS_MODULE_STATE
    void *state;
#endif
} Accumulate;

typedef struct {
    PyObject_HEAD
    PyObject *it;
    Py_ssize_t batch_size;
#if PY_VERSION_HEX >= 0x030D0000
    bool strict;
#define BATCHED_CAN_BE_STRICT
#endif
} Batched;

typedef struct {
    PyObject_HEAD
    PyObject *source, *active;
} Chain;

typedef struct {
    PyObject_HEAD
    PyObject *pool;
    Py_ssize_t *indices;
    PyObject *result;
    Py_ssize_t r;
    int stopped;
} Combinations; /* with and without replacement */

typedef struct {
    PyObject_HEAD
    PyObject *data, *selectors;
} Compress;

typedef struct {
    PyObject_HEAD
    Py_ssize_t cnt; /* PY_SSIZE_T_MAX: long_cnt counts */
    PyObject *long_cnt, *long_step;
} Count;

typedef struct {
    PyObject_HEAD
    PyObject *it, *saved;
    Py_ssize_t index;
#if PY_VERSION_HEX < 0x030E0000
    int firstpass; /* only CPython's own unpickling sets it: the items are in `saved` already */
#endif
} Cycle;

static inline bool
cycle_saves_no_more(const Cycle *it)
{
#if PY_VERSION_HEX < 0x030E0000
    return it->firstpass != 0;
#else
    return false;
#endif
}

static inline void
cycle_set_saves_no_more(Cycle *it, bool no_more)
{
#if PY_VERSION_HEX < 0x030E0000
    it->firstpass = no_more;
#endif
}

typedef struct {
    PyObject_HEAD
    PyObject *func, *it;
    long flag; /* `start` of dropwhile, `stop` of takewhile */
} While;

typedef struct {
    PyObject_HEAD
    PyObject *func, *it;
} Applied; /* filterfalse and starmap */

typedef struct {
    PyObject_HEAD
    PyObject *it, *keyfunc, *tgtkey, *currkey, *currvalue;
    const void *currgrouper; /* no reference: it is only compared, and may be gone */
#if HAS_MODULE_STATE
    void *state;
#endif
} GroupBy;

typedef struct {
    PyObject_HEAD
    PyObject *parent, *tgtkey;
} Grouper;

typedef struct {
    PyObject_HEAD
    PyObject *it;
    Py_ssize_t next, stop, step, cnt;
} Islice;

typedef struct {
    PyObject_HEAD
    PyObject *it, *old;
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *result;
#endif
} Pairwise;

typedef struct {
    PyObject_HEAD
    PyObject *pool;
    Py_ssize_t *indices, *cycles;
    PyObject *result;
    Py_ssize_t r;
    int stopped;
} Permutations;

typedef struct {
    PyObject_HEAD
    PyObject *pools;
    Py_ssize_t *indices;
    PyObject *result;
    int stopped;
} Product;

typedef struct {
    PyObject_HEAD
    PyObject *element;
    Py_ssize_t cnt; /* -1: for ever */
} Repeat;

#define TEE_CELLS 57

typedef struct {
    PyObject_HEAD
    PyObject *it;
    int numread, running;
    PyObject *nextlink;
    PyObject *values[TEE_CELLS];
} TeeLink;

typedef struct {
    PyObject_HEAD
    PyObject *dataobj;
    int index;
    PyObject *weakreflist;
#if HAS_MODULE_STATE
    void *state;
#endif
} Tee;

typedef struct {
    PyObject_HEAD
    Py_ssize_t tuplesize, numactive;
    PyObject *ittuple; /* NULL for those that are at their end; nobody else has this tuple */
    PyObject *result, *fillvalue;
} ZipLongest;

/* v3.11.7 to v3.15.2 Objects/dictobject.c, dictiterobject */
typedef struct {
    PyObject_HEAD
    PyObject *di_dict;
    Py_ssize_t di_used, di_pos;
    PyObject *di_result;
    Py_ssize_t len;
} DictIterator;

/* v3.11.7 to v3.15.2 Objects/memoryobject.c, memoryiterobject */
typedef struct {
    PyObject_HEAD
    Py_ssize_t it_index;
    PyObject *it_seq, *it_length, *it_fmt; /* the last two are no objects: only their size counts */
} MemoryIterator;

/* v3.11.7 to v3.15.2 Modules/_sre/sre.h, SRE_STATE and ScannerObject */
typedef struct {
    PyObject_HEAD
    PyObject *pattern;
    const char *ptr, *beginning, *start, *end;
    PyObject *string;
    Py_buffer buffer;
    Py_ssize_t pos, endpos;
    int isbytes, charsize, match_all, must_advance;
} Scanner; /* its beginning */

/* v3.11.7 to v3.15.2 Objects/genobject.c, PyAsyncGenASend and AwaitableState */
enum { ASEND_FRESH, ASEND_AWAITED, ASEND_ENDED };

typedef struct {
    PyObject_HEAD
    PyObject *generator, *value; /* NULL: __anext__ made it */
    int state;
} AsyncSend;

/* v3.11.7 to v3.15.2 Modules/_io/textio.c, textio */
typedef struct {
    PyObject_HEAD
    int ok, detached;
    Py_ssize_t chunk_size;
    PyObject *buffer, *encoding, *encoder, *decoder, *readnl, *errors;
    const char *writenl;
    char flags[9]; /* line_buffering and so on */
    void *encodefunc;
    char encoding_start_of_stream;
    PyObject *decoded_chars;
    Py_ssize_t decoded_chars_used;
} TextFile; /* its beginning */

#endif
