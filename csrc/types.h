/* What the core is made of: parked frames, levels, segments, runs, fibers. */
#ifndef STACKFUL_TYPES_H
#define STACKFUL_TYPES_H

#include "cpython/frame.h"
#include "machine/switch.h"

#if !defined(NDEBUG) && defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

typedef struct Parked {
    struct Parked *outer;   /* the frame that called this one; NULL for the fiber's first */
    Frame *place;           /* where the frame lies: here, or while it is being parked elsewhere */
    const void *known_call; /* frame_position at a call that was checked before, or NULL */
    size_t size;            /* of all this */
    Frame frame;            /* must be last: locals and stack follow it */
} Parked;

/* What belongs to a level beside its frames; NULL: none. */
typedef struct {
    PyObject *tag;     /* of the prompt; without one, a continuation was put here */
    PyObject *winders; /* what dynamic_wind keeps */
    PyObject *state;   /* of the effect handler that is the tag */
    PyObject *mask;    /* which handlers are out of force, see handlers.c */
} Marks;

/* The frames above a prompt. The fiber's own, outermost level has no node of this kind. */
typedef struct Level {
    struct Level *below;   /* NULL: the fiber's own */
    Parked *floor;         /* the innermost frame of the level below; never NULL */
    unsigned long long serial; /* no other level of this interpreter has it */
    Marks marks;
    _PyErr_StackItem exc;  /* the exception being handled in these frames */
} Level;

typedef struct Segment {
    PyObject_HEAD
    Parked *inner;        /* its own frames */
    Py_ssize_t depth;     /* how many, with those of the tail */
    struct Segment *tail; /* what is outside of them, from `tail_from` on; or NULL */
    Parked *tail_from;
    bool is_eager;        /* frames share what must be forked: only all together can be copied */
} Segment;

/* In a chain: the frames of a segment from `from` outward. What a Parked begins with, and `place`
 * elsewhere. */
typedef struct {
    Parked node;
    Segment *segment;
    Parked *from;
    Py_ssize_t count;
    Py_ssize_t due; /* how many of them are next put on the data stack together, see batch.c */
} StandIn;

/* One level of a continuation. */
typedef struct {
    Segment *segment;
    Marks marks;       /* as in a Level, */
    PyObject *handled; /*   also this */
} Piece;

typedef struct {
    PyObject_VAR_HEAD
    Py_ssize_t depth; /* of all pieces */
    bool is_eager;    /* one of them is */
    Piece pieces[1];  /* innermost first */
} Continuation;

/* The nodes for one piece and its level, to be put on a stack. */
typedef struct {
    Parked *inner;
    Level *level;
} Made;

/* Frames on the data stack of which each has called the next inner one, see batch.c. */
typedef struct {
    Frame *innermost, *outermost;
} Batch;

/* A walk over frames, see walk_next: begins with the node. */
typedef struct {
    Parked *node, *shared;
    Segment *segment;
} Walk;

/* What a frame must hold that waits at one instruction: see rules.c. */
typedef struct {
    PyCodeObject *code;
    PyObject *demands; /* bytes: a letter for each local, then for each slot of the stack */
    PyObject *answer;  /* what frame_verify returns */
    int offset;
    char waiting; /* c: at a call, y: at a yield, f: has not begun */
} Rule;

/* What goes on after an operation: in `fiber` (NULL: in the same one) one of these is given, raised or
 * called, with an argument or all that a Fiber was made with. All owned. */
typedef struct {
    struct Fiber *fiber;
    PyObject *value, *thrown, *callee, *argument;
    PyObject *arguments, *keywords;
} Next;

/* What a resumption must put back. */
typedef struct {
    struct Fiber *fiber; /* that was resumed, or to which it has been switched since (switch.c) */
    struct CStack *stack; /* that it runs on, or NULL: the resumer's */
    ThreadStack outer;   /* the resumer's */
    Recursion recursion;
    Frame *frame;    /* the resumer's */
    PyObject *context; /* the resumer's, to be compared */
    uintptr_t events;  /* for which its code was instrumented */
    StackChunk full; /* see thread_end_stack_at */
    Frame *batch;    /* under evaluation: the outermost of some frames of a segment (batch.c), or NULL */
    Py_tracefunc trace, profile; /* see listeners.c */
} Resumption;

/* A function that the fiber calls, and what with: all owned. */
typedef struct {
    PyObject *function, *few[2], *arguments, *keywords;
} Call;

/* One stay in fibers: from resume to the next suspension, the end or a transfer. */
typedef struct {
    Resumption resumption;
    struct Fiber *fiber; /* owned: who is resumed, afterwards who has run at last */
    Call call;           /* in progress */
    Next next;           /* afterwards: who goes on instead, if anyone */
} Run;

/* A place where a barrier stands: the frame whose current instruction runs C code. */
typedef struct {
    Frame *frame;
    bool is_body; /* the fiber's own function is no plain Python function */
} Barrier;

