"""The statements of a definition, and which statement of an older text is which of a newer one.

Statements are compared without their positions, a compound one by its head alone: ``for x in y`` is the same loop whatever its body.
Two texts are aligned by a longest common subsequence, and a statement has a counterpart only where every such alignment gives it
the same one: of two like lines, between which one was added, nobody can tell which was which.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stackful.snapshot.sources import Place, Source

__all__ = ["Alignment", "Statement", "Text", "align", "moved_across", "text_of"]

Head = ast.stmt | ast.excepthandler | ast.match_case
_HEADS = (ast.stmt, ast.excepthandler, ast.match_case)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LABEL = re.compile(r"#\s*label:\s*([\w.-]+)")
_MOST_PAIRS = 4_000_000
_NAMES = (
    ("id", ast.Name),
    ("arg", ast.arg),
    ("name", ast.ExceptHandler),
    ("name", ast.MatchAs),
    ("name", ast.MatchStar),
)


class Statement(NamedTuple):
    """A statement (or ``except``, or ``case``) by its number: its head as text, and where it stands.

    `around` are the statements that it stands in, outermost first, each with the part of it: its ``body``, its ``finalbody`` and so on.
    """

    node: Head
    head: str
    around: tuple[tuple[int, str], ...]
    scope: int
    """The function or class that it belongs to; -1 for the text itself."""

    @property
    def is_idle(self) -> bool:
        """Whether it does nothing that could be left out or done twice."""
        node = self.node
        return isinstance(
            node, ast.Pass | ast.Global | ast.Nonlocal | ast.excepthandler | ast.match_case | ast.Try
        ) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


class Text(NamedTuple):
    """A definition, taken apart: its statements in their order, and its labels (``# label: name``)."""

    statements: tuple[Statement, ...]
    labels: Mapping[str, int]

    def at(self, place: Place) -> int | None:
        """The innermost statement around a place; lines are those of the file."""
        found = None
        for index, statement in enumerate(self.statements):
            if _contains(statement.node, place):
                found = index  # what comes later and contains it too stands further in
        return found

    def own_nodes(self, index: int) -> list[ast.AST]:
        """The expressions of a statement, without those of the statements in it, in a fixed order."""
        return list(_own_nodes(self.statements[index].node))

    def node_at(self, index: int, place: Place) -> int | None:
        """Which of its expressions stands at this place."""
        nodes = self.own_nodes(index)
        for number, node in enumerate(nodes):
            if _place(node) == place:
                return number
        # Calls of methods begin for the compiler where the attribute does (v3.12.1 Python/compile.c, update_start_location_to_match_attr).
        calls = [n for n, node in enumerate(nodes) if isinstance(node, ast.Call) and _end(node) == (place[1], place[3])]
        return calls[0] if len(calls) == 1 else None


def _place(node: ast.AST) -> Place | None:
    line = getattr(node, "lineno", None)
    if line is None:
        return None
    return line, getattr(node, "end_lineno", line), getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0)


def _end(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0)


def _contains(node: ast.AST, place: Place) -> bool:
    own = _place(node)
    if own is None:  # a match_case has no place of its own
        return False
    decorators = getattr(node, "decorator_list", ())
    start = min([(own[0], own[2]), *((d.lineno, d.col_offset) for d in decorators)])
    return start <= (place[0], place[2]) and (place[1], place[3]) <= (own[1], own[3])


def _is_list_of_heads(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], _HEADS)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _HEADS):
            yield from _own_nodes(child)


def _head(node: Head) -> str:
    parts = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if _is_list_of_heads(value):
            continue
        items = value if isinstance(value, list) else [value]
        parts.append(f"{name}={[ast.dump(item) if isinstance(item, ast.AST) else item for item in items]}")
    return " ".join(parts)


def _statements(body: list[Head], found: list[Statement], around: tuple[tuple[int, str], ...], scope: int) -> None:
    for node in body:
        index = len(found)
        found.append(Statement(node, _head(node), around, scope))
        for name, value in ast.iter_fields(node):
            if _is_list_of_heads(value):
                _statements(value, found, (*around, (index, name)), index if isinstance(node, _SCOPES) else scope)


