"""The stack map: kinds of slots, calls, locals that must be bound, names of operations."""

import dis
import doctest
import gc
import opcode
import re
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from stackful import stackmap
from stackful._core import loops_by_number
from stackful.stackmap import (
    Kind,
    Slot,
    cells_needed,
    describe_call,
    effects,
    flow,
    instructions,
    is_call,
    kinds,
    liveness,
    locals_needed,
    names,
    stack_before,
    stack_during_call,
)

since_312 = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="3.11 checks every read of a local and inlines no comprehension"
)
before_312 = pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on reads of locals are unchecked")


whole_library = pytest.mark.no_leakcheck("goes through the standard library, and what it compiles stays in the caches")


def tree(code: CodeType) -> Iterator[CodeType]:
    """`code` and every code object inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from tree(constant)


@lru_cache
def corpus(size: int) -> tuple[CodeType, ...]:
    """All code objects of the first `size` modules of the standard library, asyncio and the tests of the grammar first."""
    library = Path(sysconfig.get_path("stdlib"))
    grammar = "test_grammar test_with test_except_star test_patma test_generators test_coroutines test_listcomps test_type_params"
    paths = [library / "test" / f"{name}.py" for name in grammar.split()]
    paths += [*sorted(library.glob("asyncio/*.py")), *sorted(library.glob("*.py")), *sorted(library.glob("*/*.py"))]
    tops = [compile(path.read_bytes(), str(path), "exec", dont_inherit=True) for path in paths[:size] if path.exists()]
    return tuple(code for top in tops for code in tree(top))


def code_of(source: str, name: str = "f") -> CodeType:
    """The code of the function `name` that `source` defines."""
    return next(code for code in tree(compile(source, "<source>", "exec")) if code.co_name == name)


def offsets(code: CodeType, *opnames: str) -> list[int]:
    """The reachable instructions of these names."""
    return [offset for offset in flow.flow_of(code).before if opcode.opname[code.co_code[offset]] in opnames]


def call_named(code: CodeType, name: str) -> int:
    """The first offset that `describe_call` describes as `name`."""
    return next(o for o in sorted(flow.flow_of(code).before) if is_call(code, o) and describe_call(code, o) == name)


def kinds_during(source: str, name: str = "g()") -> list[str]:
    """The kinds of the slots while `f` of `source` calls `g`."""
    code = code_of(source)
    return [slot.kind.value for slot in stack_during_call(code, call_named(code, name))]


# The table and the analysis, against CPython and its library


def table_effect(op: int, arg: int, jump: bool) -> int:
    """The change of depth according to our tables."""
    name = opcode.opname[op]
    if name in ("COPY", "LOAD_CONST", "LOAD_NAME"):
        return 1
    if name in ("SWAP", "PRECALL"):
        return 0
    actions = effects.local_actions(op, arg)
    if actions:
        change = {"load": 1, "load_checked": 1, "load_cell": 1, "push": 1, "save": 1, "store": -1, "pop": -1}
        return sum(change.get(action, 0) for action, _ in actions)
    effect = effects.jump_effect(op, arg) if jump else effects.effect(op, arg)
    return len(effect.pushes) - effect.pops


def cpython_effect(op: int, arg: int, jump: bool) -> int:
    """The change of depth according to CPython, but for three places where its compiler counts otherwise than its interpreter."""
    name = opcode.opname[op]
    if name == "RETURN_GENERATOR":
        return 1  # counted at the POP_TOP after it until 3.12
    if sys.version_info < (3, 12) and name == "PRECALL":
        return 0  # 3.11 counts a call's operands here ...
    if sys.version_info < (3, 12) and name == "CALL":
        return -1 - arg  # ... and not here, where they are popped
    return dis.stack_effect(op, arg if op >= dis.HAVE_ARGUMENT else None, jump=jump)


@whole_library
def test_the_table_agrees_with_cpython_on_every_instruction_of_the_library() -> None:
    """What an instruction pushes and pops is what CPython's own compiler reckons with."""
    seen = {
        (i.op, i.arg, i.target is not None) for code in corpus(80) for i in instructions.instructions(code).values()
    }
    assert len({op for op, _, _ in seen}) > 90
    for op, arg, jumps in seen:
        for jump in (False, True) if jumps else (False,):
            assert cpython_effect(op, arg, jump) == table_effect(op, arg, jump), (opcode.opname[op], arg, jump)


