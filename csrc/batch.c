/* Frames of a segment that are run together.
 *
 * A frame of a segment is copied when it is returned into.  Copies on the heap take an evaluation each; but where so many
 * frames have been returned into already, as many again are put on the data stack, as if each had called the next, and one
 * evaluation runs them all: the evaluator returns from one into the next by itself.  So a resumption that captures again at
 * once copies one frame, whatever its depth, and one that returns through a thousand enters ten evaluations.
 *
 * An evaluation begins with the frame that it is given, and links that one to what called the evaluator (v3.11.2 and v3.13.0
 * Python/ceval.c, _PyEval_EvalFrameDefault).  Here that must be the
 * outermost, while the innermost is to go on.  So it is given the frame of a stub, which stands before `~gate` and `return`:
 * the gate links the outermost in its stead, and the stub returns into the innermost. */
#include "core.h"

/* A frame of the stub `return_into`, on top of the data stack, which has room for it. */
static Frame *
push_stub(CoreState *core, PyThreadState *ts, PyObject *value)
{
    PyCodeObject *code = (PyCodeObject *)core->stub_codes[STUB_RETURN_INTO];
    Frame *stub = (Frame *)ts->datastack_top;
    ts->datastack_top = (PyObject **)((char *)stub + frame_size(code));
    frame_init(stub, core->return_into, code, NULL);
    frame_slots(stub)[0] = slot_of(value);
    frame_set_depth(stub, code->co_nlocalsplus);
    frame_push(stub, Py_NewRef(core->gates[STUB_RETURN_INTO]));
    frame_stand_before_exit(stub, core->stub_exits[STUB_RETURN_INTO]);
    return stub;
}

static bool
can_begin(CoreState *core, Fiber *fiber, PyThreadState *ts, Resumption *resumption)
{
    PyCodeObject *code = (PyCodeObject *)core->stub_codes[STUB_RETURN_INTO];
    return code != NULL && code->co_nlocalsplus == 1 && stub_enters_quietly(ts, core->stub_exits[STUB_RETURN_INTO]) &&
           recursion_had_room(ts, &resumption->recursion, fiber->depth);
}

/* The innermost node is a stand-in: put a batch of the frames that it begins with on the data stack. Returns the frame to
 * be evaluated, which steals the value; or NULL, and nothing has happened. */
Frame *
batch_begin(Fiber *fiber, PyThreadState *ts, Resumption *resumption, PyObject *value)
{
    CoreState *core = fiber->core;
    if (!FRAMES_RUN_TOGETHER || value == NULL || !can_begin(core, fiber, ts, resumption)) {
        return NULL;
    }
    size_t besides = frame_size((PyCodeObject *)core->stub_codes[STUB_RETURN_INTO]);
    Py_ssize_t count = stand_in_unroll(ts, fiber->inner, besides, &core->entering);
    if (count == 0) {
        return NULL;
    }
    resumption->batch = core->entering.outermost;
    thread_set_frame(ts, fiber->inner->place);
    recursion_charge(ts, &resumption->recursion, fiber->depth);
    fiber->depth -= count;
    return push_stub(core, ts, value);
}

/* `~gate` in the stub. */
PyObject *
gate_return_into(PyObject *gate)
{
    CoreState *core = ((Gate *)gate)->core;
    PyThreadState *ts = LIKELY(core != NULL) ? thread_running(&core->finder) : NULL;
    Frame *stub = gate_stub(gate, ts, STUB_RETURN_INTO);
    if (stub == NULL) {
        return NULL;
    }
    if (core->entering.innermost == NULL) {
        PyErr_SetString(core->fiber_error, "return_into() is for the core alone");
        return NULL;
    }
    frame_enter_batch(stub, core->entering.innermost, core->entering.outermost);
    core->entering.innermost = NULL;
    return slot_take(&frame_slots(stub)[0]);
}

/* The evaluation has ended. */
void
batch_end(Resumption *resumption)
{
#if FRAME_ENTRY_LEFT_TO_CALLER
    frame_discard(resumption->batch);
#endif
    resumption->batch = NULL;
}
