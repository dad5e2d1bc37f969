"""A small language of programs that are edited while they are suspended, and what each must do then, said by an interpreter.

A program is a list of statements with numbers of their own; it renders to a Python function. The interpreter runs the tree itself, so it
can go on in an edited tree at the statement with the same number, with the locals and the loops as they were: that is what is right.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field

KINDS = ("step", "set", "ask", "add", "for", "if", "try", "with", "except")
COMPOUND = ("for", "if", "try", "with", "except")
VARIABLES = ["a", "b", "c"]


class MustRefuseError(Exception):
    """Going on would be wrong."""


@dataclass
class Node:
    """A statement: its number is in its text, so that the text is as unique as it."""

    number: int
    kind: str
    name: str = "a"
    body: list[Node] = field(default_factory=list)
    other: list[Node] = field(default_factory=list)

    def lines(self, indent: str) -> list[str]:
        """Its Python text."""
        n, name = self.number, self.name
        heads = {
            "step": f"step({n}, {name})",
            "set": f"{name} = {n}",
            "ask": f"{name} = ask({n})",
            "add": f"{name} = add({n}, {name}, ask({n}))",
            "for": f"for {name} in items({n}):",
            "if": f"if {name} % 2 == {n % 2} != {n}:",
            "try": "try:",
            "with": f"with manager({n}):",
            "except": f"try:\n{indent}    fail({n})\n{indent}except failure({n}):",
        }
        found = [indent + heads[self.kind]]
        if self.kind in COMPOUND:
            found += render(self.body, indent + "    ")
        if self.kind == "if" and self.other:
            found += [f"{indent}else:", *render(self.other, indent + "    ")]
        if self.kind == "try":
            found += [f"{indent}finally:", *render(self.other, indent + "    ")]
        return found


def render(block: list[Node], indent: str) -> list[str]:
    """The text of a block."""
    return [line for node in block for line in node.lines(indent)] or [f"{indent}pass"]


def source(block: list[Node], names: list[str]) -> str:
    """The module: ``start`` is the program."""
    head = ["from steps import add, ask, fail, failure, items, manager, step", "", "def start():"]
    return "\n".join([*head, *(f"    {name} = 0" for name in names), *render(block, "    "), ""])


def walk(block: list[Node], around: tuple = ()):
    """Every statement, with the blocks that it stands in and the compound statements around it (and which part of them)."""
    for node in block:
        yield node, block, around
        yield from walk(node.body, (*around, (node, "body")))
        yield from walk(node.other, (*around, (node, "other")))


class Maker:
    """Programs and edits at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.number = 10

    def node(self, depth: int, kinds: tuple[str, ...] = KINDS) -> Node:
        """A statement."""
        kind = self.random.choice(kinds if depth else [k for k in kinds if k in KINDS[:4]] or ["step"])
        self.number += 1
        made = Node(self.number, kind, self.random.choice(VARIABLES))
        if kind in COMPOUND:
            made.body = self.block(depth - 1)
            made.other = self.block(depth - 1) if kind == "try" or (kind == "if" and self.random.random() < 0.5) else []
        return made

    def block(self, depth: int) -> list[Node]:
        """Some statements."""
        return [self.node(depth) for _ in range(self.random.randint(1, 3))]

    def program(self) -> list[Node]:
        """One that suspends at least once."""
        block = [self.node(2) for _ in range(self.random.randint(2, 5))]
        block.insert(self.random.randint(0, len(block)), self.node(0, ("ask", "add")))
        return block

    def edited(self, program: list[Node]) -> tuple[list[Node], dict[str, str]]:
        """A copy with some changes, and the names that were changed throughout."""
        block, renamed = copy.deepcopy(program), {}
        for _ in range(self.random.randint(1, 3)):
            edit = self.random.choice(
                (self._insert, self._insert, self._delete, self._change, self._swap, self._move, self._wrap, self._copy)
            )
            edit(block)
        if self.random.random() < 0.2:
            name = self.random.choice(VARIABLES)
            renamed[name] = name + "_new"
            for node, _, _ in walk(block):
                node.name = renamed.get(node.name, node.name)
        return block, renamed

    def _any(self, block: list[Node]) -> tuple[Node, list[Node]]:
        node, where, _ = self.random.choice(list(walk(block)) or [(self.node(0), block, ())])
        return node, where

    def _insert(self, block: list[Node]) -> None:
        where = self.random.choice([block, *(place for _, place, _ in walk(block))])
        where.insert(self.random.randint(0, len(where)), self.node(1))

    def _delete(self, block: list[Node]) -> None:
        node, where = self._any(block)
        if any(one is node for one in where):
            where[:] = [one for one in where if one is not node]

    def _change(self, block: list[Node]) -> None:
        node, _ = self._any(block)
        self.number += 1
        node.number = self.number

    def _swap(self, block: list[Node]) -> None:
        _, where = self._any(block)
        if len(where) > 1:
            at = self.random.randrange(len(where) - 1)
            where[at : at + 2] = where[at : at + 2][::-1]

    def _move(self, block: list[Node]) -> None:
        node, where = self._any(block)
        inside = {id(one) for one, _, _ in walk([node])}
        if not any(one is node for one in where):
            return
        where[:] = [one for one in where if one is not node]
        places = [block, *(place for one, place, _ in walk(block) if id(one) not in inside)]
        place = self.random.choice(places)
        place.insert(self.random.randint(0, len(place)), node)

    def _wrap(self, block: list[Node]) -> None:
        node, where = self._any(block)
        for at, one in enumerate(where):
            if one is node:
                outer = self.node(1, ("for", "if", "try", "try", "with", "except"))
                outer.body = [node]
                where[at] = outer

    def _copy(self, block: list[Node]) -> None:
        node, _ = self._any(block)
        _, where = self._any(block)
        if not any(one is inner for inner, _, _ in walk([node]) for one in where):
            where.insert(self.random.randint(0, len(where)), copy.deepcopy(node))