def test_every_instruction_of_this_cpython_is_in_a_table() -> None:
    """No instruction that a code object can contain is unknown."""
    special = {
        "COPY",
        "SWAP",
        "LOAD_CONST",
        "PRECALL",
        "RESERVED",
        "ENTER_EXECUTOR",
        "EXIT_INIT_CHECK",
        "INTERPRETER_EXIT",
        "LOAD_NAME",
        "TRACE_RECORD",
    }
    real = {name for name, op in opcode.opmap.items() if op < 256 and not name.startswith("INSTRUMENTED_")}
    unknown = real - special - effects.ACTIONS.keys() - effects._EFFECTS.keys()
    assert unknown == set()


@whole_library
def test_the_library_can_be_analysed() -> None:
    """Paths meet at equal depths, no depth exceeds co_stacksize, every unchecked demand is met, and functions return at depth 1."""
    codes = corpus(170)
    assert len(codes) > 5000
    for code in codes:
        analysed = flow.flow_of.__wrapped__(code)
        assert max(len(state.stack) for state in analysed.before.values()) <= code.co_stacksize
        for offset, state in analysed.before.items():
            if opcode.opname[analysed.listing[offset].op] == "RETURN_VALUE":
                assert len(state.stack) == 1, (code, offset)


@whole_library
def test_every_reachable_call_of_the_library_gets_a_name() -> None:
    """Whatever the instruction, its description is one line of text and nothing is raised."""
    for code in corpus(30):
        for offset in flow.flow_of(code).before:
            text = describe_call(code, offset)
            assert text.strip() and "\n" not in text and not re.search(r"\bNone\b", text)


@whole_library
def test_decoding_agrees_with_dis() -> None:
    """Offsets, arguments, targets and the exception table are the ones that dis shows."""
    for code in corpus(8):
        decoded = instructions.instructions(code)
        for shown in dis.get_instructions(code):
            mine = decoded[shown.offset]
            assert (shown.opcode, shown.arg or 0) == (mine.op, mine.arg if shown.arg is not None else 0)
            assert mine.target is None or mine.target == shown.argval
        theirs = [tuple(row) for row in dis._parse_exception_table(code)]  # type: ignore[attr-defined]
        assert theirs == [tuple(row) for row in instructions.exception_table(code)]


@whole_library
def test_the_intrinsics_have_the_numbers_that_the_table_uses() -> None:
    """The numbered operations of 3.12 and later are the ones meant."""
    meant = {3: "STOPITERATION_ERROR", 6: "LIST_TO_TUPLE", 10: "SUBSCRIPT_GENERIC", 11: "TYPEALIAS"}
    shown = {}
    for code in corpus(8):
        for i in dis.get_instructions(code):
            if i.opname.startswith("CALL_INTRINSIC"):
                shown[i.opname[-1], i.arg] = i.argrepr.removeprefix("INTRINSIC_")
    for (arity, number), name in shown.items():
        expected = (
            meant.get(number) if arity == "1" else {1: "PREP_RERAISE_STAR", 4: "SET_FUNCTION_TYPE_PARAMS"}.get(number)
        )
        assert expected in (None, name)


@whole_library
def test_analysing_an_ordinary_function_is_quick() -> None:
    """A code object of a hundred instructions takes about a fifth of a millisecond; the limit allows for slow machines."""
    codes = corpus(12)
    begin = time.process_time()
    for code in codes:
        flow.flow_of.__wrapped__(code)
    assert (time.process_time() - begin) / len(codes) < 0.003


@pytest.mark.no_leakcheck("doctest compiles the examples anew, and what it compiled stays in the caches")
@pytest.mark.parametrize(
    "module", [stackmap, effects, flow, instructions, kinds, liveness, names], ids=lambda m: m.__name__
)
def test_the_examples_of_the_documentation_run(module: Any) -> None:
    """Docstrings tell the truth."""
    assert doctest.testmod(module).failed == 0


# Kinds

