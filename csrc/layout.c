/* Does CPython lay out its frames as this core was compiled to believe?  Looked at, not trusted: what
 * csrc/cpython/ says about running frames is compared with what CPython's public functions say. */
#include "core.h"

/* What is wrong with a frame that has called, or NULL; `object` is its frame object. */
static const char *
wrong_with_frame(Frame *frame, PyFrameObject *object)
{
    PyCodeObject *code = PyFrame_GetCode(object);
    const char *wrong = NULL;
    if (frame == NULL || frame_object(frame) != object) {
        wrong = "frame objects";
    }
    else if (frame_code(frame) != code) {
        wrong = "code";
    }
    else if (!frame_is_complete(frame) || !frame_is_plain(frame)) {
        wrong = "owner";
    }
    else if (2 * frame_unit(frame) != PyFrame_GetLasti(object)) {
        wrong = "position";
    }
    Py_DECREF(code);
    return wrong;
}

/* The caller has called a Python function: only then its stack's height is written down. */
static const char *
wrong_with_caller(Frame *frame, PyFrameObject *object)
{
    PyCodeObject *code = frame_code(frame);
    int opcode, height = frame_depth(frame) - code->co_nlocalsplus;
    const char *wrong = wrong_with_frame(frame, object);
    if (wrong != NULL) {
        return wrong;
    }
    if (height < 0 || height > code->co_stacksize) {
        return "height of the stack";
    }
    if (frame_call_unit(frame, &opcode) < 0) {
        PyErr_Clear();
        return "bytecode";
    }
    return frame_is_suspended_call(opcode) ? NULL : "calls";
}

static PyObject *
problem(const char *what)
{
    return PyUnicode_FromFormat("its frames are laid out otherwise (%s): was stackful built for it?", what);
}

/* check_layout(marker): what does not fit, in words, or None. To be called by a plain function whose
 * first local is `marker`, and which was called plainly by another one. */
PyObject *
core_check_layout(PyObject *Py_UNUSED(module), PyObject *marker)
{
    PyThreadState *ts = PyThreadState_Get();
    PyFrameObject *object = PyEval_GetFrame(), *back;
    Frame *frame = thread_frame(ts);
    const char *wrong;
    if (thread_has_jit(ts)) {
        return PyUnicode_FromString("its experimental JIT is enabled; PYTHON_JIT=0 disables it");
    }
    if (object == NULL || frame_of_object(object) != frame) {
        return problem("thread state");
    }
    wrong = wrong_with_frame(frame, object);
    if (wrong == NULL && frame_first_local(frame) != marker) {
        wrong = "locals";
    }
    back = PyFrame_GetBack(object);
    if (wrong == NULL) {
        wrong = back == NULL ? "chain" : wrong_with_caller(frame_previous(frame), back);
    }
    Py_XDECREF(back);
    if (wrong == NULL) {
        Py_RETURN_NONE;
    }
    return problem(wrong);
}
