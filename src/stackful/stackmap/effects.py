"""What every instruction takes from the evaluation stack, puts on it, and demands of it: one table, changed per version.

To support another CPython, add its differences to `_CHANGES`. Jumps, cells and fast locals have small tables of their own.
`effect` looks an instruction up; `flow` and `liveness` are the same for all versions.
"""

import opcode
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from .kinds import Kind

__all__ = ["ACTIONS", "CALLS", "ENDS", "SILENT", "Effect", "effect", "jump_effect", "local_actions"]

_O, _N, _M = (Kind.OBJECT,), (Kind.NULL,), (Kind.MAYBE_NULL,)
_EXC, _MAYBE = (Kind.EXCEPTION,), (Kind.MAYBE_EXCEPTION,)
_EITHER = (Kind.EXCEPTION, Kind.MAYBE_EXCEPTION)
_LIST, _SET, _DICT, _TUPLE = (Kind.LIST,), (Kind.SET,), (Kind.DICT,), (Kind.TUPLE,)
_ANY_TUPLE = (Kind.TUPLE, Kind.STRINGS)
_FUNCTION, _CODE, _LASTI = (Kind.FUNCTION,), (Kind.CODE,), (Kind.LASTI,)
_INDEX, _MAYBE_INDEX = (Kind.INDEX,), (Kind.INDEX, Kind.NULL)

Need = tuple[int, tuple[Kind, ...]]
"""(depth, kinds): the slot `depth` below the top before the instruction (the top is 1) must be of one of the kinds."""


class Effect(NamedTuple):
    """Pop `pops` slots, push one slot for each of `pushes`; `needs` is what is used without a check."""

    pops: int
    pushes: tuple[Kind, ...] = ()
    needs: tuple[Need, ...] = ()
    nullable: bool = False
    """Whether what it pops may be NULL; elsewhere a NULL would crash the interpreter."""


Entry = Effect | Callable[[int], Effect]
Table = dict[str, Entry]


def _make_function_311(flags: int) -> Effect:
    # v3.11.7 Python/ceval.c, MAKE_FUNCTION: the parts are stored into the function after a mere assert
    parts = [kind for bit, kind in ((8, _ANY_TUPLE), (4, _ANY_TUPLE), (2, _DICT), (1, _ANY_TUPLE)) if flags & bit]
    return Effect(1 + len(parts), _FUNCTION, ((1, _CODE), *((i + 2, kind) for i, kind in enumerate(parts))))


def _reraise(n: int) -> Effect:
    return Effect(1, (), ((1, _EXC), (n + 1, _LASTI)) if n else ((1, _EXC),))


def _intrinsic_1(n: int) -> Effect:
    needs, pushes = _INTRINSICS_1.get(n, ((), _O))
    return Effect(1, pushes, needs)


def _intrinsic_2(n: int) -> Effect:
    needs, pushes = _INTRINSICS_2.get(n, ((), _O))
    return Effect(2, pushes, needs)


# v3.12.1 Python/intrinsics.c; Objects/typevarobject.c: what these functions only assert. All others take any object.
_INTRINSICS_1: dict[int, tuple[tuple[Need, ...], tuple[Kind, ...]]] = {
    3: (((1, _EXC),), _EXC),  # STOPITERATION_ERROR
    6: (((1, _LIST),), _TUPLE),  # LIST_TO_TUPLE
    10: (((1, _ANY_TUPLE),), _O),  # SUBSCRIPT_GENERIC
    11: (((1, _ANY_TUPLE),), _O),  # TYPEALIAS
}
_INTRINSICS_2: dict[int, tuple[tuple[Need, ...], tuple[Kind, ...]]] = {
    1: (((1, _LIST), (2, _EXC)), _MAYBE),  # PREP_RERAISE_STAR
    4: (((1, _ANY_TUPLE), (2, _FUNCTION)), _FUNCTION),  # SET_FUNCTION_TYPE_PARAMS
}


def _plain(names: str, pops: int, pushes: tuple[Kind, ...] = ()) -> Table:
    return dict.fromkeys(names.split(), Effect(pops, pushes))