/* A fiber that waits with its C stack, see hard.c: what was taken off the thread. */
typedef struct {
    void *waiter;      /* where it waits (machine/switch.h) */
    Barrier barrier;   /* what for */
    ThreadStack stack;
    Evaluations evaluations;
    Recursion recursion;
    Frame *outermost;  /* of its frames */
    struct Fiber *active; /* the innermost of the active fibers */
    _PyErr_StackItem *handling;
    PyObject *context; /* the innermost that it has entered, owned; or NULL */
    uintptr_t events;  /* for which code was instrumented */
} Kept;

#define STACK_SIZE ((size_t)8 << 20) /* as much as a thread has on most systems */

/* A stack of its own for the C code, and for the Python frames, that a run of a fiber needs. */
typedef struct CStack {
    struct CStack *next; /* in the pool */
    void *resumer;       /* where whoever resumed waits (machine/switch.h) */
    char *low, *high;    /* of the C stack */
    ThreadStack unused;
    Run run;
    Kept kept;
#ifdef __SANITIZE_ADDRESS__
    struct {
        const void *resumer_low; /* of the resumer's stack */
        size_t resumer_size;
        StackFunction function;
    } watched; /* cstack.h */
#endif
#ifdef VALGRIND_STACK_REGISTER
    unsigned valgrind_id;
#endif
} CStack;

#define RULES 256

/* A call that was found plain, see suspend.c. */
typedef struct {
    PyCodeObject *code;
    const void *position;
} KnownCall;

#define KNOWN_CALLS 256

/* Classes of effects/ and where their instances have what, see in_place.c. */
typedef struct {
    PyTypeObject *type;               /* what answers in place: */
    Py_ssize_t function, code, k;     /*   its slots, */
    Py_ssize_t captured, of_function; /*   and those of resumptions, */
    PyTypeObject *kinds[2];           /*   of which these are promised */
} Promises;

/* The same of those with state, see perform.c. */
typedef struct {
    PyTypeObject *type;
    Py_ssize_t function;
} Updates;

/* The locals of `perform` (effects/performing.py), which reads from them what it is to do, see perform.c. */
enum { PERFORM_OPERATION, PERFORM_FIRST, PERFORM_REST, PERFORM_ANSWER, PERFORM_SECOND, PERFORM_WAY };

/* What is needed to capture a program late. */
typedef struct {
    Continuation *k; /* with room for its levels; NULL: nothing is to be captured */
    PyObject *mask;  /* for the level outside of it, or NULL */
    Py_ssize_t frames; /* of the clause, and what it has called */
} Split;

/* The Python functions that stand between user code and this core. */
typedef enum { STUB_SUSPEND, STUB_YIELD, STUB_OPERATE, STUB_TRANSFER, STUB_PERFORM, STUB_UNMASK, STUB_RESUMED, STUB_RESUME, STUB_SUSPEND_TO, STUB_RETURN_INTO, STUB_ASK, STUB_COUNT } Stub;

typedef struct {
    ThreadFinder finder;
    PyTypeObject *fiber_type, *generator_type;
    PyObject *null;         /* stands for a NULL on an evaluation stack */
    PyObject *exhausted;    /* an iterator at its end: what iterators that are still to be filled are made of */
    PyObject *gates[STUB_COUNT], *stub_codes[STUB_COUNT]; /* gates.c; code objects */
    Exit *stub_exits[STUB_COUNT]; /* in these: see direct_exit.h */
    PyObject *return_into;  /* the function of that stub */
    Batch entering;         /* what it is about to return into; no innermost frame: nothing */
    PyTypeObject *segment_type, *continuation_type, *steps_type;
    struct Steps *spare_steps; /* one that is used again, see awaiting.c */
    PyObject *abort_signal; /* the exception class that ends a level with a value */
    PyTypeObject *handler_type;     /* dicts that are handlers of effects */
    PyObject *mask_of_one;          /* (1, 0, None), see handlers.c */
    unsigned long long last_serial; /* of a Level */
    vectorcallfunc plain_vectorcall; /* how functions are called that nobody has changed */
    PyObject *hooks;        /* what upper floors do for this one: name -> callable (module.c) */
    PyObject *reduce_name, *setstate_name, *module_name, *qualname_name, *colon; /* interned, for CPython's method cache */
    PyObject *fiber_error, *barrier_error, *fiber_exit, *format_error;
    Parked *spare; /* one node of those that have ended, or NULL */
    CStack *stacks; /* the pool */
    int stacks_pooled;
    Py_ssize_t stacks_made, stacks_most; /* not given back to the system; how many there may be */
    PyObject *modules;      /* sys.modules, and how many there were when greenlet was looked for */
    Py_ssize_t modules_seen; /* -1: greenlet has been found */
    bool makes_no_stacks;
    Py_ssize_t kept;         /* how many fibers wait with their C stacks */
    struct Fiber *abandoned; /* see hard_abandon */
    Promises promises;
    Updates updates;
    PyObject *absent; /* an argument that `perform` was not given */
    Rule rules[RULES]; /* by hash; a newer one takes an older one's place */
    KnownCall known_calls[KNOWN_CALLS]; /* the same */
} CoreState;

