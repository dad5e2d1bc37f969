/* What some other objects written in C do not tell of themselves: scanners of regular expressions, files of text, tokens of context
 * variables. Read for snapshots, and put into new ones. */
#include "core.h"

#include <frameobject.h>

#include "cpython/iterator_layouts.h"
#include "cpython/token_layout.h"

static int
check_type(PyObject *object, const char *name, Py_ssize_t least)
{
    if (!is_builtin_named(Py_TYPE(object), name) || Py_TYPE(object)->tp_basicsize < least) {
        PyErr_Format(PyExc_TypeError, "expected a %s, got %R", name, Py_TYPE(object));
        return -1;
    }
    return 0;
}

/* scanner_state(scanner): (string, pos, endpos, where it goes on, must the next match be further on?). */
PyObject *
core_scanner_state(PyObject *Py_UNUSED(module), PyObject *object)
{
    Scanner *scanner = (Scanner *)object;
    if (check_type(object, "_sre.SRE_Scanner", sizeof(Scanner)) < 0) {
        return NULL;
    }
    /* NULL once there is nothing more to be found (v3.13.0 Modules/_sre/sre.c, _sre_SRE_Scanner_search_impl). */
    Py_ssize_t at = scanner->start == NULL ? -1 : (scanner->start - scanner->beginning) / scanner->charsize;
    return Py_BuildValue("OnnnO", scanner->string, scanner->pos, scanner->endpos, at, scanner->must_advance ? Py_True : Py_False);
}

/* set_scanner(scanner, where it goes on or -1, must the next match be further on?): ValueError outside of what it scans. */
PyObject *
core_set_scanner(PyObject *Py_UNUSED(module), PyObject *args)
{
    Scanner *scanner;
    PyObject *object;
    Py_ssize_t at;
    int must_advance;
    if (!PyArg_ParseTuple(args, "Onp", &object, &at, &must_advance) || check_type(object, "_sre.SRE_Scanner", sizeof(Scanner)) < 0) {
        return NULL;
    }
    scanner = (Scanner *)object;
    if (at < -1 || (at >= 0 && (at < scanner->pos || at > scanner->endpos))) {
        PyErr_SetString(PyExc_ValueError, "a scanner cannot go on there");
        return NULL;
    }
    scanner->start = at < 0 ? NULL : scanner->beginning + at * scanner->charsize;
    scanner->must_advance = must_advance;
    Py_RETURN_NONE;
}

/* text_state(file): (what it has read from its buffer and not given yet, its argument `newline`, its decoder or None). */
PyObject *
core_text_state(PyObject *Py_UNUSED(module), PyObject *object)
{
    TextFile *file = (TextFile *)object;
    if (check_type(object, "_io.TextIOWrapper", sizeof(TextFile)) < 0) {
        return NULL;
    }
    PyObject *chars = file->decoded_chars, *newline = file->readnl == NULL ? Py_None : file->readnl, *pending;
    pending = chars == NULL ? PyUnicode_New(0, 0) : PyUnicode_Substring(chars, file->decoded_chars_used, PyUnicode_GET_LENGTH(chars));
    return pending == NULL ? NULL : Py_BuildValue("NOO", pending, newline, file->decoder == NULL ? Py_None : file->decoder);
}

/* token_state(token): (context, value before or NULL, has it been used?). */
PyObject *
core_token_state(PyObject *module, PyObject *object)
{
    Token *token = (Token *)object;
    if (!Py_IS_TYPE(object, &PyContextToken_Type)) {
        return PyErr_Format(PyExc_TypeError, "expected a Token, got %R", object);
    }
    return Py_BuildValue("OOO", token->tok_ctx, token->tok_oldval == NULL ? core_state(module)->null : token->tok_oldval,
                         token->tok_used ? Py_True : Py_False);
}

/* fill_token(token, context, value before or NULL, has it been used?): a token of some context becomes one of another. */
PyObject *
core_fill_token(PyObject *module, PyObject *args)
{
    PyObject *object, *context, *before, *old_context, *old_before;
    int used;
    if (!PyArg_ParseTuple(args, "O!O!Op", &PyContextToken_Type, &object, &PyContext_Type, &context, &before, &used)) {
        return NULL;
    }
    Token *token = (Token *)object;
    old_context = (PyObject *)token->tok_ctx;
    old_before = token->tok_oldval;
    token->tok_ctx = (PyContext *)Py_NewRef(context);
    token->tok_oldval = before == core_state(module)->null ? NULL : Py_NewRef(before);
    token->tok_used = used;
    Py_DECREF(old_context);
    Py_XDECREF(old_before);
    Py_RETURN_NONE;
}

/* asend_state(awaitable): (asynchronous generator, value that is sent or NULL, 0 fresh, 1 awaited, 2 at its end). */
PyObject *
core_asend_state(PyObject *module, PyObject *object)
{
    AsyncSend *awaitable = (AsyncSend *)object;
    if (check_type(object, "async_generator_asend", sizeof(AsyncSend)) < 0) {
        return NULL;
    }
    return Py_BuildValue("OOi", awaitable->generator, awaitable->value == NULL ? core_state(module)->null : awaitable->value,
                         awaitable->state);
}

/* set_asend(awaitable, state): of a fresh one. */
PyObject *
core_set_asend(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *object;
    int state;
    if (!PyArg_ParseTuple(args, "Oi", &object, &state) || check_type(object, "async_generator_asend", sizeof(AsyncSend)) < 0) {
        return NULL;
    }
    if (state < ASEND_FRESH || state > ASEND_ENDED || ((AsyncSend *)object)->state != ASEND_FRESH) {
        PyErr_SetString(PyExc_ValueError, "there is no such state of an asend, or it has one already");
        return NULL;
    }
    ((AsyncSend *)object)->state = state;
    Py_RETURN_NONE;
}

/* view_offset(view): by how many bytes its first item lies behind the first of the object that it shows. */
PyObject *
core_view_offset(PyObject *Py_UNUSED(module), PyObject *object)
{
    Py_buffer shown, whole;
    if (!PyMemoryView_Check(object) || PyMemoryView_GET_BASE(object) == NULL) {
        return PyErr_Format(PyExc_TypeError, "expected a memoryview of an object, got %R", object);
    }
    if (PyObject_GetBuffer(object, &shown, PyBUF_FULL_RO) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(PyMemoryView_GET_BASE(object), &whole, PyBUF_FULL_RO) < 0) {
        PyBuffer_Release(&shown);
        return NULL;
    }
    PyObject *offset = PyLong_FromSsize_t((char *)shown.buf - (char *)whole.buf);
    PyBuffer_Release(&whole);
    PyBuffer_Release(&shown);
    return offset;
}

/* bare_frame(code): the object of a frame that never ran and has no frame below it, for a traceback to show. One that had run would keep
   all that called it, with its locals, as long as the traceback lives (v3.13.0 Python/frame.c, take_ownership). */
PyObject *
core_bare_frame(PyObject *Py_UNUSED(module), PyObject *code)
{
    PyObject *globals, *frame = NULL;
    if (!PyCode_Check(code)) {
        return PyErr_Format(PyExc_TypeError, "bare_frame takes a code object, not %.100s", Py_TYPE(code)->tp_name);
    }
    globals = PyDict_New();
    if (globals != NULL) {
        frame = (PyObject *)PyFrame_New(PyThreadState_Get(), (PyCodeObject *)code, globals, NULL);
        Py_DECREF(globals);
    }
    return frame;
}
