/* Operations on a fiber's stack that its own code asks for: prompts, continuations, transfer.
 *
 * `operate` is a small Python function (fibers/__init__.py), as `suspend` is: it applies `~` to a gate, which
 * parks the frames and leaves the interpreter loop. fiber_run then changes the chain of parked frames
 * and goes on: no C recursion, whatever the program does. */
#include "core.h"

/* ---- what few fibers have -------------------------------------------------------------------- */

/* The fiber's Control, made when it is first asked for; NULL with an exception. */
Control *
fiber_control(Fiber *fiber)
{
    if (fiber->control == NULL) {
        fiber->control = PyMem_Calloc(1, sizeof(Control));
        if (fiber->control == NULL) {
            PyErr_NoMemory();
        }
    }
    return fiber->control;
}

/* The marks of the fiber's own level; NULL with an exception. */
Marks *
fiber_own_marks(Fiber *fiber)
{
    Control *control = fiber_control(fiber);
    return control == NULL ? NULL : &control->marks;
}

int
control_copy(Fiber *from, Fiber *to)
{
    Control *control = from->control;
    if (control == NULL) {
        return 0;
    }
    if (fiber_control(to) == NULL) {
        return -1;
    }
    marks_copy(&to->control->marks, &control->marks);
    to->control->successor = Py_XNewRef(control->successor);
    return 0;
}

/* Drop the operation that was to be performed. */
void
control_forget(Fiber *fiber)
{
    for (int i = 0; fiber->suspending == OPERATING && i < 3; i++) {
        Py_CLEAR(fiber->control->operands[i]);
    }
}

void
control_clear(Fiber *fiber)
{
    Control *control = fiber->control;
    fiber->control = NULL;
    if (control != NULL) {
        for (int i = 0; i < 3; i++) {
            Py_XDECREF(control->operands[i]);
        }
        in_place_clear(&control->in_place);
        marks_clear(&control->marks);
        Py_XDECREF(control->successor);
        PyMem_Free(control);
    }
}

int
control_traverse(Control *control, visitproc visit, void *arg)
{
    if (control != NULL) {
        for (int i = 0; i < 3; i++) {
            Py_VISIT(control->operands[i]);
        }
        Py_VISIT(control->successor);
        int stopped = in_place_traverse(&control->in_place, visit, arg);
        return stopped ? stopped : marks_traverse(&control->marks, visit, arg);
    }
    return 0;
}

/* ---- performing: the fiber is parked and held ------------------------------------------------ */

static int
push(Fiber *fiber, PyObject **operands, Next *next)
{
    Marks marks = {.tag = operands[0], .state = operands[2]};
    Level *level = level_new(&marks);
    if (level == NULL) {
        return -1;
    }
    level_push(fiber, level);
    next->callee = Py_NewRef(operands[1]);
    return 0;
}

static int
capture(Fiber *fiber, PyObject **operands, Next *next)
{
    PyObject *k = continuation_capture(fiber, level_find(fiber, operands[0]), operands[2] == Py_True ? PROMPT_STAYS : PROMPT_GOES);
    if (k == NULL) {
        return -1;
    }
    next->callee = Py_NewRef(operands[1]);
    next->argument = k;
    return 0;
}

/* The third operand is the serial of the handler's level, see check_handler. */
static int
perform_effect(Fiber *fiber, PyObject **operands, Next *next)
{
    Level *level = level_with_serial(fiber, PyLong_AsUnsignedLongLong(operands[2]));
    PyObject *k = continuation_capture(fiber, level, PROMPT_IS_CAPTURED);
    if (k == NULL) {
        return -1;
    }
    next->callee = Py_NewRef(operands[1]);
    next->argument = k;
    return 0;
}

/* The frames of k, ready to be put on the fiber's stack, which has room for them; or NULL. */
static Made *
make(Fiber *fiber, PyObject *k, PyObject *delimiter)
{
    if (!recursion_has_room(PyThreadState_Get(), fiber->depth + ((Continuation *)k)->depth)) {
        PyErr_SetString(PyExc_RecursionError,
                        "maximum recursion depth exceeded: no room for the frames of a continuation");
        return NULL;
    }
    return continuation_make(fiber->core, k, delimiter == Py_None ? NULL : delimiter);
}