_PYTHON_311: Table = {
    **_plain("CACHE NOP RESUME EXTENDED_ARG KW_NAMES SETUP_ANNOTATIONS DELETE_NAME DELETE_GLOBAL", 0),
    **_plain("JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT", 0),
    **_plain("PUSH_NULL", 0, _N),
    **_plain("POP_TOP PRINT_EXPR RETURN_VALUE IMPORT_STAR STORE_NAME STORE_GLOBAL DELETE_ATTR", 1),
    **_plain(
        "POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_TRUE POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE", 1
    ),
    **_plain("POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_BACKWARD_IF_NONE", 1),
    **_plain("POP_JUMP_BACKWARD_IF_NOT_NONE JUMP_IF_FALSE_OR_POP JUMP_IF_TRUE_OR_POP", 1),
    **_plain("STORE_ATTR DELETE_SUBSCR", 2),
    **_plain("STORE_SUBSCR", 3),
    **_plain("UNARY_POSITIVE UNARY_NEGATIVE UNARY_NOT UNARY_INVERT LOAD_ATTR", 1, _O),
    **_plain("GET_AITER GET_YIELD_FROM_ITER GET_AWAITABLE YIELD_VALUE ASYNC_GEN_WRAP", 1, _O),
    **_plain("BINARY_OP BINARY_SUBSCR COMPARE_OP IS_OP CONTAINS_OP IMPORT_NAME", 2, _O),
    **_plain("LOAD_BUILD_CLASS LOAD_ASSERTION_ERROR LOAD_NAME IMPORT_FROM", 0, _O),
    **_plain("GET_LEN MATCH_MAPPING MATCH_SEQUENCE GET_ANEXT FOR_ITER", 0, _O),
    **_plain("RETURN_GENERATOR", 0, _O),  # the value that the first send() brings
    **_plain("BEFORE_WITH BEFORE_ASYNC_WITH", 1, (*_O, *_O)),
    **_plain("SEND", 1, _O),
    **_plain("GET_ITER", 1, (Kind.ITERATOR,)),
    **_plain("LOAD_METHOD", 1, (*_M, *_O)),
    "LOAD_GLOBAL": lambda n: Effect(0, (*_N, *_O) if n & 1 else _O),
    # exceptions
    "PUSH_EXC_INFO": Effect(1, (*_MAYBE, *_EXC), ((1, _EXC),)),
    "CHECK_EXC_MATCH": Effect(1, _O, ((2, _EXC),)),
    "CHECK_EG_MATCH": Effect(2, (*_MAYBE, *_MAYBE), ((2, _EITHER),)),
    "PREP_RERAISE_STAR": Effect(2, _MAYBE, ((1, _LIST), (2, _EXC))),
    "WITH_EXCEPT_START": Effect(0, _O, ((1, _EXC), (3, _LASTI))),
    "END_ASYNC_FOR": Effect(2, (), ((1, _EXC),)),
    "POP_EXCEPT": Effect(1, (), ((1, _EITHER),)),
    "RERAISE": _reraise,
    "RAISE_VARARGS": lambda n: Effect(n, ()),
    # containers
    "BUILD_TUPLE": lambda n: Effect(n, _TUPLE),
    "BUILD_LIST": lambda n: Effect(n, _LIST),
    "BUILD_SET": lambda n: Effect(n, _SET),
    "BUILD_MAP": lambda n: Effect(2 * n, _DICT),
    "BUILD_CONST_KEY_MAP": lambda n: Effect(n + 1, _DICT, ((1, _ANY_TUPLE),)),
    "BUILD_STRING": lambda n: Effect(n, _O),
    "BUILD_SLICE": lambda n: Effect(n, _O),
    "FORMAT_VALUE": lambda n: Effect(2 if n & 4 else 1, _O),
    "LIST_TO_TUPLE": Effect(1, _TUPLE, ((1, _LIST),)),
    "LIST_APPEND": lambda n: Effect(1, (), ((n + 1, _LIST),)),
    "LIST_EXTEND": lambda n: Effect(1, (), ((n + 1, _LIST),)),
    "SET_ADD": lambda n: Effect(1, (), ((n + 1, _SET),)),
    "SET_UPDATE": lambda n: Effect(1, (), ((n + 1, _SET),)),
    "DICT_UPDATE": lambda n: Effect(1, (), ((n + 1, _DICT),)),
    "DICT_MERGE": lambda n: Effect(1, (), ((n + 1, _DICT),)),
    "MAP_ADD": lambda n: Effect(2, (), ((n + 2, _DICT),)),
    "UNPACK_SEQUENCE": lambda n: Effect(1, _O * n),
    "UNPACK_EX": lambda n: Effect(1, _O * ((n & 0xFF) + 1 + (n >> 8))),
    "MATCH_KEYS": Effect(0, _O, ((1, _ANY_TUPLE),)),
    "MATCH_CLASS": Effect(3, _O, ((1, _ANY_TUPLE),)),
    # functions and calls
    "MAKE_FUNCTION": _make_function_311,
    "CALL": lambda n: Effect(n + 2, _O, (), True),
    "CALL_FUNCTION_EX": lambda n: Effect(3 + (n & 1), _O, (), True),
}

