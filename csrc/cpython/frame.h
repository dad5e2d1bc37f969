/* The only door to CPython's private frame layout.
 *
 * Each supported minor version has a header of its own beside this one; all supply the same
 * operations, named by what they mean.  Nothing else in csrc/ knows a version or a private field.
 * How to add a version: CONTRIBUTING.md.
 *
 * Words.  A frame is *complete* when its function has really begun (its RESUME has run).  A frame
 * is *plain* when it runs an ordinary Python function on the thread's data stack: not a
 * generator's frame, not one that the interpreter put there for its own use.  A frame that has
 * *called* has its stack pointer and its position saved: it waits for a Python function that the
 * interpreter runs in the same loop.  Only such frames can be parked.
 *
 * The operations (f: _PyInterpreterFrame *, ts: PyThreadState *):
 *
 *   thread_current()                             as PyThreadState_Get()
 *   thread_finder_init(finder), thread_running(finder)   the same, at less cost, in one interpreter
 *   thread_frame(ts), thread_set_frame(ts, f)    the innermost running frame
 *   thread_trim(ts, chunk, top)                  drop the data stack above a remembered height
 *   thread_has_room(ts, bytes)                   the next frame goes to the top of the data stack
 *   thread_end_stack_at(ts, full, end)           no room behind `end` until it is trimmed
 *   recursion_has_room(ts, n), recursion_save/restore   what is left of the recursion limits
 *   recursion_had_room(ts, saved, n)             what was left then
 *   c_stack_has_room(ts, low)                    for another evaluation, and what it will call; `low`: the stack ends
 *                                                there, NULL: it is the thread's own
 *   c_stack_suffices(size)                       for code of this thread, instead of the thread's own
 *   recursion_charge(ts, n)                      count n more Python frames as being on the stack
 *   thread_stack_save/put(ts, stack)             where C code and Python code have their stacks, and how much room there
 *   thread_stack_init(stack, ...)                is; those of an unused stack: thread_stack.h
 *
 *   exception_take(), exception_put(e)           the raised exception, as one object; steals
 *
 *   function_renew_version(function)             calls of it may be specialised, although its code was
 *                                                replaced
 *
 *   frame_code(f), frame_function(f)             borrowed
 *   frame_previous(f), frame_set_previous(f, p)
 *   frame_is_plain(f)
 *   frame_is_generator(f)                        owned by a generator, coroutine, async generator
 *   frame_is_complete(f)
 *   frame_called_by_c(f)                         its caller is C code, not the interpreter's loop
 *   frame_was_called_from(f, caller)             by the interpreter's loop, and by that plain frame
 *   frame_beyond_c(f)                            for such a frame: the frame that called that C code
 *   frame_position(f)                            where its code goes on: to be compared, not to be kept
 *                                                longer than the code
 *   frame_unit(f)                                index of the current code unit, maybe an inline cache's
 *   frame_is_suspended_call(opcode)              may a frame be parked at this (base) opcode?
 *   frame_first_local(f)                         borrowed; NULL when unbound
 *   frame_slots(f)                               locals and stack: array of FrameSlot
 *   frame_depth(f)                               slots in use; negative while the frame executes (but see
 *                                                FRAME_DEPTH_IS_ALWAYS_KNOWN)
 *   frame_set_depth(f, n)
 *   frame_push(f, v)                             steals v
 *   frame_step_over_call(f)                      before it goes on with a value (not with an exception)
 *   frame_set_call_position(f, unit, caches)     as if the call at `unit` were in progress
 *   frame_size(code)                             bytes of a frame for this code
 *   frame_init(f, function, code, locals)        a bare plain frame; steals nothing, takes references
 *   frame_relink_exit(stub, base, resumer)       make `stub`'s return leave the interpreter loop that
 *                                                was entered at `base`; beneath it stands `resumer`
 *   code_find_exit(code), frame_exit_directly(ts, stub, exit), exit_undo(exit)   the same at less cost, where
 *                                                STUBS_EXIT_DIRECTLY: direct_exit.h
 *   frame_relink_switch(ts, stub, from, to)      make `stub`'s return go on at `to` instead of `from`, in the loop
 *                                                that was entered at `from`; where FRAMES_SWITCH_DIRECTLY, and
 *                                                frame_returns_quietly(ts, stub, exit), frame_is_up_to_date(ts, to)
 *   FRAMES_RUN_TOGETHER, and with it: frame_stand_before_exit(stub, exit): `~` is what it goes on with;
 *   stub_enters_quietly(ts, exit): nobody would hear of that; frame_set_caller(f, caller);
 *   frame_enter_batch(stub, inner, outer)        make the return of `stub`, which is evaluated, go on at `inner`, and that of
 *                                                `outer` leave the loop
 *   frame_bring_up_to_date(ts, f)                before a frame goes on: its code reports the events set now
 *   frame_hear_of_events(ts, f)                  the same for a frame that is running
 *   frame_evaluate(ts, f, throwing)              run it to its return, exception or suspension
 *   FRAME_EVALUATE                               the function that does it, for its address
 *   thread_has_jit(ts)                           of a kind that Python code cannot ask for
 *   frame_of_object(object)                      what a PyFrameObject stands for
 *   frame_object(f)                              its PyFrameObject, borrowed, or NULL
 *   frame_locals_mapping(f)                      borrowed: the namespace of module and class code, or NULL
 *   frame_move(to, from)                         move the used part, which `to` then owns; frame objects follow
 *   frame_own(f)                                 that frame borrows nothing from its caller any more
 *   frame_duplicate(to, from)                    the same contents with references of its own; no frame object,
 *                                                and no cached view of locals
 *   frame_visit(f, visit, arg)                   for the collector: what the frame owns
 *   frame_give_to_object(f, object)              the frame object takes the contents over
 *   frame_drop_names(f)                          release function, code and namespace
 *   FRAME_ENTRY_LEFT_TO_CALLER                   1: frame_evaluate does not clear the frame it was
 *                                                given (then frame_hollow exists as well)
 *   type_loops_by_number(type)                   a loop keeps such an object and a number on the stack, no iterator
 *   generator_*                                  see frame_common.h
 *
 * A FrameSlot is a local or a place on the evaluation stack: nothing, an object, or (from 3.14 on) a
 * bare number, which the interpreter expects in certain places and nowhere else.
 *
 *   slot_empty(), slot_of(object)                slot_of steals; NULL gives an empty one
 *   slot_object(s)                               borrowed; NULL when there is none
 *   slot_take(p)                                 what it holds, an object, which the caller gets: *p is empty then
 *   slot_is_number(s), slot_number(s), slot_of_number(n)
 *   slot_counts(s)                               is it counted as a reference of its object, not borrowed?
 *   slot_duplicate(s)                            the same with a reference of its own
 *   slot_release(s)                              drop its reference; the slot is to be overwritten
 *   slot_put(place, s)                           overwrite a slot that is in use; steals
 */