static int
reinstate(Fiber *fiber, PyObject **operands)
{
    Made *made = make(fiber, operands[0], operands[2]);
    if (made == NULL) {
        return -1;
    }
    continuation_put(fiber, operands[0], made);
    return 0;
}

/* What is above the prompt goes the way of captured frames, and is dropped when all is done, for that
 * may run the code of destructors. */
static int
replace(Fiber *fiber, PyObject **operands)
{
    Made *made = make(fiber, operands[0], operands[2]);
    PyObject *old = NULL;
    if (made != NULL) {
        old = continuation_capture(fiber, level_find(fiber, operands[2]), PROMPT_GOES);
    }
    if (old == NULL) {
        if (made != NULL) {
            continuation_unmake(operands[0], made);
        }
        return -1;
    }
    continuation_put(fiber, operands[0], made);
    Py_DECREF(old);
    return 0;
}

static int
perform(Fiber *fiber, Operation operation, PyObject **operands, Next *next)
{
    switch (operation) {
    case OPERATION_PUSH:
        return push(fiber, operands, next);
    case OPERATION_CAPTURE:
        return capture(fiber, operands, next);
    case OPERATION_PERFORM:
        return perform_effect(fiber, operands, next);
    case OPERATION_GIVE:
        next->value = Py_NewRef(operands[1]);
        return reinstate(fiber, operands);
    case OPERATION_THROW:
        next->thrown = Py_NewRef(operands[1]);
        return reinstate(fiber, operands);
    case OPERATION_CALL:
        next->callee = Py_NewRef(operands[1]);
        return reinstate(fiber, operands);
    case OPERATION_REPLACE:
        next->callee = Py_NewRef(operands[1]);
        return replace(fiber, operands);
    case OPERATION_RESUME:
        return guest_enter(fiber, operands, next);
    case OPERATION_LEAVE:
        next->value = Py_NewRef(operands[1]);
        return guest_leave(fiber, (Fiber *)operands[0]);
    case OPERATION_EXCHANGE:
        return guest_exchange(fiber, operands, next);
    case OPERATION_STAY:
        next->value = Py_NewRef(Py_None);
        return 0;
    default: /* OPERATION_TRANSFER */
        next->fiber = (Fiber *)Py_NewRef(operands[0]);
        next->value = operands[2] == Py_None ? Py_NewRef(operands[1]) : NULL;
        next->thrown = operands[2] == Py_None ? NULL : Py_NewRef(operands[2]);
        return 0;
    }
}

/* Change the stack of a fiber that was left for an operation; *next says what to do on it. */
void
control_perform(Fiber *fiber, Next *next)
{
    PyObject *operands[3];
    Operation operation = fiber->control->operation;
    memcpy(operands, fiber->control->operands, sizeof(operands));
    memset(fiber->control->operands, 0, sizeof(operands));
    fiber->suspending = RUNNING;
    /* Not held, as while it is read: what changes is not to be copied either, by other threads for instance. */
    fiber->phase = FIBER_ACTIVE;
    if (perform(fiber, operation, operands, next) < 0) {
        Py_CLEAR(next->value);
        Py_CLEAR(next->callee);
        Py_XSETREF(next->thrown, exception_take());
    }
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(operands[i]);
    }
    fiber->phase = FIBER_PARKED;
}

/* ---- asking: the fiber runs -------------------------------------------------------------------- */

static int
wrong_operand(const char *what, PyObject *operand)
{
    PyErr_Format(PyExc_TypeError, "expected %s, got %R", what, operand);
    return -1;
}

static int
check_continuation(CoreState *core, PyObject *operand)
{
    if (!Py_IS_TYPE(operand, core->continuation_type)) {
        return wrong_operand("captured frames", operand);
    }
    if (((Continuation *)operand)->pieces[0].segment == NULL) {
        PyErr_SetString(core->fiber_error, "this continuation is gone: the garbage collector has taken it apart");
        return -1;
    }
    return 0;
}

