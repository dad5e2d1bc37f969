/* The stack switch alone, without Python: run by tests/core/test_machine.py. Ends with 0, or says which truth does not hold. */
#include <fenv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unwind.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define THREAD_LOCAL __thread
#define Py_UNUSED(name) unused_##name __attribute__((unused))
#define STACKFUL_SWITCH_IS_HERE
#include "machine/switch.h"

#ifdef STACKFUL_UCONTEXT
#define UNWINDS false /* makecontext says nothing of the caller */
#else
#define UNWINDS true
#endif

#define SIZE (256 * 1024)
#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            printf("line %d: not true: %s\n", __LINE__, #condition);                                          \
            exit(1);                                                                                          \
        }                                                                                                     \
    } while (0)

/* As CStack in types.h: `resumer` is the second word above `high`. */
typedef struct {
    void *next, *resumer;
    char *low;
    void *waiter;
} Stack;

static Stack *
stack_new(void)
{
    char *low = aligned_alloc(64, SIZE);
    Stack *stack = (Stack *)(low + SIZE - 1024);
    stack->low = low;
    return stack;
}

IN_FRAME_OF_ITS_OWN NOINLINE static void *
leave(Stack *stack, void *value)
{
    stack_keep((char *)stack);
    return stack_switch(&stack->waiter, stack->resumer, value);
}

IN_FRAME_OF_ITS_OWN NOINLINE static void *
go_on(Stack *stack, void *value)
{
    return stack_switch(&stack->resumer, stack->waiter, value);
}

IN_FRAME_OF_ITS_OWN NOINLINE static void *
begin(Stack *stack, StackFunction function, void *argument)
{
    return stack_call(&stack->resumer, stack->low, (char *)stack, function, stack, argument, (void *)3, (void *)4);
}

/* Many values that live across a call: some in registers that a callee preserves, floating-point ones too. */
#define KEEPS_ITS_VALUES(CALL)                                                                                \
    do {                                                                                                      \
        uint64_t n[16];                                                                                       \
        double x[10];                                                                                         \
        for (int i = 0; i < 16; i++) {                                                                        \
            n[i] = seed * (2 * i + 1);                                                                        \
        }                                                                                                     \
        for (int i = 0; i < 10; i++) {                                                                        \
            x[i] = (double)seed / (i + 3);                                                                    \
        }                                                                                                     \
        uint64_t a = n[0], b = n[1], c = n[2], d = n[3], e = n[4], f = n[5];                                  \
        double u = x[0], v = x[1], w = x[2], y = x[3];                                                        \
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));                           \
        CALL;                                                                                                 \
        CHECK(a == n[0] && b == n[1] && c == n[2] && d == n[3] && e == n[4] && f == n[5]);                    \
        CHECK(u == x[0] && v == x[1] && w == x[2] && y == x[3]);                                              \
    } while (0)

/* ---- values go back and forth, and registers are preserved ------------------------------------ */

static void *
echo(void *stack, void *value, void *three, void *four)
{
    uint64_t seed = (uint64_t)(uintptr_t)value;
    CHECK(three == (void *)3 && four == (void *)4);
    CHECK((char *)&seed > ((Stack *)stack)->low && (char *)&seed < (char *)stack);
    while (value != NULL) {
        KEEPS_ITS_VALUES(value = leave(stack, (char *)value + 1));
        seed += 7;
    }
    return (void *)99;
}

NOINLINE static void
resume_often(Stack *stack, uint64_t seed, int times)
{
    for (int i = 1; i <= times; i++) {
        void *got;
        KEEPS_ITS_VALUES(got = go_on(stack, (void *)(uintptr_t)(1000 + i)));
        CHECK(got == (void *)(uintptr_t)(1001 + i));
    }
}

static void
values_go_back_and_forth(void)
{
    Stack *stack = stack_new();
    uint64_t seed = 12345;
    void *got;
    KEEPS_ITS_VALUES(got = begin(stack, echo, (void *)41));
    CHECK(got == (void *)42);
    resume_often(stack, 3, 100000);
    KEEPS_ITS_VALUES(got = go_on(stack, NULL));
    CHECK(got == (void *)99);
    /* The stack can be used again. */
    KEEPS_ITS_VALUES(got = begin(stack, echo, NULL));
    CHECK(got == (void *)99);
}