LOOP = ["iterator"] if sys.version_info < (3, 15) else ["iterator", "index"]
# with x: g() has looked up __exit__ only, or (from 3.14 on) what it is bound to as well
WITH = ["object"] if sys.version_info < (3, 14) else ["object", "maybe_null"]
STRINGS = "tuple" if sys.version_info < (3, 14) else "strings"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(): return g()", []),
        ("def f(x): return x + g()", ["object"]),
        ("def f():\n  for i in x: g()", LOOP),
        ("def f():\n  for i in x:\n    for j in y: g()", LOOP + LOOP),
        ("def f(x): return [1, g()]", ["object"]),
        ("def f(x): return [*x, g()]", ["list"]),
        ("def f(x): return (*x, g())", ["list"]),
        ("def f(x): return {*x, g()}", ["set"]),
        ("def f(x): return {**x, 'a': g()}", ["dict", "object"]),
        # the name of the keyword is loaded before its default from 3.14 on
        ("def f():\n  def h(a=(1, 2), *, b=g()): pass", ["tuple"] + ["object"] * (sys.version_info >= (3, 14))),
        # annotations are functions of their own from 3.14 on
        *([("def f():\n  def h(a=1, *, b: g()=2): pass", ["tuple", "dict", "object"])] * (sys.version_info < (3, 14))),
        ("def f():\n  with x: g()", WITH),
        ("def f():\n  try: x\n  except E: g()", ["maybe_exception"]),
        ("def f():\n  try: x\n  finally: g()", []),
        ("def f():\n  try: x\n  except E as e:\n    for i in e: g()", ["maybe_exception", *LOOP]),
        ("def f():\n  try: x\n  except* E: g()", ["lasti", "maybe_exception", "exception"]),
        ("def f(x, y): return x if y else g()", []),
        ("def f(x, y): h(1, 2, 3)[x if y else 1] = g(), 4, 5", []),
        ("def f(x, y):\n  x = (x if y else 1) + g()\n  h(x, 1, 2)", ["object"]),
        ("def f(x, y):\n  x = ([x] if y else (x,)) + g()\n  h(x, 1, 2)", ["object"]),
        ("def f(x, y):\n  x = ([x] if y else [y]) + g()\n  h(x, 1, 2)", ["list"]),
    ],
)
def test_a_call_leaves_these_kinds_on_the_stack(source: str, expected: list[str]) -> None:
    """Under a running call lies what the statements around it have put there, each slot of its kind."""
    found = kinds_during(source)
    if "except*" in source:
        assert {"maybe_exception", "list"} <= set(found) and found.count("exception") >= 1
    else:
        assert found == expected


def test_the_handler_of_a_finally_clause_holds_the_exception() -> None:
    """Code that runs for an exception sits on what was handled before and on the exception itself."""
    code = code_of("def f():\n  try: x\n  finally: g()")
    calls = [stack_during_call(code, offset) for offset in offsets(code, "CALL")]
    assert sorted([slot.kind for slot in stack] for stack in calls) == [[], [Kind.MAYBE_EXCEPTION, Kind.EXCEPTION]]


def test_leaving_a_with_statement_by_an_exception_needs_an_index_and_an_exception() -> None:
    """WITH_EXCEPT_START finds the exit function, the index of what raised, the previous exception and the current one."""
    code = code_of("def f():\n  with x: y")
    (offset,) = offsets(code, "WITH_EXCEPT_START")
    expected = [*WITH, Kind.LASTI, Kind.MAYBE_EXCEPTION, Kind.EXCEPTION]
    assert [slot.kind for slot in stack_before(code, offset)] == expected


@pytest.mark.parametrize(
    ("source", "nullable"),
    [("def f(): h(g())", Kind.NULL), ("def f(x): x.h(g())", Kind.MAYBE_NULL), ("def f(x): x[0](g())", Kind.NULL)],
)
def test_an_outer_call_has_prepared_its_two_slots(source: str, nullable: Kind) -> None:
    """A call whose argument is being computed holds its callable and a slot that may or must be NULL."""
    code = code_of(source)
    stack = stack_during_call(code, call_named(code, "g()"))
    assert {slot.kind for slot in stack} == {Kind.OBJECT, nullable} and len(stack) == 2