/* What is to be raised: an exception class becomes an instance. */
static int
make_exception(PyObject **operand)
{
    if (PyExceptionClass_Check(*operand)) {
        PyObject *made = PyObject_CallNoArgs(*operand);
        if (made == NULL) {
            return -1;
        }
        Py_SETREF(*operand, made);
    }
    return PyExceptionInstance_Check(*operand) ? 0 : wrong_operand("an exception", *operand);
}

/* A fiber to go on with, and a value or an exception (else None) for it. */
int
check_message(CoreState *core, PyObject **operands, const char *verb)
{
    if (!PyObject_TypeCheck(operands[0], core->fiber_type)) {
        return wrong_operand("a fiber", operands[0]);
    }
    if (operands[2] != Py_None) {
        if (operands[1] != Py_None) {
            PyErr_Format(PyExc_TypeError, "%s %R with a value or with an error, not with both: %R, %R", verb, operands[0],
                         operands[1], operands[2]);
            return -1;
        }
        if (make_exception(&operands[2]) < 0) {
            return -1;
        }
    }
    return fiber_check_idle((Fiber *)operands[0], verb, operands[1]);
}

/* Are the operands such that the operation can be performed? */
static int
check(CoreState *core, Operation operation, PyObject **operands)
{
    bool calls = operation != OPERATION_GIVE && operation != OPERATION_THROW && operation != OPERATION_STAY;
    if (operation == OPERATION_TRANSFER) {
        return check_message(core, operands, "transfer to");
    }
    if (operation != OPERATION_PUSH && operation != OPERATION_CAPTURE && operation != OPERATION_PERFORM && operation != OPERATION_STAY &&
        check_continuation(core, operands[0]) < 0) {
        return -1;
    }
    if (calls && !PyCallable_Check(operands[1])) {
        return wrong_operand("a function", operands[1]);
    }
    return operation == OPERATION_THROW ? make_exception(&operands[1]) : 0;
}

/* The frames can be captured; the serial of the handler's level becomes an operand. */
static int
check_handler(CoreState *core, Fiber *fiber, PyObject **operand)
{
    unsigned long long serial = handler_to_capture(core, fiber);
    if (serial == 0) {
        return -1;
    }
    Py_XSETREF(*operand, PyLong_FromUnsignedLongLong(serial));
    return *operand == NULL ? -1 : 0;
}

/* The error which says what prompts there are: NULL. */
PyObject *
prompt_not_found(CoreState *core, PyObject *tag)
{
    PyObject *hook = core_hook(core, "prompt_not_found");
    PyObject *error = hook == NULL ? NULL : PyObject_CallOneArg(hook, tag);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

/* The prompt that the operation needs is in the running fiber, or an error says which prompts are. */
static int
check_prompt(CoreState *core, Fiber *fiber, Operation operation, PyObject **operands)
{
    if (operation == OPERATION_PERFORM) {
        return check_handler(core, fiber, &operands[2]);
    }
    PyObject *tag = operation == OPERATION_CAPTURE   ? operands[0]
                    : operation == OPERATION_REPLACE ? operands[2]
                                                     : NULL;
    if (tag == NULL || (fiber != NULL && level_find(fiber, tag) != NULL)) {
        return 0;
    }
    (void)prompt_not_found(core, tag);
    return -1;
}

static int
read_operation(Frame *stub, Operation *operation)
{
    PyObject *number = frame_first_local(stub);
    long value = number == NULL || !PyLong_CheckExact(number) ? -1 : PyLong_AsLong(number);
    if (value < 0 || value > OPERATION_TRANSFER) { /* the others have stubs of their own */
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError, "no such operation");
        return -1;
    }
    *operation = (Operation)value;
    return 0;
}

/* What the stub was called with, from its local `first` on; new references. */
void
read_operands(Frame *stub, int first, PyObject **operands)
{
    for (int i = 0; i < 3; i++) {
        PyObject *operand = slot_object(frame_slots(stub)[first + i]);
        operands[i] = Py_NewRef(operand == NULL ? Py_None : operand);
    }
}

