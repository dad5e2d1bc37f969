"""What the evaluation stack holds before every instruction: an abstract interpretation of the bytecode.

Forwards from the first instruction, along jumps and into exception handlers; where paths meet their slots are merged. On the way every
demand of the interpreter that it does not check itself is checked here, once: a LIST_APPEND whose target were no list
would be refused, so whoever holds real values against the kinds knows that no instruction can go wrong on them.
"""

import opcode
import sys
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

from .effects import CALLS, ENDS, SILENT, Effect, effect, jump_effect, local_actions
from .instructions import Handler, Instruction, handlers, instruction_start, instructions, local_names
from .kinds import NULLABLE, Kind, Slot, merge_slots

__all__ = [
    "Flow",
    "State",
    "flow_of",
    "is_call",
    "local_kinds",
    "name_kinds",
    "stack_before",
    "stack_during_call",
    "stack_when_fresh",
    "state_after",
]

Stack = tuple[Slot, ...]

_ENDS = frozenset(opcode.opmap[name] for name in ENDS if name in opcode.opmap)
_SILENT = frozenset(opcode.opmap[name] for name in SILENT if name in opcode.opmap)
_CALLS = frozenset(opcode.opmap[name] for name in CALLS if name in opcode.opmap)
_NONE_TESTS = {
    op: "NOT_NONE" in name for name, op in opcode.opmap.items() if name.endswith(("_IF_NONE", "_IF_NOT_NONE"))
}
_FOR_ITER = opcode.opmap["FOR_ITER"]
_RETURN_GENERATOR = opcode.opmap["RETURN_GENERATOR"]
_HAS_TEMPLATES = "BUILD_TEMPLATE" in opcode.opmap
_LOADS = {opcode.opmap[name] for name in ("LOAD_FAST", "LOAD_FAST_BORROW") if name in opcode.opmap}

# What a comprehension begins and ends with, to put locals aside and back. None of these raises (but for want of memory), and the compiler
# reckons with that: between them, locals that handlers take for cells are none (v3.12.1 Python/compile.c, push_inlined_comprehension_state).
_QUIET = _SILENT | frozenset(
    opcode.opmap[name]
    for name in ("LOAD_FAST_AND_CLEAR", "MAKE_CELL", "SWAP", "POP_TOP", "STORE_FAST")
    if name in opcode.opmap
)


# v3.12.1 Python/compile.c, compiler_function and compiler_class: these names are out of reach of source text
_COMPILER_LOCALS = {".defaults": Kind.TUPLE, ".kwdefaults": Kind.DICT, ".type_params": Kind.TUPLE}
# v3.14.0 Python/codegen.c, codegen_annassign: module and class code adds to this set, and SET_ADD does not look what it is
_COMPILER_NAMES = {"__conditional_annotations__": Kind.SET} if sys.version_info >= (3, 14) else {}
_COMPILER_LOCALS |= _COMPILER_NAMES


class State(NamedTuple):
    """Before one instruction: the stack, and which locals surely hold cells (a bit mask)."""

    stack: Stack
    cells: int


class Flow(NamedTuple):
    """The analysis of one code object, by byte offset; unreachable instructions are in `listing` only."""

    code: CodeType
    listing: dict[int, Instruction]
    handlers: dict[int, Handler]
    before: dict[int, State]
    typed: dict[int, Kind]

    def state(self, offset: int) -> State:
        """The state before the instruction at `offset`; ValueError if no reachable instruction starts there."""
        state = self.before.get(offset)
        if state is None:
            raise ValueError(f"no reachable instruction of {self.code.co_qualname} starts at offset {offset}")
        return state

    def goes_on(self, offset: int) -> bool:
        """Whether the next instruction can follow the one at `offset`."""
        return self.listing[offset].op not in _ENDS


def local_kinds(code: CodeType) -> dict[int, Kind]:
    """The locals that the compiler made up for itself and whose types the interpreter takes for granted: index to kind.

    They occur in the scopes of type parameters (3.12 and later), and the iterable of a generator expression or of 3.11's comprehensions
    comes as the argument ``.0``, with iter() already applied (before 3.15). Where the local is a cell, the kind is that of its content.

    >>> local_kinds(compile("x = 1", "", "exec"))
    {}
    """
    if code.co_varnames[:1] == (".0",):
        return {0: Kind.ITERATOR} if _is_advanced(code) else {}
    if not any(name in _COMPILER_LOCALS for name in (*code.co_varnames, *code.co_cellvars, *code.co_freevars)):
        return {}
    names = local_names(code)
    return {index: _COMPILER_LOCALS[name] for index, name in enumerate(names) if name in _COMPILER_LOCALS}