@pytest.mark.parametrize(("brackets", "kind"), [("[]", "list"), ("{}", "set")])
def test_a_comprehension_holds_its_container_and_its_iterator(brackets: str, kind: str) -> None:
    """A comprehension, inlined or not, has the growing container and the iterator on the stack, in this order."""
    source = f"def f(x): return {brackets[0]}g() for i in x{brackets[1]}"
    code = next(c for c in tree(compile(source, "<source>", "exec")) if "g" in c.co_names)
    stack = stack_during_call(code, call_named(code, "g()"))
    assert [slot.kind.value for slot in stack][-1 - len(LOOP) :] == [kind, *LOOP]


def test_a_dict_comprehension_holds_its_dict() -> None:
    """MAP_ADD gets a dict."""
    code = next(c for c in tree(compile("{g(): 1 for i in x}", "<source>", "exec")) if "g" in c.co_names)
    (offset,) = offsets(code, "MAP_ADD")
    assert Kind.DICT in [slot.kind for slot in stack_before(code, offset)]


@since_312
def test_an_inlined_comprehension_saves_the_local_that_it_borrows() -> None:
    """Under the comprehension lies the function's own variable of the same name, bound or not."""
    assert kinds_during("def f(x): return [g() for i in x]") == ["saved_local", "list", *LOOP]


@since_312
def test_an_inlined_comprehension_in_a_loop_saves_a_local_or_the_cell_of_its_last_turn() -> None:
    """An error in the midst of a comprehension leaves its own cell behind, which is put aside the next time round."""
    source = "def f(x):\n  while x:\n    try: [(lambda: i)() for i in g()]\n    except E: pass"
    code = code_of(source)
    (restored,) = {flow.flow_of(code).state(o).stack[-1].kind for o in offsets(code, "STORE_FAST")[:1]}
    assert restored in (Kind.SAVED_LOCAL, Kind.CELL)


@since_312
def test_a_cell_that_a_comprehension_borrows_is_one_again_in_the_handlers_around_it() -> None:
    """Putting locals aside and back raises nothing: a handler finds the function's own cells."""
    source = "def f(x):\n  h = lambda: i\n  i = 1\n  try: [(lambda: i)() for i in x]\n  except E: g()\n  return i"
    code = code_of(source)
    index = instructions.local_names(code).index("i")
    assert index in cells_needed(code, call_named(code, "g()"))


def test_handlers_of_code_that_raises_nothing_are_analysed() -> None:
    """A trace function may raise where no instruction does."""
    code = code_of("def f(x):\n  try:\n    y = 1\n  except E: g()")
    assert stack_during_call(code, call_named(code, "g()"))[-1].kind is Kind.MAYBE_EXCEPTION


@since_312
def test_an_inlined_comprehension_saves_a_cell_as_a_cell() -> None:
    """If the borrowed variable was a cell, a cell must come back."""
    source = "def f(x):\n  h = lambda: i\n  i = 1\n  [g() for i in x]\n  return i"
    assert kinds_during(source) == ["cell", "list", *LOOP]


def test_an_asynchronous_generator_expression_need_not_hold_an_iterator() -> None:
    """What `async for` goes through has no __next__ in C, though it comes as the same argument `.0`."""
    code = next(
        c
        for c in tree(compile("async def f(x): return (g() async for i in x)", "<source>", "exec"))
        if "genexpr" in c.co_name
    )
    (offset,) = offsets(code, "GET_ANEXT")
    assert stack_before(code, offset)[-1].kind is Kind.OBJECT


def test_origins_are_the_instructions_that_pushed() -> None:
    """A slot knows where its value was made, and keeps that over copies and swaps."""
    code = code_of("def f(x, y): x[y] += g()")
    stack = stack_during_call(code, call_named(code, "g()"))
    origins = [opcode.opname[code.co_code[slot.origin]] for slot in stack]
    assert [name[:9] for name in origins[:2]] == ["LOAD_FAST", "LOAD_FAST"]
    assert origins[2] == ("BINARY_SUBSCR" if sys.version_info < (3, 14) else "BINARY_OP")
    assert (stack[0].origin, stack[0].part) != (stack[1].origin, stack[1].part)


