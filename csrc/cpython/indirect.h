/* What a version's header leaves out: there, stubs leave the interpreter loop by `return` alone. */
#ifndef STACKFUL_CPYTHON_INDIRECT_H
#define STACKFUL_CPYTHON_INDIRECT_H

#ifndef CODE_HAS_EXITS
static inline Exit *
code_find_exit(PyCodeObject *Py_UNUSED(code))
{
    return NULL;
}
#endif

#ifndef STUBS_EXIT_DIRECTLY
#define STUBS_EXIT_DIRECTLY 0

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

#ifndef FRAMES_RUN_TOGETHER
#define FRAMES_RUN_TOGETHER 0

static inline bool
stub_enters_quietly(PyThreadState *Py_UNUSED(ts), Exit *Py_UNUSED(exit))
{
    return false;
}

static inline void
frame_set_caller(Frame *Py_UNUSED(f), Frame *Py_UNUSED(caller))
{
}

static inline void
frame_enter_batch(Frame *Py_UNUSED(stub), Frame *Py_UNUSED(inner), Frame *Py_UNUSED(outer))
{
}
#endif

#endif