#ifndef STACKFUL_CPYTHON_FRAME_H
#define STACKFUL_CPYTHON_FRAME_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pthread_getattr_np */
#endif
#ifndef Py_BUILD_CORE_MODULE
#define Py_BUILD_CORE_MODULE 1
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <opcode.h>
#include <stdbool.h>
#include <string.h>
#include "internal/pycore_frame.h"
#include "internal/pycore_code.h"
#include "internal/pycore_genobject.h"
#include "internal/pycore_gc.h"
#include "cpython/references.h"

#if defined(__GLIBC__)
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))
#elif defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL _Thread_local
#endif

#if defined(__GNUC__)
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define NOINLINE __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define LIKELY(condition) (condition)
#define UNLIKELY(condition) (condition)
#define NOINLINE
#define ALWAYS_INLINE inline
#endif

typedef _PyInterpreterFrame Frame;
typedef _PyStackChunk StackChunk;
typedef _Py_CODEUNIT Exit; /* an instruction */

/* Does the interpreter check its own assertions? setup.py knows; on Windows, its debug builds do. */
#if defined(Py_DEBUG)
#undef INTERPRETER_ASSERTS
#define INTERPRETER_ASSERTS 1
#elif !defined(INTERPRETER_ASSERTS)
#define INTERPRETER_ASSERTS 0
#endif

#if PY_VERSION_HEX >= 0x03100000
#error "Stackful does not know this CPython yet: see CONTRIBUTING.md, how to add a version"
#elif PY_VERSION_HEX >= 0x030F0000
#include "cpython/frame_315.h"
#elif PY_VERSION_HEX >= 0x030E0000
#include "cpython/frame_314.h"
#elif PY_VERSION_HEX >= 0x030D0000
#include "cpython/frame_313.h"
#elif PY_VERSION_HEX >= 0x030C0000
#include "cpython/frame_312.h"
#elif PY_VERSION_HEX >= 0x030B0000
#include "cpython/frame_311.h"
#else
#error "Stackful needs CPython 3.11 or later"
#endif
#include "cpython/indirect.h"
#include "cpython/thread_stack.h"

static inline void
slot_put(FrameSlot *place, FrameSlot slot)
{
    FrameSlot old = *place;
    *place = slot;
    slot_release(old);
}

#endif