/* FIBER_HELD: parked, and being copied or looked at; until that is done nothing may resume it. FIBER_GUEST: its frames are
 * on another fiber's stack. FIBER_KEPT: suspended with its C stack, see hard.c. */
typedef enum { FIBER_FRESH, FIBER_PARKED, FIBER_ACTIVE, FIBER_DEAD, FIBER_HELD, FIBER_GUEST, FIBER_KEPT } FiberPhase;

/* A change of the stack that running code asks for (control.c). */
typedef enum {
    OPERATION_PUSH,      /* tag, thunk: call thunk() above a new prompt */
    OPERATION_CAPTURE,   /* tag, function, keep: take the frames above the prompt, call function(k) there */
    OPERATION_GIVE,      /* k, value, delimiter: put k's frames on top, the value is what they wait for */
    OPERATION_THROW,     /* k, exception, delimiter: and raise it there */
    OPERATION_CALL,      /* k, thunk, delimiter: and call thunk() there, for the value */
    OPERATION_REPLACE,   /* k, thunk, tag: the same instead of all that is above the prompt */
    OPERATION_PERFORM,   /* function: in `perform`, take the frames up to and with the handler's prompt, call function(k) */
    OPERATION_STAY,      /* go on; but the program that was not captured for a clause called in place is captured now */
    OPERATION_TRANSFER,  /* fiber, value, exception or None: go on with that fiber instead of this one */
    OPERATION_RESUME,    /* the same: go on with that fiber on top of this one */
    OPERATION_LEAVE,     /* fiber, value: suspend that fiber, which is on top of this one */
    OPERATION_EXCHANGE   /* fiber, value, exception or None: go on with that fiber on top of this one, in the stead of who is */
} Operation;

/* A clause that has been called without capturing the program, see in_place.c; all NULL: none. */
typedef struct {
    Frame *stub;      /* `perform`, which has called it */
    Level *last;      /* its handler's */
    PyObject *k;      /* the promised resumption, */
    PyObject *answer; /*   and the object of effects/answers.py that it comes from: owned */
    PyObject *mask;   /* that was made for it; a level has it */
    bool is_resumed;  /* k.resume(value) was called, by what returns the value at once */
} InPlace;

/* What few fibers have. */
typedef struct {
    Operation operation;
    PyObject *operands[3]; /* while `suspending` is OPERATING */
    InPlace in_place;
    Marks marks;           /* of the fiber's own level, which has no prompt */
    PyObject *successor;   /* the fiber that goes on when this one has ended, or NULL */
} Control;

/* KEEPING: with its C stack, see hard.c. */
typedef enum { RUNNING, SUSPENDING, OPERATING, KEEPING } Leaving;

/* What becomes of the prompt when the frames above it are captured. */
typedef enum { PROMPT_STAYS, PROMPT_GOES, PROMPT_IS_CAPTURED } Taking;

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
    Level *level;              /* the innermost prompt; NULL: none */
    Level *guest;              /* the innermost whose tag is a fiber (nest.c), or NULL */
    Parked *floor;             /* its floor, or NULL */
    _PyErr_StackItem *handling; /* the innermost level's */
    Control *control;          /* or NULL */
    Parked *active;            /* the parked frame that is being evaluated */
    Frame *stub;               /* while suspending: the frame of `suspend`, */
    StackChunk *stub_chunk;    /*   and the chunk that it lies in (NULL: it has been emptied), */
    Exit *exit;                /*   or where it leaves directly, else NULL */
    /* While active: */
    Resumption *resumption;
    PyObject *callee;          /* what fiber_run calls at the moment, borrowed, or NULL */
    PyObject **first_place;    /* where its first frame lies; NULL: at a new chunk's begin */
    struct Fiber *next_active; /* on the thread's list of active fibers */
    PyThreadState *ts;         /* which thread, together with its id: */
    uint64_t thread;           /*   thread states are freed, and their addresses used again */
    _PyErr_StackItem exc;      /* the exception being handled in the frames of its own level */
    char phase;                /* FiberPhase */
    char suspending;           /* Leaving: parked, but the interpreter loop has not been left yet */
    bool is_direct;            /* the function (or callee) is run by the interpreter itself, not through C */
    bool is_root;              /* runs a prompt() for C code: it cannot be suspended or transferred from */
    bool is_portal;            /* an event loop resumes it, see awaiting.c */
    bool is_script;            /* its own code is a script's, which is in no fiber as far as it knows */
    unsigned barriers;         /* how many calls of barrier() are in progress */
    unsigned holds;            /* how many read its frames at the moment (FIBER_HELD) */
    bool owns_context;         /* `context` is the thread's while it runs, and what that has become afterwards its own */
    bool is_copy;              /* no `finally` runs when it is merely dropped (D4) */
} Fiber;

/* What a stub applies `~` to. */
typedef struct {
    PyObject_HEAD
    CoreState *core; /* NULL once the module is gone */
} Gate;

#endif
