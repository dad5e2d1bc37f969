/* What frames must hold, remembered.
 *
 * The hook `verify` (fibers/guard.py) checks a frame that is to be restored against its bytecode.
 * For most places in the code the answer is a few simple demands, one for each slot; `verify` says
 * which, and they are kept here, so that the next frame that waits at the same place is found right
 * without running Python.  What does not meet the demands goes to `verify` again: it alone refuses. */
#include "core.h"

static Rule *
rule_place(CoreState *core, PyCodeObject *code, int offset)
{
    size_t mixed = ((uintptr_t)code >> 5) ^ (uintptr_t)code >> 12 ^ (size_t)offset >> 1;
    return &core->rules[mixed % RULES];
}

/* Does `value` meet the demand?  The letters are explained in fibers/guard.py (_LETTERS). */
static bool
slot_fits(CoreState *core, char demand, PyObject *value)
{
    switch (demand) {
    case 'a':
        return true;
    case 'o':
        return value != core->null;
    case 'n':
        return value == core->null;
    case 'i':
        return PyIter_Check(value);
    case 'c':
        return PyCell_Check(value);
    case 'l':
        return PyList_CheckExact(value);
    case 's':
        return PySet_CheckExact(value);
    case 'd':
        return PyDict_CheckExact(value);
    case 't':
        return PyTuple_CheckExact(value);
    case 'e':
        return PyExceptionInstance_Check(value);
    case 'm':
        return value == Py_None || PyExceptionInstance_Check(value);
    default:
        return false;
    }
}

static bool
slots_fit(CoreState *core, const char *demands, PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        if (!slot_fits(core, demands[i], PyTuple_GET_ITEM(tuple, i))) {
            return false;
        }
    }
    return true;
}

static bool
rule_is_met(CoreState *core, Rule *rule, PyObject *locals, PyObject *stack)
{
    const char *demands = PyBytes_AS_STRING(rule->demands);
    Py_ssize_t count = PyTuple_GET_SIZE(locals);
    return PyBytes_GET_SIZE(rule->demands) == count + PyTuple_GET_SIZE(stack) &&
           slots_fit(core, demands, locals) && slots_fit(core, demands + count, stack);
}

static void
rule_remember(CoreState *core, PyCodeObject *code, int offset, char waiting, PyObject *answer, PyObject *demands)
{
    Rule *place = rule_place(core, code, offset), old = *place;
    /* The code is kept alive: its address cannot come to mean another. */
    *place = (Rule){(PyCodeObject *)Py_NewRef(code), Py_NewRef(demands), Py_NewRef(answer), offset, waiting};
    Py_XDECREF(old.code); /* last, as this may run any code */
    Py_XDECREF(old.answer);
    Py_XDECREF(old.demands);
}

void
rules_forget(CoreState *core)
{
    for (int i = 0; i < RULES; i++) {
        Rule old = core->rules[i];
        core->rules[i] = (Rule){NULL};
        Py_XDECREF(old.code);
        Py_XDECREF(old.answer);
        Py_XDECREF(old.demands);
    }
}

static PyObject *
ask_verify(CoreState *core, PyCodeObject *code, int offset, const char *waiting, PyObject *locals, PyObject *stack,
           PyObject *namespace)
{
    PyObject *verify = core_hook(core, "verify"), *answer, *demands, *done;
    if (verify == NULL) {
        return NULL;
    }
    done = PyObject_CallFunction(verify, "OisOOO", code, offset, waiting, locals, stack, namespace);
    if (done == NULL || !PyArg_ParseTuple(done, "O!O", &PyTuple_Type, &answer, &demands)) {
        Py_XDECREF(done);
        return NULL;
    }
    if (PyBytes_Check(demands)) {
        rule_remember(core, code, offset, waiting[0], answer, demands);
    }
    Py_INCREF(answer);
    Py_DECREF(done);
    return answer;
}

/* Refuses a frame that CPython could not have made (NULL, with an exception).  `waiting` is "call",
 * "yield" or "fresh".  Returns a new reference to (how many code units of inline cache follow the
 * instruction, which slots of the stack must become bare numbers). */
PyObject *
frame_verify(CoreState *core, PyCodeObject *code, int offset, const char *waiting, PyObject *locals, PyObject *stack,
             PyObject *namespace)
{
    Rule *rule = rule_place(core, code, offset);
    if (rule->code == code && rule->offset == offset && rule->waiting == waiting[0] &&
        rule_is_met(core, rule, locals, stack)) {
        return Py_NewRef(rule->answer);
    }
    return ask_verify(core, code, offset, waiting, locals, stack, namespace);
}
