/* The C core of Stackful: fibers on CPython's own frames.
 *
 *   parked.[c]   frames that wait on the heap: allocate, clear, traverse, clone
 *   resume.c     run a fiber: its parked frames, innermost first, one evaluation each
 *   suspend.c    park the running frames and leave the interpreter loop; barriers
 *   fork.c       copies of parked frames, and of the iterators on their evaluation stacks
 *   capture.c    parked frames -> Python values and back (for pickles); looking at frames
 *   generators.c the same for CPython's generators
 *   rules.c      what restored frames must hold, remembered by place in the code
 *   fiber.c      the Fiber type: resume, throw, close, finalise
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
 */
#ifndef STACKFUL_CORE_H
#define STACKFUL_CORE_H

#include "cpython/frame.h"

typedef struct Parked {
    struct Parked *outer;   /* the frame that called this one; NULL for the fiber's first */
    Frame *source;          /* while being parked: where the frame still lies */
    const void *known_call; /* frame_position at a call that was checked before, or NULL */
    Frame frame;            /* must be last: locals and stack follow it */
} Parked;

/* What a frame must hold that waits at one instruction: see rules.c. */
typedef struct {
    PyCodeObject *code;
    PyObject *demands; /* bytes: a letter for each local, then for each slot of the stack */
    PyObject *answer;  /* what frame_verify returns */
    int offset;
    char waiting; /* c: at a call, y: at a yield, f: has not begun */
} Rule;

#define RULES 256

typedef struct {
    PyTypeObject *fiber_type;
    PyObject *null;         /* stands for a NULL on an evaluation stack */
    PyObject *gate;         /* Gate */
    PyObject *suspend_code; /* code objects of the Python functions `suspend` and */
    PyObject *ask_code;     /*   `is_suspendable`, which stand between user code and this core */
    vectorcallfunc plain_vectorcall; /* how functions are called that nobody has changed */
    PyObject *hooks;        /* what upper floors do for this one: name -> callable (module.c) */
    PyObject *reduce_name, *setstate_name, *qualname_name, *colon; /* interned, for CPython's method cache */
    PyObject *fiber_error, *barrier_error, *fiber_exit, *format_error;
    Rule rules[RULES]; /* by hash; a newer one takes an older one's place */
} CoreState;

/* FIBER_HELD: parked, and being copied or looked at; until that is done nothing may resume it. */
typedef enum { FIBER_FRESH, FIBER_PARKED, FIBER_ACTIVE, FIBER_DEAD, FIBER_HELD } FiberPhase;

/* What a resumption must put back; lives on the C stack of fiber_run. */
typedef struct {
    StackChunk *chunk;
    PyObject **top, **limit;
    Recursion recursion;
    Frame *frame;    /* the resumer's */
    StackChunk full; /* see thread_end_stack_at */
} Resumption;

typedef struct Fiber {
    PyObject_HEAD
    CoreState *core; /* alive as long as the type is */
    PyObject *function;
    PyObject *arguments; /* tuple, keyword values last; NULL once the function has begun */
    PyObject *keywords;  /* tuple of names, or NULL */
    PyObject *result;    /* once dead; NULL after an exception */
    PyObject *context;   /* contextvars.Context or NULL: the resumer's */
    PyObject *weakrefs;
    Parked *inner, *outermost; /* parked frames; while active: `inner` is outside of `active` */
    Py_ssize_t depth;          /* how many */
    Parked *active;            /* the parked frame that is being evaluated */
    Frame *stub;               /* while suspending: the frame of `suspend`, */
    StackChunk *stub_chunk;    /*   and the chunk that it lies in */
    /* While active: */
    Resumption *resumption;
    PyObject **first_place;    /* where the first frame of a fresh fiber lies; NULL: at a new chunk's begin */
    struct Fiber *next_active; /* on the thread's list of active fibers */
    PyThreadState *ts;         /* which thread, together with its id: */
    uint64_t thread;           /*   thread states are freed, and their addresses used again */
    _PyErr_StackItem exc;      /* the exception being handled in these frames */
    char phase;                /* FiberPhase */
    bool suspending;           /* parked, but the interpreter loop has not been left yet */
    bool is_direct;            /* the function is run by the interpreter itself, not through C */
    unsigned holds;            /* how many read its frames at the moment (FIBER_HELD) */
    bool is_copy;              /* no `finally` runs when it is merely dropped (D4) */
} Fiber;