def name_kinds(code: CodeType) -> dict[str, Kind]:
    """The same for names in the namespace of module and class code (3.14 and later).

    >>> name_kinds(compile("x = 1", "", "exec"))
    {}
    """
    return {name: kind for name, kind in _COMPILER_NAMES.items() if name in code.co_names}


def _is_advanced(code: CodeType) -> bool:
    """Whether ``.0`` is what a FOR_ITER advances; that of an `async for` need not have a __next__ in C."""
    listing = instructions(code)
    return any(op in _LOADS and arg == 0 and listing[after].op == _FOR_ITER for op, arg, after, _ in listing.values())


def _refuse(offset: int, flow: Flow, why: str) -> ValueError:
    name = opcode.opname[flow.listing[offset].op] if offset in flow.listing else "no instruction"
    return ValueError(f"cannot follow the bytecode of {flow.code.co_qualname}: {why} at offset {offset} ({name})")


def _check_needs(flow: Flow, offset: int, stack: Stack, change: Effect) -> None:
    for depth, kinds in change.needs:
        if len(stack) < depth or stack[-depth].kind not in kinds:
            raise _refuse(offset, flow, f"the slot {depth} below the top is not of kind {kinds[0]}")


def _apply(flow: Flow, offset: int, stack: Stack, change: Effect) -> Stack:
    """The stack after an instruction that the table describes completely."""
    pops = change.pops
    if pops:
        kept = len(stack) - pops
        if kept < 0:
            raise _refuse(offset, flow, "the stack underflows")
        if not change.nullable:
            for slot in stack[kept:]:
                if slot.kind in NULLABLE:
                    raise _refuse(offset, flow, "an operand may be NULL")
        stack = stack[:kept]
    if not change.pushes:
        return stack
    if len(change.pushes) == 1:
        return (*stack, Slot(change.pushes[0], offset))
    return stack + tuple(Slot(kind, offset, part) for part, kind in enumerate(change.pushes))


def _copy(flow: Flow, offset: int, stack: Stack, arg: int) -> Stack:
    return (*stack, stack[-arg])


def _swap(flow: Flow, offset: int, stack: Stack, arg: int) -> Stack:
    return (*stack[:-arg], stack[-1], *stack[len(stack) - arg + 1 : -1], stack[-arg])


def _load_const(flow: Flow, offset: int, stack: Stack, arg: int) -> Stack:
    constant = flow.code.co_consts[arg]
    kind = {tuple: Kind.TUPLE, CodeType: Kind.CODE}.get(type(constant), Kind.OBJECT)
    if kind is Kind.TUPLE and _HAS_TEMPLATES and constant and all(type(item) is str for item in constant):
        kind = Kind.STRINGS
    return (*stack, Slot(kind, offset))


def _load_name(flow: Flow, offset: int, stack: Stack, arg: int) -> Stack:
    return (*stack, Slot(_COMPILER_NAMES.get(flow.code.co_names[arg], Kind.OBJECT), offset))


def _precall(flow: Flow, offset: int, stack: Stack, arg: int) -> Stack:
    # v3.11.7 Python/ceval.c, PRECALL: a bound method is taken apart in place, its function put where the NULL was
    low = stack[-arg - 2]
    if low.kind is not Kind.NULL:
        return stack
    return (*stack[: -arg - 2], Slot(Kind.MAYBE_NULL, low.origin, low.part), *stack[len(stack) - arg - 1 :])


_SPECIAL = {
    opcode.opmap[name]: step
    for name, step in (
        ("COPY", _copy),
        ("SWAP", _swap),
        ("LOAD_CONST", _load_const),
        ("LOAD_NAME", _load_name),
        ("PRECALL", _precall),
    )
    if name in opcode.opmap
}