def test_a_slot_with_two_makers_has_no_single_origin() -> None:
    """Where paths meet that made different values, the origin is MANY."""
    code = code_of("def f(x, y):\n  x = (x if y else 1) + g()\n  h(x, 1, 2)")
    assert stack_during_call(code, call_named(code, "g()")) == (Slot(Kind.OBJECT, stackmap.MANY),)


FITS: dict[Kind, Callable[[Any], bool]] = {
    Kind.ITERATOR: lambda v: hasattr(type(v), "__next__") or loops_by_number(type(v)),
    Kind.LIST: lambda v: type(v) is list,
    Kind.SET: lambda v: type(v) is set,
    Kind.DICT: lambda v: type(v) is dict,
    Kind.TUPLE: lambda v: type(v) is tuple,
    Kind.LASTI: lambda v: type(v) is int,
    Kind.EXCEPTION: lambda v: isinstance(v, BaseException),
    Kind.MAYBE_EXCEPTION: lambda v: v is None or isinstance(v, BaseException),
}


def generator_of(source: str) -> Any:
    """The generator that `f` of `source` makes; `manager` is there for its with statements."""

    class Manager:
        def __enter__(self) -> None: ...
        def __exit__(self, *args: object) -> bool:
            return False

    namespace: dict[str, Any] = {"manager": Manager()}
    exec(source, namespace)
    return namespace["f"]()


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n  for i in (1, 2):\n    with manager:\n      for j in {3: 4}: yield",
        "def f(): return [*(1, 2), (yield)]",
        "def f(): return {**{1: 2}, 3: (yield)}",
        "def f(): return {*(1, 2), (yield)}",
        "def f(): return print(*(1, 2), a=(yield))",
        "def f():\n  def h(a=1, *, b=(yield)): pass",
        "def f():\n  try: 1 / 0\n  except ZeroDivisionError as e:\n    for i in [1]: yield",
        "def f():\n  try: 1 / 0\n  finally:\n    for i in [1]: yield",
        pytest.param(
            "def f():\n  try: raise ExceptionGroup('', [ValueError()])\n  except* ValueError:\n    for i in [1]: yield",
            marks=pytest.mark.no_leakcheck(
                "except* looks up `split` by a new string each time: CPython's method cache fills"
            ),
        ),
        "def f():\n  if not [i for i in (1, 2)]: return\n  x = yield",
        "def f(): f'{1}{(yield)}{2}'",
    ],
)
def test_the_stack_of_a_suspended_generator_is_as_computed(source: str) -> None:
    """What CPython itself keeps on the stack at a yield has the number and the kinds that the analysis gives."""
    generator = generator_of(source)
    next(generator)
    frame = generator.gi_frame
    # The sent value is not there yet, whether f_lasti is the YIELD_VALUE (until 3.12) or the RESUME after it (3.13).
    bare = {Kind.NULL} if sys.version_info < (3, 14) else {Kind.NULL, Kind.INDEX, Kind.LASTI}  # no objects
    stack = [slot for slot in stack_before(frame.f_code, frame.f_lasti)[:-1] if slot.kind not in bare]
    held = gc.get_referents(generator)
    if any(slot.kind is Kind.MAYBE_EXCEPTION for slot in stack):
        held.pop()  # what the generator is handling, kept beside the frame
    values = held[len(held) - len(stack) :]
    for slot, value in zip(stack, values, strict=True):
        assert FITS.get(slot.kind, lambda v: True)(value), (slot, value)
    try:
        generator.close()
    except BaseExceptionGroup:  # early 3.11 (3.11.2) wraps the GeneratorExit that leaves an except*
        pass


# Calls


def test_stack_before_refuses_offsets_between_instructions() -> None:
    """Only the start of a reachable instruction has a stack."""
    code = code_of("def f(x): return g(x)")
    for offset in (-2, 1, len(code.co_code), offsets(code, "CALL")[0] + 2):
        with pytest.raises(ValueError, match="no reachable instruction of f starts at offset"):
            stack_before(code, offset)


def test_stack_during_call_refuses_other_instructions() -> None:
    """An instruction that is no call has no callee to wait for."""
    code = code_of("def f(x): return x + 1")
    (offset,) = offsets(code, "BINARY_OP")
    assert not is_call(code, offset)
    with pytest.raises(ValueError, match="BINARY_OP at offset .* of f is no call"):
        stack_during_call(code, offset)


