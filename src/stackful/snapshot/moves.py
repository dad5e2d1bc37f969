"""Positions moved from the code of a snapshot to the code that is here now.

A frame stands at a call in a statement. It goes on at the same call of the same statement in the new code, if that is surely there,
stands in the same loops and handlers, and if nothing would be left out or done twice by it. Locals go by name. What lies on the
evaluation stack must have come from the same places; `stackmap` knows what the new code expects there. Everything else is refused.
"""

from __future__ import annotations

import ast
import inspect
import opcode
from functools import lru_cache
from types import CellType, CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from stackful import stackmap
from stackful._core import NULL
from stackful.fibers.frames import slot_names
from stackful.snapshot import crossing
from stackful.snapshot.changes import SCRIPT_WAY_OUT, Change, Stored, changed_error, version_error
from stackful.snapshot.fingerprints import fingerprint, globals_read
from stackful.snapshot.renames import renamed_locals, unlike_locals
from stackful.snapshot.sources import Place, Source, find_in
from stackful.snapshot.statements import Alignment, Statement, Text, align, moved_across, text_of

if TYPE_CHECKING:
    from stackful.errors import CodeChangedError, SnapshotVersionError
    from stackful.stackmap import Slot

__all__ = ["Move", "MoveError"]

_LOAD_GLOBAL = opcode.opmap["LOAD_GLOBAL"]
_YIELD = opcode.opmap["YIELD_VALUE"]

Mapped = tuple[int, tuple[Any, ...], tuple[Any, ...]]


class MoveError(Exception):
    """A position has no counterpart; the text says why."""

    def as_refusal(self, move: Move) -> CodeChangedError | SnapshotVersionError:
        """The error for users."""
        if move.change is None:
            return version_error(move.stored.waits.name, move.stored.made_by, str(self))
        return changed_error(move.change, str(self), _WAY_OUT if move.change.reference.module else SCRIPT_WAY_OUT)


_WAY_OUT = 'go back to the code of the snapshot, or load it with on_change="keep", which runs the code that it carries'


class Move(NamedTuple):
    """From what a snapshot has `stored` to `code`; without a `change` the source is the same, and only Python another."""

    stored: Stored
    code: CodeType
    change: Change | None = None

    def frame(self, offset: int, slots: tuple[Any, ...], stack: tuple[Any, ...], waiting: str) -> Mapped:
        """Offset, locals and stack of a frame in the new code; `MoveError` where there is no place for it."""
        if self.stored.is_foreign:
            offset, slots, stack = _crossed(self.stored, offset, slots, stack, waiting)
        if self.change is None:
            return offset, slots, stack
        _check_same_kind(self.stored.code, self.code)
        way = _way(self.stored.source.bare, self.stored.code, self._new_source(), self.code)
        to = 0 if waiting == "fresh" else _place_for(way, offset, waiting)
        return to, _slots(way, offset, to, slots, waiting), stack

    def _new_source(self) -> Source:
        assert self.change is not None
        if self.change.new is None:
            raise MoveError("the source of the new code is not known")
        return self.change.new.bare

    def function(self, closure: tuple[CellType, ...] | None) -> tuple[CodeType, tuple[CellType, ...] | None]:
        """Code and closure for a function that was made of the old code."""
        old, new = self.stored.code, self.code
        if self.change is None:
            return new, closure
        try:
            _check_same_kind(old, new)
            _check_same_signature(old, new)
            return new, _closure_for(old, new, closure)
        except MoveError as error:
            raise error.as_refusal(self) from None


def _closure_for(old: CodeType, new: CodeType, closure: tuple[CellType, ...] | None) -> tuple[CellType, ...] | None:
    """The cells of a function of the old code, in the order in which the new one wants them."""
    cells = dict(zip(old.co_freevars, closure or (), strict=True))
    missing = [name for name in new.co_freevars if name not in cells]
    if missing:
        raise MoveError(f'the variable "{missing[0]}" of the function around it is not in its closure')
    return tuple(cells[name] for name in new.co_freevars) or None


def _crossed(stored: Stored, *place: Any) -> Mapped:
    try:
        return crossing.cross(stored, *place)
    except ValueError as error:
        raise MoveError(str(error)) from None