def _loaded(flow: Flow, offset: int, index: int, cells: int) -> Kind:
    if cells >> index & 1:
        return Kind.CELL
    if index in flow.typed:
        return flow.typed[index]
    return Kind.OBJECT


def _touch_locals(flow: Flow, offset: int, state: State, actions: tuple[tuple[str, int], ...]) -> State:
    """The state after an instruction that reads or writes fast locals or cells."""
    stack, cells = state
    for part, (action, index) in enumerate(actions):
        bit = 1 << index
        if action in ("load", "load_checked", "load_cell"):
            if action == "load_cell" and not cells & bit:
                raise _refuse(offset, flow, f"local {index} need not be a cell")
            stack = (*stack, Slot(_loaded(flow, offset, index, cells), offset, part))
        elif action == "store":
            if stack[-1].kind in (Kind.NULL, Kind.MAYBE_NULL):
                raise _refuse(offset, flow, "an operand may be NULL")
            cells = cells | bit if stack[-1].kind is Kind.CELL else cells & ~bit
            stack = stack[:-1]
        elif action == "cell":
            if not cells & bit:
                raise _refuse(offset, flow, f"local {index} need not be a cell")
        elif action == "push":
            stack = (*stack, Slot(flow.typed.get(index, Kind.OBJECT), offset))
        elif action == "pop":
            stack = _apply(flow, offset, stack, Effect(1))
        elif action == "make_cell":
            cells |= bit
        elif action == "free_vars":
            cells |= (1 << index) - 1 << len(local_names(flow.code)) - index
        elif action == "delete":
            cells &= ~bit
        elif action == "save":
            stack = (*stack, Slot(Kind.CELL if cells & bit else Kind.SAVED_LOCAL, offset))
            cells &= ~bit
    return State(stack, cells)


@lru_cache(maxsize=4096)
def _facts(op: int, arg: int) -> tuple[Effect | None, tuple[tuple[str, int], ...]]:
    if op in _SPECIAL:
        return None, ()
    actions = local_actions(op, arg)
    return (None if actions else effect(op, arg)), actions


def state_after(flow: Flow, offset: int, state: State) -> State:
    """The state after the instruction at `offset` when it does not jump."""
    op, arg, _, _ = flow.listing[offset]
    change, actions = _facts(op, arg)
    if change is not None:
        if change.needs:
            _check_needs(flow, offset, state.stack, change)
        return State(_apply(flow, offset, state.stack, change), state.cells)
    if actions:
        return _touch_locals(flow, offset, state, actions)
    return State(_SPECIAL[op](flow, offset, state.stack, arg), state.cells)


def _refined(state: State, tested: Slot) -> State:
    """On the path where `tested` is not None, its copies are exceptions if they were exceptions or None."""
    if tested.kind is not Kind.MAYBE_EXCEPTION:
        return state
    stack = tuple(slot._replace(kind=Kind.EXCEPTION) if slot == tested else slot for slot in state.stack)
    return State(stack, state.cells)


def _arrive(flow: Flow, offset: int, state: State) -> bool:
    """Record that a path reaches `offset` with `state`; True if that is news."""
    known = flow.before.get(offset)
    if known == state:
        return False
    if offset not in flow.listing:
        raise _refuse(offset, flow, "a path leads out of the code")
    if known is not None:
        if len(known.stack) != len(state.stack):
            raise _refuse(offset, flow, "paths with stacks of different depth meet")
        state = State(tuple(map(merge_slots, known.stack, state.stack)), known.cells & state.cells)
        if known == state:
            return False
    flow.before[offset] = state
    return True


def _enter_handler(flow: Flow, handler: Handler, state: State) -> bool:
    if len(state.stack) < handler.depth:
        raise _refuse(handler.target, flow, "a handler keeps more slots than there are")
    stack = state.stack[: handler.depth]
    if handler.lasti:
        stack = (*stack, Slot(Kind.LASTI, handler.target))
    return _arrive(
        flow, handler.target, State((*stack, Slot(Kind.EXCEPTION, handler.target, handler.lasti)), state.cells)
    )