def test_offsets_outside_of_the_code_are_no_calls() -> None:
    """is_call answers for any number; the functions that need an instruction say what is wrong."""
    code = code_of("def f(): g()")
    assert not any(is_call(code, offset) for offset in (-1, -2, 1, 1000))
    for function in (stack_during_call, locals_needed, stackmap.cells_needed):
        with pytest.raises(ValueError, match="offset 1000 is not in the bytecode of f"):
            function(code, 1000)


@pytest.mark.parametrize(
    "call", ["g(1)", "g(x=1)", "s.m(1)", "g(*s.t, **{})" if sys.version_info >= (3, 12) else "g(x=2)"]
)
def test_a_real_callers_f_lasti_is_a_call(call: str) -> None:
    """The offset that CPython leaves in a calling frame, inline caches or not, is recognised."""
    seen: list[tuple[CodeType, int]] = []

    def g(*args: object, **kwargs: object) -> None:
        caller: FrameType = sys._getframe(1)
        seen.append((caller.f_code, caller.f_lasti))

    class S:
        t = (1,)
        m = g

    namespace: dict[str, Any] = {"g": g, "s": S()}
    exec(f"def f():\n  for i in (1, 2): [3, {call}]", namespace)
    namespace["f"]()
    code, offset = seen[0]
    assert code.co_name == "f" and is_call(code, offset)
    assert [slot.kind for slot in stack_during_call(code, offset)] == [*LOOP, Kind.OBJECT]


@before_312
def test_a_call_with_a_star_goes_through_c_on_311() -> None:
    """CPython 3.11 never enters a Python function directly for f(*args)."""
    code = code_of("def f(x): g(*x)")
    assert not is_call(code, offsets(code, "CALL_FUNCTION_EX")[0])


def test_bytecode_that_appends_to_no_list_is_refused() -> None:
    """A demand that the interpreter does not check is checked by the analysis."""
    code = code_of("def f(x): return [*x]")
    units = bytearray(code.co_code)
    units[units.index(opcode.opmap["BUILD_LIST"])] = opcode.opmap["BUILD_SET"]
    with pytest.raises(
        ValueError, match="cannot follow the bytecode of f: the slot 2 below the top is not of kind list"
    ):
        stack_before(code.replace(co_code=bytes(units)), 0)


def test_bytecode_that_underflows_is_refused() -> None:
    """Popping more than there is, or a loop that grows the stack, is not followed."""
    code = code_of("def f(x): return x")
    units = bytearray(code.co_code)
    begin = instructions.instructions(code)[0].after
    units[begin:begin] = bytes([opcode.opmap["POP_TOP"], 0])
    with pytest.raises(ValueError, match=f"the stack underflows at offset {begin}"):
        stack_before(code.replace(co_code=bytes(units)), 0)


# Locals


def needed_in(source: str) -> set[str]:
    """The names of the locals that must be bound after `f` of `source` has called `g`."""
    code = code_of(source)
    return {instructions.local_names(code)[index] for index in locals_needed(code, call_named(code, "g()"))}


@since_312
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(x): g(); return x", {"x"}),
        ("def f(x): g(); x = 1; return x", set()),
        ("def f(x): g()", set()),
        ("def f(x, y): g(); return x, y", {"x", "y"}),
        ("def f(x, y): g(); return [x, y] if x else y", {"x", "y"}),
        ("def f(x):\n  del x\n  g()\n  return x", set()),
        ("def f(y):\n  if y: x = 1\n  g()\n  return x", set()),
        ("def f(y):\n  if y: x = 1\n  else: x = 2\n  g()\n  return x", {"x"}),
        ("def f(y):\n  while y:\n    g()\n    y = y + 1", {"y"}),
        ("def f(x):\n  try: g()\n  except E: return x", {"x"}),
        ("def f(x):\n  try: g()\n  except E as x: return x", set()),
        ("def f(x):\n  try: g()\n  except E as x: pass\n  return x", {"x"}),
        ("def f(x):\n  try: g()\n  except E as x: pass\n  else: x = 1\n  return x", set()),
        ("def f(x):\n  try: x = g()\n  finally: h(x)", {"x"}),
        ("def f(x, i): return [g() for i in x], i", set()),
        ("def f(x, i): return [x for j in g()]", {"x"}),
        ("def f(x): return lambda: (g(), x)", set()),
    ],
)
def test_locals_that_are_read_unchecked_must_be_bound(source: str, expected: set[str]) -> None:
    """A local is needed when some way on reads it, without a check, before it is assigned."""
    if "lambda" in source:
        code = code_of(source, "<lambda>")
        assert locals_needed(code, call_named(code, "g()")) == frozenset()
        assert stackmap.cells_needed(code, call_named(code, "g()")) == {0}
    else:
        assert needed_in(source) == expected