/* What the Python function `suspend` applies `~` to. */
typedef struct {
    PyObject_HEAD
    CoreState *core; /* NULL once the module is gone */
} Gate;

/* A place where a barrier stands: the frame whose current instruction runs C code. */
typedef struct {
    Frame *frame;
    bool is_body; /* the fiber's own function is no plain Python function */
} Barrier;

/* Drop what a frame holds, but for its frame object. */
static inline void
frame_release(Frame *frame)
{
    for (int i = 0, depth = frame_depth(frame); i < depth; i++) {
        slot_release(frame_slots(frame)[i]);
    }
    frame_drop_names(frame);
}

/* parked.c */
Parked *parked_new(PyCodeObject *code);
void parked_free(Parked *parked);
void parked_clear_chain(Parked *inner);
void frame_discard(Frame *frame);
int parked_traverse_chain(Parked *inner, visitproc visit, void *arg);
void parked_link(Fiber *fiber);

/* resume.c */
Fiber *fiber_most_recent(void);
Fiber *fiber_running_here(PyThreadState *ts);
Fiber *fiber_resumed_by(PyThreadState *ts, Fiber *fiber);
bool fiber_is_of_thread(Fiber *fiber, PyThreadState *ts);
PyObject *fiber_run(Fiber *fiber, PyObject *value, PyObject *thrown);
PyObject *fiber_resume_parked(Fiber *fiber, PyObject *value);

/* suspend.c */
PyObject *gate_suspend(PyObject *gate);
PyObject *core_is_suspendable(PyObject *module, PyObject *ignored);
int frame_call_unit(Frame *frame, int *opcode);

/* fork.c */
int parked_clone_chain(CoreState *core, Parked *from, Parked **clone);
bool code_has_hidden_iterator(PyCodeObject *code);
PyObject *core_copy_generator(PyObject *module, PyObject *generator);

/* generators.c */
PyObject *generator_blank(PyObject *function, PyTypeObject *type);
PyObject *generator_duplicate(PyGenObject *original);
PyObject *core_capture_generator(PyObject *module, PyObject *generator);
PyObject *core_reinstate_generator(PyObject *module, PyObject *args);

/* capture.c */
PyObject *core_capture(PyObject *module, PyObject *fiber);
PyObject *core_reinstate(PyObject *module, PyObject *args);
PyObject *core_look(PyObject *module, PyObject *fiber);
PyObject *slots_capture(CoreState *core, FrameSlot *slots, Py_ssize_t count);
int slots_check(CoreState *core, PyObject *tuple, Py_ssize_t least, Py_ssize_t most, const char *what);
void slots_fill(CoreState *core, FrameSlot *slots, PyObject *tuple);
void slots_make_numbers(FrameSlot *slots, PyObject *which);

/* rules.c */
PyObject *frame_verify(CoreState *core, PyCodeObject *code, int offset, const char *waiting, PyObject *locals,
                       PyObject *stack, PyObject *namespace);
void rules_forget(CoreState *core);

/* create.c */
PyObject *fiber_blank(CoreState *core, PyTypeObject *type);
PyObject *fiber_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames);
PyObject *fiber_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
PyObject *fiber_copy(Fiber *fiber, PyObject *ignored);

/* attributes.c */
extern PyGetSetDef fiber_attributes[];
PyObject *fiber_why_not_portable(Fiber *fiber, PyObject *ignored);
PyObject *fiber_reduce(Fiber *fiber, PyObject *protocol);
PyObject *fiber_deepcopy(Fiber *fiber, PyObject *memo);
PyObject *fiber_repr(Fiber *fiber);
PyObject *fiber_sizeof(Fiber *fiber, PyObject *ignored);

/* fiber.c */
extern PyType_Spec fiber_spec;
FiberPhase fiber_hold(Fiber *fiber);
void fiber_let_go(Fiber *fiber);

/* layout.c */
PyObject *core_check_layout(PyObject *module, PyObject *marker);

/* module.c */
CoreState *core_state(PyObject *module);
PyObject *core_hook(CoreState *core, const char *name);

#endif
