/* The gates: where Python code enters this core to leave the interpreter loop.
 *
 * A stub is a small Python function, `return ~gate`, that stands between user code and this core. An operator, not a
 * call: for the interpreter it is less work, it reports no call of a C function to profilers, and it does
 * not look for signals when it is done, which would raise in the stub after the frames have been parked.
 */
#include "core.h"

static const struct {
    const char *name; /* as the function registers itself */
    const char *type;
    unaryfunc enter;  /* NULL: an ordinary function of this module finds the stub */
} stubs[STUB_COUNT] = {
    [STUB_SUSPEND] = {"suspend", "stackful._core.SuspendGate", gate_suspend},
    [STUB_YIELD] = {"yield_", "stackful._core.YieldGate", gate_yield},
    [STUB_OPERATE] = {"operate", "stackful._core.OperateGate", gate_operate},
    [STUB_TRANSFER] = {"transfer", "stackful._core.TransferGate", gate_transfer},
    [STUB_PERFORM] = {"perform", "stackful._core.PerformGate", gate_perform},
    [STUB_UNMASK] = {"unmask", "stackful._core.UnmaskGate", gate_unmask},
    [STUB_RESUMED] = {"resumed", "stackful._core.ResumedGate", gate_resumed},
    [STUB_RESUME] = {"resume", "stackful._core.ResumeGate", gate_resume},
    [STUB_SUSPEND_TO] = {"suspend_to", "stackful._core.SuspendToGate", gate_suspend_to},
    [STUB_ASK] = {"is_capturable", NULL, NULL},
};

/* The same in every process, as that of the other constants of a stub: code is known again by these (snapshot/codes.py). */
static PyObject *
gate_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<%s>", Py_TYPE(self)->tp_name);
}

/* The one object of a new type. Its type does not hold the module: the stub holds the gate, the module the code of
 * the stub, and the collector cannot look into code objects. */
static PyObject *
gate_new(CoreState *core, const char *name, unaryfunc enter)
{
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)PyDoc_STR("Private: use the functions of stackful.")},
        {Py_nb_invert, (void *)enter},
        {Py_tp_repr, (void *)gate_repr},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = name,
        .basicsize = sizeof(Gate),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&spec);
    PyObject *gate = type == NULL ? NULL : type->tp_alloc(type, 0);
    Py_XDECREF(type);
    if (gate != NULL) {
        ((Gate *)gate)->core = core;
    }
    return gate;
}

/* Make them, and the module's dict `gates`: name of the stub -> gate. */
int
gates_open(CoreState *core, PyObject *module)
{
    PyObject *gates = PyDict_New();
    int failed = gates == NULL;
    for (int i = 0; i < STUB_COUNT && !failed; i++) {
        if (stubs[i].enter != NULL) {
            core->gates[i] = gate_new(core, stubs[i].type, stubs[i].enter);
            failed = core->gates[i] == NULL || PyDict_SetItemString(gates, stubs[i].name, core->gates[i]) < 0;
        }
    }
    failed = failed || PyModule_AddObjectRef(module, "gates", gates) < 0;
    Py_XDECREF(gates);
    return failed ? -1 : 0;
}

/* Is `function` the stub of this name? Then its code is remembered: 1, else 0. */
int
gates_register(CoreState *core, PyObject *name, PyObject *function)
{
    for (int i = 0; PyFunction_Check(function) && i < STUB_COUNT; i++) {
        if (PyUnicode_CompareWithASCIIString(name, stubs[i].name) != 0) {
            continue;
        }
        Py_XSETREF(core->stub_codes[i], Py_NewRef(PyFunction_GET_CODE(function)));
        if (stubs[i].enter != NULL) {
            core->stub_exits[i] = code_find_exit((PyCodeObject *)core->stub_codes[i]);
            function_renew_version((PyFunctionObject *)function);
        }
        return 1;
    }
    return 0;
}

int
gates_traverse(CoreState *core, visitproc visit, void *arg)
{
    for (int i = 0; i < STUB_COUNT; i++) {
        Py_VISIT(core->gates[i]);
        Py_VISIT(core->stub_codes[i]);
    }
    return 0;
}

/* The stubs may outlive the module. */
void
gates_shut(CoreState *core)
{
    for (int i = 0; i < STUB_COUNT; i++) {
        if (core->gates[i] != NULL) {
            ((Gate *)core->gates[i])->core = NULL;
        }
        core->stub_exits[i] = NULL;
        Py_CLEAR(core->gates[i]);
        Py_CLEAR(core->stub_codes[i]);
    }
}

/* The slow ways of the gates ask first whether they are open, and whether the innermost frame is the stub's:
 * that, or NULL with an exception. */
Frame *
gate_stub(PyObject *gate, PyThreadState *ts, Stub stub)
{
    CoreState *core = ((Gate *)gate)->core;
    if (core == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "stackful has been shut down");
        return NULL;
    }
    Frame *frame = thread_frame(ts);
    if (frame == NULL || (PyObject *)frame_code(frame) != core->stub_codes[stub]) {
        PyErr_Format(core->fiber_error, "call stackful's %s, not the core's own", stubs[stub].name);
        return NULL;
    }
    return frame;
}