/* ---- whoever resumes last gets the result ------------------------------------------------------ */

NOINLINE static void
finish_from_deeper(Stack *stack, int depth)
{
    volatile char room[512];
    room[depth] = (char)depth;
    if (depth > 0) {
        finish_from_deeper(stack, depth - 1);
        CHECK(room[depth] == (char)depth);
        return;
    }
    CHECK(go_on(stack, NULL) == (void *)99);
}

static void *
finish_other(void *stack, void *other, void *three, void *four)
{
    (void)stack, (void)three, (void)four;
    return go_on(other, NULL);
}

static void
the_last_resumer_gets_the_result(void)
{
    Stack *one = stack_new(), *two = stack_new();
    CHECK(begin(one, echo, (void *)1) == (void *)2);
    finish_from_deeper(one, 100);
    CHECK(begin(one, echo, (void *)1) == (void *)2);
    CHECK(begin(two, finish_other, one) == (void *)99);
}

/* ---- stacks on stacks -------------------------------------------------------------------------- */

static void *
nest(void *stack, void *depth, void *three, void *four)
{
    (void)three, (void)four;
    if (depth == NULL) {
        return leave(stack, (void *)7);
    }
    Stack *inner = stack_new();
    CHECK(begin(inner, nest, (char *)depth - 1) == (void *)7);
    void *got = leave(stack, (void *)7);
    CHECK(go_on(inner, got) == got);
    return got;
}

static void
stacks_nest(void)
{
    Stack *stack = stack_new();
    CHECK(begin(stack, nest, (void *)50) == (void *)7);
    CHECK(go_on(stack, (void *)8) == (void *)8);
}

/* ---- control words of floating point ----------------------------------------------------------- */

static void *
round_up_and_wait(void *stack, void *value, void *three, void *four)
{
    (void)three, (void)four;
    CHECK(fesetround(FE_UPWARD) == 0);
    value = leave(stack, value);
    CHECK(fegetround() == FE_UPWARD);
    (void)fesetround(FE_TONEAREST);
    return value;
}

static void
control_words_belong_to_a_stack(void)
{
    Stack *stack = stack_new();
    (void)begin(stack, round_up_and_wait, NULL);
    (void)fesetround(FE_DOWNWARD); /* the first time it has been left changed: see x86_64.h */
    (void)go_on(stack, NULL);
    (void)fesetround(FE_TONEAREST);
}

/* ---- unwinders go on from stack to stack ------------------------------------------------------- */

static bool reached_main;
static void (*volatile main_is_here)(void);

static _Unwind_Reason_Code
look(struct _Unwind_Context *context, void *count)
{
    void *function = _Unwind_FindEnclosingFunction((void *)(_Unwind_GetIP(context) - 1));
    reached_main = reached_main || function == (void *)main_is_here;
    return ++*(int *)count > 1000 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static bool
unwinds_to_main(void)
{
    int count = 0;
    reached_main = false;
    (void)_Unwind_Backtrace(look, &count);
    return reached_main;
}

static void *
unwind_on_it(void *stack, void *value, void *three, void *four)
{
    (void)three, (void)four;
    CHECK(unwinds_to_main());
    value = leave(stack, value);
    CHECK(unwinds_to_main());
    return value;
}

NOINLINE static void
unwinders_go_on(void)
{
    Stack *stack = stack_new();
    CHECK(unwinds_to_main());
    (void)begin(stack, unwind_on_it, NULL);
    CHECK(unwinds_to_main());
    (void)go_on(stack, NULL);
    CHECK(unwinds_to_main());
}

int
main(void)
{
    main_is_here = (void (*)(void))main;
    values_go_back_and_forth();
    the_last_resumer_gets_the_result();
    stacks_nest();
    control_words_belong_to_a_stack();
    if (UNWINDS) {
        unwinders_go_on();
    }
    return 0;
}