def _labels(source: Source, text: Text) -> dict[str, int]:
    """Each label and the statement that begins on its line, or else the innermost around it; one that occurs twice is none."""
    found: list[tuple[str, int]] = []
    lines = io.StringIO(source.prefix + source.text).readline
    shift = source.line - 1 - source.prefix.count("\n")
    for token in tokenize.generate_tokens(lines):
        match = _LABEL.match(token.string) if token.type == tokenize.COMMENT else None
        line = token.start[0] + shift
        around = [i for i, s in enumerate(text.statements) if _covers(s.node, line)] if match else []
        if match and around:
            found.append((match[1], around[-1]))
    counts = Counter(name for name, _ in found)
    return {name: index for name, index in found if counts[name] == 1}


def _covers(node: ast.AST, line: int) -> bool:
    place = _place(node)
    return place is not None and place[0] <= line <= place[1]


def text_of(source: Source, renamed: Mapping[str, str] | None = None) -> Text:
    """The statements of a source; with the names in `renamed` replaced."""
    return _text_of(source.bare, tuple(sorted((renamed or {}).items())))


@lru_cache(maxsize=64)
def _text_of(source: Source, renamed: tuple[tuple[str, str], ...]) -> Text:
    tree = source.tree()
    names = dict(renamed)
    for node in ast.walk(tree) if names else ():
        for field, kind in _NAMES:
            if isinstance(node, kind) and getattr(node, field) in names:
                setattr(node, field, names[getattr(node, field)])
    found: list[Statement] = []
    _statements(list(tree.body), found, (), -1)
    text = Text(tuple(found), {})
    return text._replace(labels=_labels(source, text))


class Alignment(NamedTuple):
    """Which statement of `old` is which of `new`; one whose counterpart is in doubt is in `doubtful`."""

    old: Text
    new: Text
    partners: Mapping[int, int]
    doubtful: frozenset[int]

    def partner(self, index: int) -> int | None:
        """The counterpart, also where only the label says that it is one."""
        return self.partners.get(index)


def moved_across(old: Text, new: Text, position: tuple[int, int]) -> tuple[str, Statement] | None:
    """A statement of `new` that would be "skipped", or "repeated", if a frame went on there instead of in `old`.

    `position` is the number of the statement that it stands in, in each of the two.
    """
    before_old, after_old = _sides(old, position[0])
    before_new, after_new = _sides(new, position[1])
    skipped = (after_old - after_new) & (before_new - before_old)
    repeated = (before_old - before_new) & (after_new - after_old)
    for what, heads in (("skipped", skipped), ("repeated", repeated)):
        for statement in new.statements if heads else ():
            if statement.head in heads:
                return what, statement
    return None


def _sides(text: Text, index: int) -> tuple[Counter[str], Counter[str]]:
    """How often each statement of the same function stands before and behind this one."""
    scope = text.statements[index].scope
    before, behind = (
        Counter(s.head for s in part if s.scope == scope and not s.is_idle)
        for part in (text.statements[:index], text.statements[index + 1 :])
    )
    return before, behind


def _lengths(one: list[str], other: list[str]) -> list[list[int]]:
    """How long a common subsequence is of the first i of `one` and the first j of `other`."""
    table = [[0] * (len(other) + 1)]
    for a in one:
        above, row = table[-1], [0]
        for j, b in enumerate(other):
            row.append(above[j] + 1 if a == b else max(above[j + 1], row[-1]))
        table.append(row)
    return table


def align(old: Text, new: Text) -> Alignment:
    """Align two texts; labels come first. `ValueError` where they are too long for that."""
    one, other = [s.head for s in old.statements], [s.head for s in new.statements]
    if len(one) * len(other) > _MOST_PAIRS:
        raise ValueError("it is too long to be compared statement by statement")
    before, behind = _lengths(one, other), _lengths(one[::-1], other[::-1])
    best = before[-1][-1]
    possible: dict[int, list[int]] = {}
    for i, head in enumerate(one):
        rest = behind[len(one) - i - 1]
        possible[i] = [
            j for j, b in enumerate(other) if b == head and before[i][j] + 1 + rest[len(other) - j - 1] == best
        ]
    claims = Counter(j for found in possible.values() for j in found)
    partners = {i: found[0] for i, found in possible.items() if len(found) == 1 and claims[found[0]] == 1}
    doubtful = {i for i, found in possible.items() if found and i not in partners}
    for label in old.labels.keys() & new.labels.keys():
        partners[old.labels[label]] = new.labels[label]
        doubtful.discard(old.labels[label])
    return Alignment(old, new, partners, frozenset(doubtful))