@before_312
def test_311_needs_no_local() -> None:
    """CPython 3.11 checks every read of a local."""
    assert needed_in("def f(x): g(); return x") == set()


def test_cells_are_needed_from_their_making_on() -> None:
    """A variable that an inner function shares is a cell for the rest of the frame, and so is what comes from outside."""
    code = code_of("def f(x):\n  def h(): return x, y, z\n  y = g()\n  return h\n")
    assert {instructions.local_names(code)[i] for i in stackmap.cells_needed(code, call_named(code, "g()"))} == {
        "x",
        "y",
    }


@since_312
def test_a_cell_that_a_comprehension_borrows_is_on_the_stack_instead() -> None:
    """While an inlined comprehension uses the place of a cell, the place need not hold one."""
    code = code_of("def f(x):\n  h = lambda: i\n  i = 1\n  [g() for i in x]\n  return i")
    index = instructions.local_names(code).index("i")
    assert index not in stackmap.cells_needed(code, call_named(code, "g()"))
    assert index in stackmap.cells_needed(code, len(code.co_code) - 2)


@since_312
def test_what_the_compiler_keeps_in_locals_has_a_kind() -> None:
    """The scope of type parameters holds defaults and parameters that the interpreter takes over unchecked."""
    source = "def f():\n  class A[T](g()): pass\n  def h[T](a=1, *, b=2): pass"
    found = {
        code.co_name: set(stackmap.local_kinds(code).values()) for code in tree(compile(source, "<source>", "exec"))
    }
    assert found["<generic parameters of A>"] == {Kind.TUPLE}
    assert found["<generic parameters of h>"] == {Kind.TUPLE, Kind.DICT}
    assert found["f"] == set()


@pytest.mark.no_leakcheck("CPython itself keeps some bytes each time that textwrap is run under a profiler")
def test_every_local_that_is_needed_is_bound_in_real_frames() -> None:
    """In running functions of the library, the locals needed at a call are bound: no valid frame would be refused."""
    import json
    import textwrap

    checked = 0

    def watch(frame: FrameType, event: str, arg: object) -> None:
        nonlocal checked
        caller = frame.f_back
        if event == "call" and caller is not None and is_call(caller.f_code, caller.f_lasti):
            code = caller.f_code
            free = len(instructions.local_names(code)) - len(code.co_freevars)
            needed = {instructions.local_names(code)[i] for i in locals_needed(code, caller.f_lasti) if i < free}
            cells = set(code.co_cellvars)
            assert needed - cells <= {*caller.f_locals, ".0"}
            checked += 1

    sys.setprofile(watch)
    try:
        json.dumps({"a": [1, {"b": None}]}, indent=2, sort_keys=True)
        textwrap.wrap("one two three four " * 20, 20)
    finally:
        sys.setprofile(None)
    assert checked > 5


# Words