def _check_same_signature(old: CodeType, new: CodeType) -> None:
    if new.co_name.startswith("<") and new.co_name != "<module>":
        raise MoveError("a function without a name cannot be found again")
    arguments = old.co_argcount + old.co_kwonlyargcount
    parts = ("co_argcount", "co_kwonlyargcount", "co_posonlyargcount", "co_flags")
    same = all(getattr(old, part) & ~_FREE == getattr(new, part) & ~_FREE for part in parts)
    if not same or old.co_varnames[:arguments] != new.co_varnames[:arguments]:
        raise MoveError("its parameters are others now, and a function object that exists was made for the old ones")


def _check_same_kind(old: CodeType, new: CodeType) -> None:
    if old.co_flags & _KINDS != new.co_flags & _KINDS:
        raise MoveError("it is a function of another kind now: a generator, a coroutine, or neither")


_KINDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_OPTIMIZED
_FREE = 0x10  # inspect.CO_NESTED: says nothing of how it is called


class _Way(NamedTuple):
    """All about two versions of one code object; positions are those of the two texts."""

    old: CodeType
    new: CodeType
    alignment: Alignment
    blurred: tuple[Text, Text]
    """Both texts, with the same mark for every local that only one of them has: a step may have moved and a name in it changed."""
    names: dict[str, str]
    """The old name of each local whose name is new."""


@lru_cache(maxsize=128)
def _way(old_source: Source, old: CodeType, new_source: Source, new: CodeType) -> _Way:
    here = find_in(new_source.compiled(""), new.co_qualname, fingerprint(new))
    if here is None:
        raise MoveError("the source of the new code is not known")
    renamed = renamed_locals(old_source, old, new_source, here)
    alignment = _aligned(text_of(old_source, renamed), text_of(new_source))
    gone, come = unlike_locals(old, here)
    blurred = text_of(old_source, dict.fromkeys(gone, "?")), text_of(new_source, dict.fromkeys(come, "?"))
    return _Way(old, here, alignment, blurred, {new_name: old_name for old_name, new_name in renamed.items()})


def _aligned(old: Text, new: Text) -> Alignment:
    try:
        return align(old, new)
    except ValueError as error:
        raise MoveError(str(error)) from None


def _position(code: CodeType, offset: int) -> Place | None:
    for index, (line, last, column, end) in enumerate(code.co_positions()):
        if 2 * index == offset:
            return None if line is None or last is None else (line, last, column or 0, end or 0)
    return None


_BEFORE = -1


def _is_put_in(code: CodeType, offset: int, place: Place) -> bool:
    """Whether a call is none of the text's: what ``--every`` has put in has one place for the call and the name that it calls."""
    if not stackmap.is_call(code, offset):
        return False
    origins = [slot.origin for slot in stackmap.stack_before(code, offset)[-2:] if slot.origin >= 0]
    return any(code.co_code[at] == _LOAD_GLOBAL and _position(code, at) == place for at in origins)


def _anchor(code: CodeType, text: Text, offset: int) -> tuple[int, int] | None:
    """The statement and the expression of it that an instruction belongs to; `_BEFORE` for a call that was put in front of the statement."""
    place = _position(code, offset)
    statement = None if place is None else text.at(place)
    if place is None or statement is None:
        return None
    if _is_put_in(code, offset, place):
        return statement, _BEFORE
    node = text.node_at(statement, place)
    return None if node is None else (statement, node)


def _stack(code: CodeType, offset: int, waiting: str) -> tuple[Slot, ...]:
    return stackmap.stack_during_call(code, offset) if waiting == "call" else stackmap.stack_before(code, offset)[:-1]


def _waits(code: CodeType, waiting: str) -> list[int]:
    """The reachable instructions at which a frame can wait in this way."""
    found = []
    for offset in range(0, len(code.co_code), 2):
        is_wait = stackmap.is_call(code, offset) if waiting == "call" else code.co_code[offset] == _YIELD
        try:
            if is_wait and stackmap.instruction_start(code, offset) == offset:
                stackmap.stack_before(code, offset)
                found.append(offset)
        except ValueError:  # unreachable
            continue
    return found


