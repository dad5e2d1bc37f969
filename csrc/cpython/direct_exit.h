/* 3.12 and 3.13: how a stub leaves the interpreter loop without being cleared, and how its return goes on with another
 * stack in the same loop, or with frames that were put beneath it (batch.c).
 *
 * `return` clears the stub's frame, goes on in the entry frame, and that one's INTERPRETER_EXIT ends the evaluation.
 * That instruction reads nothing of the entry frame but the value on its stack and `previous` (v3.12.5
 * Python/bytecodes.c, INTERPRETER_EXIT; v3.13.0 the same): in the stub it does as well.  So what follows `~` in the
 * stub's code is for once not `return` but this: `~` puts it there, the evaluator comes to it at once (UNARY_INVERT
 * looks for no signals), and whoever has called the evaluator puts `return` back.  Nothing else runs meanwhile.
 * Code that reports events has another instruction there, and is left alone. */
#ifndef STACKFUL_CPYTHON_DIRECT_EXIT_H
#define STACKFUL_CPYTHON_DIRECT_EXIT_H

#include "cpython/stub_code.h"

/* Assertions find that it is not the entry frame, and that a frame which returns is not the one that was entered. */
#define STUBS_EXIT_DIRECTLY (!INTERPRETER_ASSERTS)
#define FRAMES_SWITCH_DIRECTLY (!INTERPRETER_ASSERTS)
#define FRAMES_RUN_TOGETHER (!INTERPRETER_ASSERTS)

static inline uint16_t
unit_of(int opcode)
{
    _Py_CODEUNIT unit;
    unit.op.code = (uint8_t)opcode;
    unit.op.arg = 0;
    return unit.cache;
}

/* Does nobody hear of the stub's return, and nobody keep its frame? */
static inline bool
frame_returns_quietly(PyThreadState *Py_UNUSED(ts), Frame *stub, Exit *exit)
{
    return exit->cache == unit_of(RETURN_VALUE) && stub->frame_obj == NULL;
}

/* The running stub, whose `~` this is, is to leave the evaluation: what it holds is dropped, but for its only local,
 * which is returned.  NULL, and nothing has happened, where that must go the long way. */
static inline PyObject *
frame_exit_directly(PyThreadState *ts, Frame *stub, Exit *exit)
{
    PyObject *value = stub->localsplus[0];
    if (UNLIKELY(!frame_returns_quietly(ts, stub, exit) || value == NULL || is_held_once(frame_function(stub)))) {
        return NULL;
    }
    exit->cache = unit_of(INTERPRETER_EXIT);
    drop_shared(frame_function(stub));
    drop_shared((PyObject *)frame_code(stub));
    return value;
}

/* Afterwards, at once. */
static inline void
exit_undo(Exit *exit)
{
    exit->cache = unit_of(RETURN_VALUE);
}

static inline bool
frame_is_up_to_date(PyThreadState *ts, Frame *f)
{
    return !code_is_stale(ts, frame_code(f));
}

/* Would nobody hear of a stub that is evaluated from `~` on? */
static inline bool
stub_enters_quietly(PyThreadState *Py_UNUSED(ts), Exit *exit)
{
    return exit->cache == unit_of(RETURN_VALUE) && exit[-1].cache == unit_of(UNARY_INVERT);
}

static inline void
frame_set_caller(Frame *f, Frame *caller)
{
    f->previous = caller;
}

/* The frame that is evaluated, and was linked to the entry frame, will return into `inner`; that is where `outer` will. */
static inline void
frame_enter_batch(Frame *stub, Frame *inner, Frame *outer)
{
    outer->previous = stub->previous;
    stub->previous = inner;
}

/* `to` takes the place of `from` before the entry frame, which is linked to what lies outside of `to`. */
static inline void
frame_relink_switch(PyThreadState *ts, Frame *stub, Frame *from, Frame *to)
{
    Frame *entry = from->previous;
    entry->previous = to->previous;
    thread_set_outer_frame(ts, to->previous);
    to->previous = entry;
    stub->previous = to;
}

#endif
