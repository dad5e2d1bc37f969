"""Names, for people, of what an instruction does: the text of "cannot suspend across a C call: ..."."""

import opcode
import sys
from collections.abc import Callable
from types import CodeType

from .flow import Flow, flow_of
from .instructions import instruction_start, local_names
from .kinds import NULLABLE, Kind, Slot

__all__ = ["describe_call"]

_OPERATORS = "+ & // << @ * % | ** >> - / ^ += &= //= <<= @= *= %= |= **= >>= -= /= ^= []".split()
_COMPARE_SHIFT = 0 if sys.version_info < (3, 12) else 4 if sys.version_info < (3, 13) else 5
_NAMES_SHIFT = {
    "LOAD_GLOBAL": 1,
    "LOAD_SUPER_ATTR": 2,
    **({} if sys.version_info < (3, 12) else {"LOAD_ATTR": 1}),
    **({} if sys.version_info < (3, 15) else {"IMPORT_NAME": 2}),  # the low bits tell lazy imports
}
_SPECIAL_METHODS = ("__enter__", "__exit__", "__aenter__", "__aexit__")  # v3.14.0 pycore_ceval.h, SPECIAL___ENTER__

_TRUTH = "a truth test: bool() of a condition"
_SEND = "yield from / await"
_INDEXING = "indexing [...]"
_HASHING = "the hashing of what goes into a {}"
_DYING = "the finaliser (__del__) of an object that is no longer used"
_ASYNCHRONOUS = "a signal handler, or a finaliser (__del__) run by the garbage collector"

# By instruction; {} is the name that its argument stands for.
_PHRASES = {
    "FOR_ITER": "next() of a for loop",
    "GET_AITER": "__aiter__ of an async for loop",
    "GET_ANEXT": "__anext__ of an async for loop",
    "END_ASYNC_FOR": "the end of an async for loop",
    "SEND": _SEND,
    "GET_AWAITABLE": _SEND,
    "GET_YIELD_FROM_ITER": _SEND,
    "CLEANUP_THROW": _SEND,
    "LOAD_SPECIAL": "a look-up of a with statement",
    "BEFORE_WITH": "__enter__ of a with statement",
    "BEFORE_ASYNC_WITH": "__aenter__ of an async with statement",
    "WITH_EXCEPT_START": "__exit__ of a with statement",
    "UNARY_NEGATIVE": "the unary - operator",
    "UNARY_POSITIVE": "the unary + operator",
    "UNARY_INVERT": "the ~ operator",
    "UNARY_NOT": "the not operator",
    "TO_BOOL": _TRUTH,
    "POP_JUMP_IF_TRUE": _TRUTH,
    "POP_JUMP_IF_FALSE": _TRUTH,
    "POP_JUMP_FORWARD_IF_TRUE": _TRUTH,
    "POP_JUMP_FORWARD_IF_FALSE": _TRUTH,
    "POP_JUMP_BACKWARD_IF_TRUE": _TRUTH,
    "POP_JUMP_BACKWARD_IF_FALSE": _TRUTH,
    "JUMP_IF_TRUE_OR_POP": _TRUTH,
    "JUMP_IF_FALSE_OR_POP": _TRUTH,
    "LOAD_ATTR": "attribute access .{}",
    "LOAD_METHOD": "attribute access .{}",
    "LOAD_SUPER_ATTR": "attribute access super().{}",
    "STORE_ATTR": "attribute assignment .{}",
    "DELETE_ATTR": "attribute deletion .{}",
    "BINARY_SUBSCR": _INDEXING,
    "BINARY_SLICE": "slicing [...:...]",
    "STORE_SUBSCR": "item assignment [...] = ...",
    "STORE_SLICE": "slice assignment [...:...] = ...",
    "DELETE_SUBSCR": "item deletion del [...]",
    "LOAD_NAME": "the lookup of the name {}",
    "LOAD_GLOBAL": "the lookup of the name {}",
    "LOAD_CLASSDEREF": "the lookup of the name {}",
    "LOAD_FROM_DICT_OR_DEREF": "the lookup of the name {}",
    "LOAD_FROM_DICT_OR_GLOBALS": "the lookup of the name {}",
    "STORE_NAME": "the assignment to the name {}",
    "DELETE_NAME": "the deletion of the name {}",
    "IMPORT_NAME": "import {}",
    "IMPORT_FROM": "from ... import {}",
    "IMPORT_STAR": "from ... import *",
    "UNPACK_SEQUENCE": "unpacking into several targets",
    "UNPACK_EX": "unpacking into several targets, one with *",
    "LIST_EXTEND": "unpacking with *",
    "SET_UPDATE": "unpacking with * into a set",
    "DICT_UPDATE": "unpacking with **",
    "DICT_MERGE": "unpacking with **",
    "SET_ADD": _HASHING.format("set"),
    "BUILD_SET": _HASHING.format("set"),
    "MAP_ADD": _HASHING.format("dict"),
    "BUILD_MAP": _HASHING.format("dict"),
    "BUILD_CONST_KEY_MAP": _HASHING.format("dict"),
    "FORMAT_VALUE": "formatting in an f-string",
    "FORMAT_SIMPLE": "formatting in an f-string",
    "FORMAT_WITH_SPEC": "formatting in an f-string",
    "CONVERT_VALUE": "a conversion (!r, !s, !a) in an f-string",
    "GET_LEN": "len() in a match statement",
    "MATCH_KEYS": "a mapping pattern in a match statement",
    "MATCH_CLASS": "a class pattern in a match statement",
    "CHECK_EXC_MATCH": "an except clause's test",
    "CHECK_EG_MATCH": "an except* clause's test",
    "RAISE_VARARGS": "a raise statement",
    "POP_TOP": _DYING,
    "STORE_FAST": _DYING,
    "DELETE_FAST": _DYING,
    "STORE_DEREF": _DYING,
    "DELETE_DEREF": _DYING,
    "STORE_GLOBAL": _DYING,
    "STORE_FAST_STORE_FAST": _DYING,
    "STORE_FAST_LOAD_FAST": _DYING,
    "END_FOR": _DYING,
    "POP_ITER": _DYING,
    "END_SEND": _DYING,
    "RESUME": _ASYNCHRONOUS,
    "JUMP_BACKWARD": _ASYNCHRONOUS,
}
_INTRINSICS_1 = {1: "sys.displayhook()", 2: "from ... import *", 5: "the unary + operator", 6: "unpacking with *"}