@pytest.mark.parametrize(
    ("statement", "opname", "expected"),
    [
        ("sorted(x)", "CALL", "sorted()"),
        ("x(1)", "CALL", "x()"),
        ("x.sort()", "CALL", "x.sort()"),
        ("[x].sort()", "CALL", ".sort()"),
        ("os.walk(x)", "CALL", "os.walk()"),
        ("os.path.join.x(x)", "CALL", "os.path.join.x()"),
        ("x[0](y)", "CALL", "a call"),
        ("sorted(x, key=y)", "CALL CALL_KW", "sorted()"),
        ("os.walk(*x)", "CALL_FUNCTION_EX", "os.walk(*args)"),
        ("x(**y)", "CALL_FUNCTION_EX", "x(*args, **kwargs)"),
        ("x[0](*y)", "CALL_FUNCTION_EX", "a call (*args)"),
        ("class K(x): pass", "CALL", "class statement `K`"),
        ("class K(x, metaclass=y): pass", "CALL CALL_KW", "class statement `K`"),
        ("(lambda: 1)()", "CALL", "<lambda>()"),
        ("for i in x: pass", "FOR_ITER", "next() of a for loop"),
        ("for i in x: pass", "GET_ITER", "iter() of a for loop"),
        ("x + y", "BINARY_OP", "the + operator"),
        ("x //= y", "BINARY_OP", "the //= operator"),
        ("x < y", "COMPARE_OP", "the < operator"),
        ("x != y", "COMPARE_OP", "the != operator"),
        ("x not in y", "CONTAINS_OP", "the not in operator"),
        ("-x", "UNARY_NEGATIVE", "the unary - operator"),
        ("x.attr", "LOAD_ATTR", "attribute access .attr"),
        ("x.attr = y", "STORE_ATTR", "attribute assignment .attr"),
        ("x[y]", "BINARY_SUBSCR BINARY_OP", "indexing [...]"),
        ("x[y] = 1", "STORE_SUBSCR", "item assignment [...] = ..."),
        ("with x: pass", "BEFORE_WITH" if sys.version_info < (3, 14) else "CALL", "__enter__ of a with statement"),
        ("with x: pass", "CALL", "__exit__ of a with statement"),
        ("with x: pass", "WITH_EXCEPT_START", "__exit__ of a with statement"),
        ("import a.b", "IMPORT_NAME", "import a.b"),
        ("from a import b", "IMPORT_FROM", "from ... import b"),
        ("yield from x", "SEND", "yield from / await"),
        ("a, b = x", "UNPACK_SEQUENCE", "unpacking into several targets"),
        ("f'{x}'", "FORMAT_VALUE FORMAT_SIMPLE", "formatting in an f-string"),
        ("if x: y", "TO_BOOL POP_JUMP_IF_FALSE POP_JUMP_FORWARD_IF_FALSE", "a truth test: bool() of a condition"),
        ("x", "NOP RESUME", "a signal handler, or a finaliser (__del__) run by the garbage collector"),
        ("x = [1]", "BUILD_LIST", "the instruction BUILD_LIST"),
    ],
)
def test_operations_are_named_as_their_programmer_would(statement: str, opname: str, expected: str) -> None:
    """Each operation that can call back into Python has a description in the language of the source."""
    code = code_of(f"def f(x, y):\n  {statement}")
    assert expected in [describe_call(code, offset) for offset in offsets(code, *opname.split())]


def test_two_locals_loaded_at_once_are_told_apart() -> None:
    """A callable that was loaded together with its argument is named, not the argument."""
    code = code_of("def f(x, y, z): return z, (x)(y)")
    assert "x()" in [describe_call(code, offset) for offset in offsets(code, "CALL")]


@pytest.mark.parametrize("offset", [-2, 1, 3, 10_000])
def test_a_description_never_raises(offset: int) -> None:
    """Even nonsense gets some words."""
    assert describe_call(code_of("def f(): g()"), offset).startswith("the instruction at offset")


def test_bytecode_that_cannot_be_followed_is_named_by_its_instruction() -> None:
    """Where the analysis refuses, the description falls back to the instruction."""
    code = code_of("def f(x): return x")
    units = bytes([opcode.opmap["POP_TOP"], 0])
    assert describe_call(code.replace(co_code=units + code.co_code), 0) == "the instruction POP_TOP"


def test_extended_arguments_are_looked_through() -> None:
    """An instruction with a long argument is named at its prefix, too, and its argument is whole."""
    loads = "\n".join(f"  v{i}" for i in range(300))
    code = code_of(f"def f(x):\n{loads}\n  last(x)")
    assert describe_call(code, call_named(code, "last()")) == "last()"
    prefix = offsets(code, "EXTENDED_ARG")[0]
    assert not describe_call(code, prefix).endswith("EXTENDED_ARG")