/* 1: the frames are parked; 0: only in a new fiber can this be done; -1 with an exception. */
static int
ask(CoreState *core, PyThreadState *ts, Operation operation, PyObject **operands)
{
    Fiber *fiber = fiber_running_here(ts);
    bool elsewhere = operation == OPERATION_PUSH || operation == OPERATION_GIVE || operation == OPERATION_THROW ||
                     operation == OPERATION_CALL;
    if (fiber != NULL && (fiber->core != core || fiber->suspending)) {
        PyErr_SetString(core->fiber_error, "an operation on the stack while it is being left");
        return -1;
    }
    if (check(core, operation, operands) < 0 || check_prompt(core, fiber, operation, operands) < 0) {
        return -1;
    }
    if (fiber == NULL) {
        return 0;
    }
    Control *control = fiber_control(fiber);
    int parked = control == NULL ? -1 : fiber_park(fiber, ts, elsewhere);
    if (parked > 0) {
        control->operation = operation;
        memcpy(control->operands, operands, sizeof(control->operands));
    }
    return parked == 0 && !elsewhere ? -1 : parked;
}

void
drop_operands(PyObject **operands)
{
    for (int i = 0; i < 3; i++) {
        Py_CLEAR(operands[i]);
    }
}

/* `~gate` in `operate`: the operation that it was called for. Where only a new fiber can do it, outside of any
 * and behind C code, the answer is the continuation, or the gate itself. */
PyObject *
gate_operate(PyObject *gate)
{
    PyThreadState *ts = PyThreadState_Get();
    Frame *stub = gate_stub(gate, ts, STUB_OPERATE);
    Operation operation;
    PyObject *operands[3];
    if (stub == NULL || read_operation(stub, &operation) < 0) {
        return NULL;
    }
    read_operands(stub, 1, operands);
    int parked = ask(((Gate *)gate)->core, ts, operation, operands);
    if (parked > 0) {
        return Py_NewRef(Py_None);
    }
    PyObject *answer = parked < 0 ? NULL : Py_NewRef(operation == OPERATION_PUSH ? gate : operands[0]);
    drop_operands(operands);
    return answer;
}

/* ---- transfer ---------------------------------------------------------------------------------- */

/* Transfer from code that no fiber runs, or that C code waits for: as a resume. */
static PyObject *
transfer_from_outside(PyObject **operands)
{
    Fiber *target = (Fiber *)operands[0];
    if (operands[2] != Py_None) {
        return fiber_run(target, NULL, Py_NewRef(operands[2]));
    }
    return fiber_run(target, Py_NewRef(operands[1]), NULL);
}

/* Transfer to the running fiber itself: nothing but the value, or the exception. */
static PyObject *
transfer_to_itself(PyObject **operands)
{
    if (operands[2] == Py_None) {
        return Py_NewRef(operands[1]);
    }
    if (make_exception(&operands[2]) < 0) {
        return NULL;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(operands[2]), operands[2]);
    return NULL;
}

/* What comes next holds all that was passed to the stub, and nothing of it stays with the fiber that waits. */
static PyObject *
transfer_hard(Fiber *fiber, PyThreadState *ts, Frame *stub, PyObject **operands, const Barrier *barrier)
{
    Fiber *kept = hard_find(fiber, ts);
    bool throws = operands[2] != Py_None;
    if (kept == NULL) {
        raise_barrier(fiber, barrier);
        return NULL;
    }
    Next next = {.fiber = (Fiber *)operands[0], .value = throws ? NULL : operands[1], .thrown = throws ? operands[2] : NULL};
    Py_XDECREF(throws ? operands[1] : operands[2]);
    memset(operands, 0, 3 * sizeof(PyObject *));
    for (int i = 0; i < 3; i++) {
        slot_put(&frame_slots(stub)[i], slot_empty());
    }
    return hard_suspend(kept, fiber, ts, NULL, &next, barrier);
}