def _shape(way: _Way, offset: int, waiting: str, is_new: bool) -> list[tuple[Any, ...]]:
    """What the stack holds at an instruction: of each slot the kind, and who put it there, in terms of the new text."""
    code, text = (way.new, way.alignment.new) if is_new else (way.old, way.alignment.old)
    shape = []
    for slot in _stack(code, offset, waiting):
        name = opcode.opname[code.co_code[slot.origin]] if slot.origin >= 0 else ""
        place = _position(code, slot.origin) if slot.origin >= 0 else None
        statement = text.at(place) if place else None
        if statement is not None and not is_new:
            statement = way.alignment.partner(statement)
            statement = -1 if statement is None else statement
        shape.append((slot.kind, slot.part, name, statement))
    return shape


def _place_for(way: _Way, offset: int, waiting: str) -> int:
    """The offset in the new code; `MoveError`."""
    old_text, new_text = way.alignment.old, way.alignment.new
    anchor = _anchor(way.old, old_text, offset)
    if anchor is None:
        raise MoveError("no expression of its text is known to stand at its position")
    statement, node = anchor
    line = _line_of(old_text.statements[statement])
    partner = way.alignment.partner(statement)
    if partner is None:
        why = (
            "could be more than one of the new code"
            if statement in way.alignment.doubtful
            else "is not in the new code"
        )
        raise MoveError(
            f"the statement that it stands in (line {line}) {why}; a comment `# label: name` on both would tell"
        )
    _check_surroundings(way, statement, partner)
    is_within_one = way.old.co_name.startswith("<") and way.old.co_name != "<module>"  # a lambda, a comprehension
    moved = None if is_within_one else moved_across(*way.blurred, (statement, partner))
    if moved is not None:
        raise MoveError(f"line {_line_of(moved[1])} would be {moved[0]}: it is on the other side of the position now")
    node = _same_node(old_text, new_text, statement, partner, node)
    return _instruction(way, offset, waiting, anchor, (partner, node))


def _instruction(way: _Way, offset: int, waiting: str, anchor: tuple[int, int], target: tuple[int, int]) -> int:
    """The only instruction for the expression `target` of the new text at which the stack is what it is at `offset` in the old code."""
    wanted = _shape(way, offset, waiting, False)
    found = [to for to in _waits(way.new, waiting) if _anchor(way.new, way.alignment.new, to) == target]
    fitting = [to for to in found if _shape(way, to, waiting, True) == wanted]
    copies = [at for at in _waits(way.old, waiting) if _anchor(way.old, way.alignment.old, at) == anchor]
    twins = [at for at in copies if _shape(way, at, waiting, False) == wanted]
    statement = way.alignment.new.statements[target[0]]
    line = _line_of(statement)
    if found and not fitting:
        raise MoveError(f"in the new code something else lies on the evaluation stack in line {line}")
    if not found and target[1] == _BEFORE:
        raise MoveError(
            f"the checkpoint by the clock that it stands in has no counterpart in front of line {line} of the new code"
        )
    if not fitting or (max(len(fitting), len(twins)) > 1 and not statement.has_equal_copies):
        raise MoveError(f"the compiler has made several copies of line {line}, and which is meant cannot be told")
    return fitting[0]


def _same_node(old: Text, new: Text, statement: int, partner: int, node: int) -> int:
    """The same expression in the partner; where only a label joins the two, the only one that calls the same."""
    if node == _BEFORE or old.statements[statement].head == new.statements[partner].head:
        return node
    wanted = old.own_nodes(statement)[node]
    found = [
        [n for n, other in enumerate(text.own_nodes(index)) if _is_alike(wanted, other)]
        for text, index in ((old, statement), (new, partner))
    ]
    if len(found[0]) != 1 or len(found[1]) != 1:
        raise MoveError("the labelled statement does not have exactly one call of the same function in the new code")
    return found[1][0]


def _is_alike(one: ast.AST, other: ast.AST) -> bool:
    if isinstance(one, ast.Call) and isinstance(other, ast.Call):
        return ast.dump(one.func) == ast.dump(other.func)
    return type(one) is type(other) and not isinstance(one, ast.Call)


def _line_of(statement: Statement) -> int:
    return getattr(statement.node, "lineno", 0)