_PYTHON_312: Table = {
    **_plain("POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE", 1),
    **_plain("RETURN_CONST", 0),
    **_plain("INTERPRETER_EXIT", 1),
    **_plain("END_FOR", 2),
    **_plain("END_SEND", 2, _O),
    **_plain("STORE_SLICE", 4),
    **_plain("BINARY_SLICE", 3, _O),
    **_plain("LOAD_LOCALS", 0, _O),
    **_plain("LOAD_FROM_DICT_OR_GLOBALS", 1, _O),
    "CLEANUP_THROW": Effect(3, (*_O, *_O), ((1, _EXC),)),
    "LOAD_ATTR": lambda n: Effect(1, (*_M, *_O) if n & 1 else _O),
    "LOAD_SUPER_ATTR": lambda n: Effect(3, (*_M, *_O) if n & 1 else _O),
    "CALL_INTRINSIC_1": _intrinsic_1,
    "CALL_INTRINSIC_2": _intrinsic_2,
    # v3.12.1 Python/bytecodes.c, CALL_FUNCTION_EX: that kwargs is a dict is only asserted from here on
    "CALL_FUNCTION_EX": lambda n: Effect(3 + (n & 1), _O, ((1, _DICT),) if n & 1 else (), True),
}

_PYTHON_313: Table = {
    **_plain("END_FOR", 1),
    **_plain("CONVERT_VALUE FORMAT_SIMPLE TO_BOOL", 1, _O),
    **_plain("FORMAT_WITH_SPEC", 2, _O),
    "LOAD_GLOBAL": lambda n: Effect(0, (*_O, *_N) if n & 1 else _O),
    "LOAD_ATTR": lambda n: Effect(1, (*_O, *_M) if n & 1 else _O),
    "LOAD_SUPER_ATTR": lambda n: Effect(3, (*_O, *_M) if n & 1 else _O),
    "MAKE_FUNCTION": Effect(1, _FUNCTION, ((1, _CODE),)),
    "SET_FUNCTION_ATTRIBUTE": lambda n: Effect(2, _FUNCTION, ((1, _FUNCTION), (2, _DICT if n == 2 else _ANY_TUPLE))),
    "CALL_KW": lambda n: Effect(n + 3, _O, ((1, _ANY_TUPLE),), True),
}


def _set_function_attribute_314(n: int) -> Effect:
    # v3.14.0 Python/bytecodes.c, SET_FUNCTION_ATTRIBUTE: stored after a mere assert; 16 is __annotate__
    return Effect(2, _FUNCTION, ((1, _FUNCTION), (2, {2: _DICT, 16: _FUNCTION}.get(n, _ANY_TUPLE))))


_PYTHON_314: Table = {
    **_plain("NOT_TAKEN", 0),
    **_plain("RETURN_VALUE", 1, _O),  # what the caller finds
    **_plain("POP_ITER", 1),
    "POP_TOP": Effect(1, (), (), True),  # v3.14.0 Python/bytecodes.c, POP_TOP: closes what is there, if anything
    **_plain("LOAD_SMALL_INT LOAD_COMMON_CONSTANT", 0, _O),
    **_plain("LOAD_SPECIAL", 1, (*_O, *_M)),
    "SET_FUNCTION_ATTRIBUTE": _set_function_attribute_314,
    # v3.14.0 Python/bytecodes.c, CALL_FUNCTION_EX: no keywords are a NULL, no longer a flag of the argument
    "CALL_FUNCTION_EX": Effect(4, _O, ((1, (Kind.DICT, Kind.NULL)),), True),
    # v3.14.0 Python/bytecodes.c, WITH_EXCEPT_START: __exit__ takes two slots, as for a call
    "WITH_EXCEPT_START": Effect(0, _O, ((1, _EXC), (3, _LASTI))),
    # v3.14.0 Objects/templateobject.c, Objects/interpolationobject.c: the parts are taken over unseen
    "BUILD_INTERPOLATION": lambda n: Effect(2 + (n & 1), (Kind.INTERPOLATION,)),
    "BUILD_TEMPLATE": Effect(2, _O, ((1, _ANY_TUPLE), (2, (Kind.STRINGS,)))),
}

# v3.15.0 Python/bytecodes.c: what is looped over, awaited or delegated to takes two slots, the second a bare number or NULL
_PYTHON_315: Table = {
    "GET_ITER": Effect(1, (Kind.ITERATOR, *_INDEX)),
    "FOR_ITER": Effect(0, _O, ((1, _MAYBE_INDEX),)),
    "POP_ITER": Effect(2, (), (), True),
    "SEND": Effect(1, _O, ((2, _MAYBE_INDEX),)),
    "END_SEND": Effect(3, _O, (), True),
    "CLEANUP_THROW": Effect(4, (*_O, *_N, *_O), ((1, _EXC),), True),
}

