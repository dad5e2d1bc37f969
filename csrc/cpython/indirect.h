/* What a version's header leaves out: there, stubs leave the interpreter loop by `return` alone. */
#ifndef STACKFUL_CPYTHON_INDIRECT_H
#define STACKFUL_CPYTHON_INDIRECT_H

#ifndef STUBS_EXIT_DIRECTLY
#define STUBS_EXIT_DIRECTLY 0

static inline Exit *
code_find_exit(PyCodeObject *Py_UNUSED(code))
{
    return NULL;
}

static inline PyObject *
frame_exit_directly(PyThreadState *Py_UNUSED(ts), Frame *Py_UNUSED(stub), Exit *Py_UNUSED(exit))
{
    return NULL;
}

static inline void
exit_undo(Exit *Py_UNUSED(exit))
{
}
#endif

#ifndef FRAMES_SWITCH_DIRECTLY
#define FRAMES_SWITCH_DIRECTLY 0

static inline bool
frame_returns_quietly(PyThreadState *Py_UNUSED(ts), Frame *Py_UNUSED(stub), Exit *Py_UNUSED(exit))
{
    return false;
}

static inline bool
frame_is_up_to_date(PyThreadState *Py_UNUSED(ts), Frame *Py_UNUSED(f))
{
    return false;
}

static inline void
frame_relink_switch(PyThreadState *Py_UNUSED(ts), Frame *Py_UNUSED(stub), Frame *Py_UNUSED(from), Frame *Py_UNUSED(to))
{
}
#endif

#endif