/* On the stack of another fiber, or of a script: the other one comes there instead of the running one. */
static PyObject *
transfer_on_host(Fiber *host, PyThreadState *ts, Frame *stub, PyObject **operands)
{
    bool outside = host->guest == NULL;
    if (!guest_can_be((Fiber *)operands[0], operands[2])) {
        if (outside) {
            return transfer_from_outside(operands);
        }
        PyErr_Format(host->core->fiber_error, "cannot transfer to %R: it cannot take the place of a fiber that was resumed by "
                     "resume(), the function; resume that one by its method", operands[0]);
        return NULL;
    }
    if (park_for(host, ts, stub, OPERATION_EXCHANGE, operands, outside)) {
        return Py_NewRef(Py_None);
    }
    return outside && !PyErr_Occurred() ? transfer_from_outside(operands) : NULL;
}

static PyObject *
transfer_from_fiber(Fiber *fiber, PyThreadState *ts, Frame *stub, PyObject **operands)
{
    Barrier barrier;
    Control *control = fiber_control(fiber);
    int parked = control == NULL ? -1 : fiber_park_again(fiber, ts, stub, OPERATING) ? 1 : try_to_park(fiber, ts, OPERATING, &barrier);
    if (parked == 0) {
        return transfer_hard(fiber, ts, stub, operands, &barrier);
    }
    if (parked < 0) {
        return NULL;
    }
    control->operation = OPERATION_TRANSFER;
    for (int i = 0; i < 3; i++) {
        control->operands[i] = Py_NewRef(operands[i]);
    }
    return Py_NewRef(Py_None);
}

static PyObject *
transfer(CoreState *core, PyThreadState *ts, Frame *stub, PyObject **operands)
{
    Fiber *fiber = fiber_running_here(ts);
    if (fiber != NULL && (PyObject *)fiber_or_guest(ts) == operands[0]) {
        return transfer_to_itself(operands);
    }
    if (check_message(core, operands, "transfer to") < 0) {
        return NULL;
    }
    if (fiber == NULL || fiber->is_root) {
        return transfer_from_outside(operands);
    }
    if (fiber->core != core || fiber->suspending) {
        PyErr_SetString(core->fiber_error, "a transfer while the stack is being left");
        return NULL;
    }
    if (fiber->guest != NULL || fiber->is_script) {
        return transfer_on_host(fiber, ts, stub, operands);
    }
    return transfer_from_fiber(fiber, ts, stub, operands);
}

static NOINLINE PyObject *
transfer_slowly(PyObject *gate)
{
    PyThreadState *ts = PyThreadState_Get();
    Frame *stub = gate_stub(gate, ts, STUB_TRANSFER);
    PyObject *operands[3];
    if (stub == NULL) {
        return NULL;
    }
    read_operands(stub, 0, operands);
    PyObject *result = transfer(((Gate *)gate)->core, ts, stub, operands);
    drop_operands(operands);
    return result;
}

/* `~gate` in `transfer(other, value, error)`. */
PyObject *
gate_transfer(PyObject *gate)
{
    PyObject *value = FRAMES_SWITCH_DIRECTLY ? fiber_switch(gate) : NULL;
    return LIKELY(value != NULL) ? value : transfer_slowly(gate);
}

/* successor(fiber): the fiber that goes on when it has ended, or None. */
PyObject *
core_successor(PyObject *module, PyObject *object)
{
    if (!PyObject_TypeCheck(object, core_state(module)->fiber_type)) {
        (void)wrong_operand("a fiber", object);
        return NULL;
    }
    Control *control = ((Fiber *)object)->control;
    return Py_NewRef(control == NULL || control->successor == NULL ? Py_None : control->successor);
}

/* set_successor(fiber, successor or None) */
PyObject *
core_set_successor(PyObject *module, PyObject *args)
{
    PyTypeObject *type = core_state(module)->fiber_type;
    PyObject *fiber, *successor;
    if (!PyArg_ParseTuple(args, "O!O", type, &fiber, &successor)) {
        return NULL;
    }
    if (successor != Py_None && !PyObject_TypeCheck(successor, type)) {
        (void)wrong_operand("a fiber or None", successor);
        return NULL;
    }
    Control *control = fiber_control((Fiber *)fiber);
    if (control == NULL) {
        return NULL;
    }
    Py_XSETREF(control->successor, successor == Py_None ? NULL : Py_NewRef(successor));
    Py_RETURN_NONE;
}