def _around(text: Text, index: int) -> list[tuple[int, str]]:
    """What a statement stands in within its function, without ``try`` blocks: those leave nothing on the stack."""
    statement = text.statements[index]
    inner = [entry for entry in statement.around if entry[0] > statement.scope]
    return [(at, part) for at, part in inner if not (isinstance(text.statements[at].node, _TRIES) and part == "body")]


_TRIES: tuple[type, ...] = (ast.Try, ast.TryStar)


def _check_surroundings(way: _Way, statement: int, partner: int) -> None:
    """That it stands in the same loops, branches, handlers and ``with`` blocks, in the same function."""
    old_text, new_text = way.alignment.old, way.alignment.new
    scopes = [
        getattr(text.statements[i].node, "name", None) if i >= 0 else None
        for text, i in (
            (old_text, old_text.statements[statement].scope),
            (new_text, new_text.statements[partner].scope),
        )
    ]
    old, new = _around(old_text, statement), _around(new_text, partner)
    if scopes[0] != scopes[1] or len(old) != len(new):
        raise MoveError(f"line {_line_of(old_text.statements[statement])} stands in other blocks now than it did")
    for (at, part), (there, new_part) in zip(old, new, strict=True):
        one, other = old_text.statements[at], new_text.statements[there]
        is_same = way.alignment.partner(at) == there or (
            isinstance(one.node, ast.While | ast.Try | ast.TryStar) and type(one.node) is type(other.node)
        )
        if part != new_part or not is_same:
            raise MoveError(f"line {_line_of(one)}, the block around its position, is another now, or stands elsewhere")


def _cells_of(code: CodeType) -> set[str]:
    return {*code.co_cellvars, *code.co_freevars}


def _slots(way: _Way, offset: int, to: int, slots: tuple[Any, ...], waiting: str) -> tuple[Any, ...]:
    """The locals by name, as the new code wants them."""
    held = dict(zip(slot_names(way.old), slots, strict=True))
    found = [_slot(way, name, held) for name in slot_names(way.new)]
    _check_lost(way, held)
    if waiting != "fresh":
        _check_bound(way, offset, to, found)
    return tuple(found)


def _check_lost(way: _Way, held: dict[str, Any]) -> None:
    """That no local is a global now: it would be another variable."""
    kept = {way.names.get(name, name) for name in slot_names(way.new)}
    for name in sorted(globals_read(way.new) & held.keys() - kept):
        if not _is_unbound(name, held[name], way.old):
            raise MoveError(f'the new code reads "{name}" as a global, and it was a local')


def _slot(way: _Way, name: str, held: dict[str, Any]) -> Any:
    before = way.names.get(name, name)
    old_cells, new_cells = _cells_of(way.old), _cells_of(way.new)
    is_foreign = name in way.new.co_freevars
    if before not in held:
        if is_foreign:
            raise MoveError(f'the new code takes "{name}" from the function around it, which the frame does not know')
        return CellType() if name in new_cells else NULL
    value = held[before]
    if is_foreign != (before in way.old.co_freevars):
        raise MoveError(f'"{name}" belongs to another function now')
    if before in old_cells and name not in new_cells:
        raise MoveError(f'"{before}" is shared with a nested function, which the new code has not got')
    if name in new_cells and before not in old_cells:
        return CellType() if value is NULL else CellType(value)
    return value


def _is_unbound(name: str, value: Any, code: CodeType) -> bool:
    if value is NULL:
        return True
    if name in _cells_of(code) and isinstance(value, CellType):
        try:
            value.cell_contents  # noqa: B018 - empty cells raise
        except ValueError:
            return True
    return False


def _names_read(code: CodeType, offset: int) -> set[str]:
    names = slot_names(code)
    return {names[index] for index in stackmap.locals_read(code, offset)}


def _check_bound(way: _Way, offset: int, to: int, found: list[Any]) -> None:
    """That the new code reads no local which only its own earlier lines would have set."""
    read, read_before = _names_read(way.new, to), _names_read(way.old, offset)
    for name, value in zip(slot_names(way.new), found, strict=True):
        before = way.names.get(name, name)
        if name in read and before not in read_before and _is_unbound(name, value, way.new):
            raise MoveError(f'the new code goes on to read "{name}", which has no value there yet')