def _follow(flow: Flow, offset: int, waiting: list[int]) -> None:
    """Go on from `offset` until the path ends or meets a known state; put what branches off into `waiting`."""
    listing, covered = flow.listing, flow.handlers
    while True:
        state = flow.before[offset]
        op, arg, after, target = listing[offset]
        if offset in covered and op not in _QUIET and _enter_handler(flow, covered[offset], state):
            waiting.append(covered[offset].target)
        following = state_after(flow, offset, state)
        jumping = following
        if target is not None:
            change = jump_effect(op, arg)
            if change != effect(op, arg):
                jumping = State(_apply(flow, offset, state.stack, change), state.cells)
            if op in _NONE_TESTS:
                some = _refined(following, state.stack[-1])
                following, jumping = (following, some) if _NONE_TESTS[op] else (some, jumping)
            if _arrive(flow, target, jumping):
                waiting.append(target)
        if op in _ENDS or not _arrive(flow, after, following):
            return
        offset = after


def _handlers_of_quiet_code(flow: Flow) -> list[int]:
    """Enter the handlers that nothing but quiet instructions lead to: a trace function that raises leads there all the same."""
    missing = [
        offset for offset, row in flow.handlers.items() if row.target not in flow.before and offset in flow.before
    ]
    return [flow.handlers[at].target for at in missing if _enter_handler(flow, flow.handlers[at], flow.before[at])]


@lru_cache(maxsize=512)
def flow_of(code: CodeType) -> Flow:
    """The analysis of `code`; ValueError if its bytecode breaks a rule that the interpreter relies on."""
    listing = instructions(code)
    flow = Flow(code, listing, handlers(code, listing), {0: State((), 0)}, local_kinds(code))
    waiting = [0]
    try:
        while waiting:
            while waiting:
                _follow(flow, waiting.pop(), waiting)
            waiting = _handlers_of_quiet_code(flow)
    except IndexError:
        raise ValueError(f"cannot follow the bytecode of {code.co_qualname}: an operand is out of range") from None
    return flow


def stack_before(code: CodeType, offset: int) -> Stack:
    """What the evaluation stack holds before the instruction at byte `offset`, the top last.

    ValueError if no reachable instruction starts there, or if the bytecode breaks a rule that the interpreter relies on.

    >>> code = compile("[*x]", "", "eval")
    >>> import dis
    >>> [str(slot.kind) for i in dis.get_instructions(code) if i.opname == "LIST_EXTEND" for slot in stack_before(code, i.offset)]
    ['list', 'object']
    """
    return flow_of(code).state(offset).stack


def is_call(code: CodeType, offset: int) -> bool:
    """Whether the instruction at `offset` calls Python functions without C in between; `offset` as `frame.f_lasti` gives it.

    False for an `offset` outside of the code. On 3.11, `f(*args)` always goes through C and does not count.

    >>> code = compile("f()", "", "eval")
    >>> [is_call(code, offset) for offset in (0, len(code.co_code) - 4)]
    [False, True]
    """
    units = code.co_code
    if offset % 2 or not 0 <= offset < len(units):
        return False
    return units[instruction_start(code, offset)] in _CALLS


def stack_during_call(code: CodeType, offset: int) -> Stack:
    """What the stack holds while the call at `offset` runs: its operands are popped, its result is not pushed yet.

    That is what a suspended frame holds; `offset` may be its `f_lasti` as it is. ValueError if there is no reachable call.

    >>> code = compile("1 + f(x)", "", "eval")
    >>> [str(slot.kind) for slot in stack_during_call(code, code.co_code.rindex(opcode.opmap["CALL"]))]
    ['object']
    """
    start = instruction_start(code, offset)
    op, arg, _, _ = flow_of(code).listing[start]
    if op not in _CALLS:
        raise ValueError(f"the instruction {opcode.opname[op]} at offset {offset} of {code.co_qualname} is no call")
    stack = stack_before(code, start)
    return stack[: len(stack) - effect(op, arg).pops]


def stack_when_fresh(code: CodeType) -> Stack:
    """What the stack of a generator holds that has not begun: nothing, but for generator expressions of 3.15, which already loop.

    ValueError if the code makes no generator.

    >>> def squares(n):
    ...     for i in range(n):
    ...         yield i * i
    >>> stack_when_fresh(squares.__code__)
    ()
    """
    flow = flow_of(code)
    starts = (offset for offset in flow.before if flow.listing[offset].op == _RETURN_GENERATOR)
    return flow.state(next(starts, -1)).stack