class Machine:
    """The interpreter: `log` is what the program has done, `places` the statements that it is in, outermost first."""

    def __init__(self, names: dict[str, object]) -> None:
        self.locals = names
        self.loops: dict[int, list[int]] = {}
        self.log: list[object] = []
        self.at: Node | None = None

    def read(self, name: str) -> object:
        """A local; one without a value ends everything."""
        if name not in self.locals:
            raise MustRefuseError(f"{name} has no value")
        return self.locals[name]

    def block(self, block: list[Node], path: list[Node]):
        """Run a block; or, with a path, go on in it at the place where the path leads."""
        start = 0
        if path:
            start = next(at for at, node in enumerate(block) if node is path[0])
            yield from self._go_on(block[start], path[1:])
            start += 1
        for node in block[start:]:
            yield from self._run(node)

    def _run(self, node: Node):
        number, name = node.number, node.name
        if node.kind == "step":
            self.log.append(["step", number, self.read(name)])
        elif node.kind == "set":
            self.locals[name] = number
        elif node.kind in ("ask", "add"):
            if node.kind == "add":
                self.loops[-number] = [self.read(name)]  # what waits on the evaluation stack
            self.at = node
            answer = yield
            self._answer(node, answer)
        elif node.kind == "for":
            self.loops[number] = [number * 10, number * 10 + 1]
            yield from self._loop(node)
        elif node.kind == "if":
            value = self.read(name)
            yield from self.block(node.body if value % 2 == number % 2 != number else node.other, [])
        elif node.kind == "try":
            yield from self.block(node.body, [])
            yield from self.block(node.other, [])
        elif node.kind == "except":
            yield from self.block(node.body, [])
        else:
            self.log.append(["enter", number])
            yield from self.block(node.body, [])
            self.log.append(["exit", number])

    def _answer(self, node: Node, answer: int) -> None:
        if node.kind == "add":
            answer += node.number + self.loops.pop(-node.number)[0]
        self.locals[node.name] = answer

    def _loop(self, node: Node):
        while self.loops[node.number]:
            self.locals[node.name] = self.loops[node.number].pop(0)
            yield from self.block(node.body, [])

    def _go_on(self, node: Node, path: list[Node]):
        if not path:
            answer = yield
            self._answer(node, answer)
            return
        is_in_body = any(one is path[0] for one in node.body)
        yield from self.block(node.body if is_in_body else node.other, path)
        if node.kind == "for":
            yield from self._loop(node)
        elif node.kind == "try" and is_in_body:
            yield from self.block(node.other, [])
        elif node.kind == "with":
            self.log.append(["exit", node.number])


def _paths(block: list[Node], number: int) -> list[list[tuple[Node, str]]]:
    return [[*around, (node, "")] for node, _, around in walk(block) if node.number == number]


def _surroundings(path: list[tuple[Node, str]]) -> list[object]:
    return [
        (node.number if node.kind != "try" else 0, node.kind, part)
        for node, part in path
        if not (node.kind == "try" and part == "body")
    ]


def _sides(block: list[Node], at: Node) -> tuple[list[int], list[int]]:
    nodes = [node for node, _, _ in walk(block) if node.kind != "try"]
    index = next(i for i, node in enumerate(nodes) if node is at)
    return [node.number for node in nodes[:index]], [node.number for node in nodes[index + 1 :]]


def _is_moved_across(old: tuple[list[int], list[int]], new: tuple[list[int], list[int]]) -> bool:
    """Whether what was to come has been, or the other way round, at the new place."""
    for number in {*old[0], *old[1]}:
        before, behind = (new[side].count(number) - old[side].count(number) for side in (0, 1))
        if before * behind < 0:
            return True
    return False


def right_places(old: list[Node], new: list[Node], at: Node, renamed: dict[str, str]) -> list[list[Node]]:
    """The paths to where a program that is suspended `at` a statement may go on in the new one; of two like statements, both."""
    old = copy.deepcopy(old)
    for node, _, _ in walk(old):
        node.name = renamed.get(node.name, node.name)
    found = []
    for before in _paths(old, at.number):
        for after in _paths(new, at.number):
            ends = before[-1][0], after[-1][0]
            is_same = _surroundings(before) == _surroundings(after) and ends[0].lines("") == ends[1].lines("")
            if is_same and not _is_moved_across(_sides(old, ends[0]), _sides(new, ends[1])):
                found.append([node for node, _ in after])
    return found