def _argument_name(flow: Flow, offset: int, part: int = 0) -> str | None:
    """The name that the argument of the instruction at `offset` stands for, or None."""
    op, arg, _, _ = flow.listing[offset]
    name = opcode.opname[op]
    if op in opcode.hasname:
        return str(flow.code.co_names[arg >> _NAMES_SHIFT.get(name, 0)])
    if name in ("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW", "STORE_FAST_LOAD_FAST"):
        return local_names(flow.code)[arg & 15 if part else arg >> 4]
    if op in opcode.haslocal or op in opcode.hasfree:
        return local_names(flow.code)[arg]
    return None


def _constant(flow: Flow, slot: Slot) -> object:
    """The constant in `slot`, or None."""
    instruction = flow.listing.get(slot.origin)
    if instruction and opcode.opname[instruction.op] == "LOAD_CONST":
        return flow.code.co_consts[instruction.arg]
    return None


def _origin(flow: Flow, slot: Slot) -> str:
    """The name of the instruction that produced `slot`, or ''."""
    instruction = flow.listing.get(slot.origin)
    return opcode.opname[instruction.op] if instruction else ""


def _name(flow: Flow, slot: Slot) -> str | None:
    """What a programmer calls the value in `slot`: `f`, `os.walk`, `.sort` when it is an attribute of something nameless; or None."""
    how = _origin(flow, slot)
    if how in ("LOAD_ATTR", "LOAD_METHOD"):
        owner = _name(flow, flow.before[slot.origin].stack[-1])
        return f"{owner or ''}.{_argument_name(flow, slot.origin)}"
    if how == "LOAD_SUPER_ATTR":
        return f"super().{_argument_name(flow, slot.origin)}"
    if how in ("MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE"):
        made = flow.before[slot.origin].stack[-1]
        code = _constant(flow, made)
        return (
            code.co_name
            if isinstance(code, CodeType)
            else _name(flow, made)
            if how == "SET_FUNCTION_ATTRIBUTE"
            else None
        )
    if how == "LOAD_ASSERTION_ERROR" or (how == "LOAD_COMMON_CONSTANT" and flow.listing[slot.origin].arg == 0):
        return "AssertionError"
    return (
        _argument_name(flow, slot.origin, slot.part)
        if how.startswith(("LOAD_", "STORE_FAST_LOAD", "IMPORT_FROM"))
        else None
    )