_CHANGES: dict[tuple[int, int], Table] = {
    (3, 11): _PYTHON_311,
    (3, 12): _PYTHON_312,
    (3, 13): _PYTHON_313,
    (3, 14): _PYTHON_314,
    (3, 15): _PYTHON_315,
}

_EFFECTS: Table = {
    name: entry
    for version, table in _CHANGES.items()
    if version <= sys.version_info[:2]
    for name, entry in table.items()
}

# What jumping changes, where it differs from going on. From 3.12 on the target is an END_FOR or END_SEND that pops what is left.
_JUMPS: Table = (
    {"FOR_ITER": Effect(1), "SEND": Effect(2, _O), "JUMP_IF_FALSE_OR_POP": Effect(0), "JUMP_IF_TRUE_OR_POP": Effect(0)}
    if sys.version_info < (3, 12)
    else {}
)

CALLS = frozenset({"CALL"} if sys.version_info < (3, 12) else {"CALL", "CALL_KW", "CALL_FUNCTION_EX"})
"""The instructions by which the interpreter enters a Python function without calling C.

v3.11.7 Python/ceval.c, CALL_FUNCTION_EX always goes through do_call_core, which is C.
"""

SILENT = frozenset({"LOAD_COMMON_CONSTANT", "LOAD_CONST", "RETURN_VALUE"} if sys.version_info >= (3, 15) else ())
"""Instructions that raise nothing, though the exception table of 3.15 has wrong handlers for them: behind the loop of an
asynchronous generator expression it counts a slot that END_ASYNC_FOR has popped."""

ENDS = frozenset(
    "RETURN_VALUE RETURN_CONST RAISE_VARARGS RERAISE INTERPRETER_EXIT JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT".split()
)
"""The instructions after which the next one is not executed."""

ACTIONS: dict[str, tuple[str, ...]] = {
    "LOAD_FAST": ("load",) if sys.version_info >= (3, 12) else ("load_checked",),
    "LOAD_FAST_CHECK": ("load_checked",),
    "LOAD_FAST_AND_CLEAR": ("save",),
    "LOAD_CLOSURE": ("load_cell",),
    "LOAD_DEREF": ("cell", "push"),
    "LOAD_CLASSDEREF": ("cell", "push"),
    "LOAD_FROM_DICT_OR_DEREF": ("cell", "pop", "push"),
    "STORE_DEREF": ("cell", "pop"),
    "DELETE_DEREF": ("cell",),
    "MAKE_CELL": ("make_cell",),
    "COPY_FREE_VARS": ("free_vars",),
    "STORE_FAST": ("store",),
    "DELETE_FAST": ("delete",),
    "LOAD_FAST_BORROW": ("load",),
    "LOAD_FAST_LOAD_FAST": ("load", "load"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("load", "load"),
    "STORE_FAST_LOAD_FAST": ("store", "load"),
    "STORE_FAST_STORE_FAST": ("store", "store"),
}
"""What the instructions on locals do, step by step; those of two steps on two locals have both indices in one argument."""

_PAIRS = frozenset(
    name for name, actions in ACTIONS.items() if actions in {("load", "load"), ("store", "load"), ("store", "store")}
)


def local_actions(op: int, arg: int) -> tuple[tuple[str, int], ...]:
    """The steps (action, index of the local) of an instruction; empty if it touches no locals.

    >>> local_actions(opcode.opmap["STORE_FAST"], 3)
    (('store', 3),)
    """
    name = opcode.opname[op]
    actions = ACTIONS.get(name, ())
    indices = (arg >> 4, arg & 15) if name in _PAIRS else (arg,) * len(actions)
    return tuple(zip(actions, indices, strict=True))


def _look_up(table: Table, name: str, arg: int) -> Effect | None:
    entry = table.get(name)
    return entry(arg) if callable(entry) else entry


@lru_cache(maxsize=4096)
def effect(op: int, arg: int) -> Effect:
    """What an instruction does to the stack when it does not jump; ValueError if the table does not know it.

    >>> effect(opcode.opmap["BUILD_LIST"], 2)
    Effect(pops=2, pushes=(<Kind.LIST: 'list'>,), needs=(), nullable=False)
    """
    found = _look_up(_EFFECTS, opcode.opname[op], arg)
    if found is None:
        raise ValueError(f"the instruction {opcode.opname[op]} is unknown; this CPython is not supported")
    return found


@lru_cache(maxsize=4096)
def jump_effect(op: int, arg: int) -> Effect:
    """What an instruction does to the stack when it jumps."""
    return _look_up(_JUMPS, opcode.opname[op], arg) or effect(op, arg)