def _callable(flow: Flow, low: Slot, high: Slot) -> Slot:
    """Which of the two lowest operands of a call is what is called; the other is NULL or `self`."""
    return high if low.kind in NULLABLE else low


def _describe_plain_call(flow: Flow, operands: tuple[Slot, ...]) -> str:
    called = _callable(flow, operands[0], operands[1])
    how = _origin(flow, called)
    if how == "BEFORE_WITH":
        return "__exit__ of a with statement"
    if how == "BEFORE_ASYNC_WITH":
        return "__aexit__ of an async with statement"
    if how == "LOAD_SPECIAL":
        method = flow.listing[called.origin].arg
        return f"{_SPECIAL_METHODS[method]} of {'an async' if method > 1 else 'a'} with statement"
    if how == "LOAD_BUILD_CLASS":
        name = _constant(flow, operands[3]) if len(operands) > 3 else None
        return f"class statement `{name}`" if isinstance(name, str) else "a class statement"
    name = _name(flow, called)
    return f"{name}()" if name else "a call"


def _call(flow: Flow, offset: int) -> str:
    count = flow.listing[offset].arg + 2 + (opcode.opname[flow.listing[offset].op] == "CALL_KW")
    return _describe_plain_call(flow, flow.before[offset].stack[-count:])


def _call_function_ex(flow: Flow, offset: int) -> str:
    if sys.version_info < (3, 14):
        keywords = flow.listing[offset].arg & 1
        operands = flow.before[offset].stack[-3 - keywords :]
    else:
        operands = flow.before[offset].stack[-4:]
        keywords = operands[-1].kind is not Kind.NULL
    called = _callable(flow, operands[0], operands[1])
    arguments = "(*args, **kwargs)" if keywords else "(*args)"
    if _origin(flow, called) == "LOAD_BUILD_CLASS":
        return "a class statement"
    return (_name(flow, called) or "a call ") + arguments


def _compare(flow: Flow, offset: int) -> str:
    return f"the {opcode.cmp_op[flow.listing[offset].arg >> _COMPARE_SHIFT]} operator"


def _contains(flow: Flow, offset: int) -> str:
    return "the not in operator" if flow.listing[offset].arg else "the in operator"


def _binary(flow: Flow, offset: int) -> str:
    operator = _OPERATORS[flow.listing[offset].arg]
    return _INDEXING if operator == "[]" else f"the {operator} operator"


def _get_iter(flow: Flow, offset: int) -> str:
    # from 3.15 on the instruction serves `yield from` as well (v3.15.0 Python/bytecodes.c, GET_ITER)
    return _SEND if flow.listing[offset].arg else "iter() of a for loop"


def _intrinsic_1(flow: Flow, offset: int) -> str:
    return _INTRINSICS_1.get(flow.listing[offset].arg) or "the instruction CALL_INTRINSIC_1"


_DESCRIBE: dict[str, Callable[[Flow, int], str]] = {
    "PRECALL": _call,
    "CALL": _call,
    "CALL_KW": _call,
    "CALL_FUNCTION_EX": _call_function_ex,
    "COMPARE_OP": _compare,
    "CONTAINS_OP": _contains,
    "BINARY_OP": _binary,
    "GET_ITER": _get_iter,
    "CALL_INTRINSIC_1": _intrinsic_1,
}


def _describe(flow: Flow, offset: int) -> str:
    while opcode.opname[flow.listing[offset].op] == "EXTENDED_ARG":
        offset = flow.listing[offset].after
    name = opcode.opname[flow.listing[offset].op]
    if name in _DESCRIBE:
        return _DESCRIBE[name](flow, offset)
    phrase = _PHRASES.get(name, f"the instruction {name}")
    return phrase.format(_argument_name(flow, offset)) if "{}" in phrase else phrase


def describe_call(code: CodeType, offset: int) -> str:
    """What the instruction at `offset` does that may call Python from C, in words that its programmer knows.

    `offset` may be `frame.f_lasti` as it is. Never raises: what cannot be named is called by its instruction.

    >>> code = compile("sorted(x)", "", "eval")
    >>> describe_call(code, len(code.co_code) - 4)
    'sorted()'
    """
    try:
        offset = instruction_start(code, offset)
        fallback = f"the instruction {opcode.opname[code.co_code[offset]]}"
    except ValueError:
        return f"the instruction at offset {offset}"
    try:
        return _describe(flow_of(code), offset)
    except Exception:  # noqa: BLE001  a message about one error must not become a second one
        return fallback
