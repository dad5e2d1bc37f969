"""Search: programs that choose as if they always guessed right, and strategies that make it so.

A program calls `choose` and `fail`; it is suspended at each choice, and forked: ``copy.copy`` of its fiber for each option. A `Branch` is such a
program, waiting; strategies are short functions over branches. (McCarthy's amb, 1963; Abelson and Sussman, SICP 4.3; Floyd, "Nondeterministic
Algorithms", 1967.)
"""

from __future__ import annotations

import copy
import itertools
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from heapq import heappop, heappush
from typing import Any, Generic, NamedTuple, TypeVar

from stackful import _core
from stackful.errors import FiberError
from stackful.executors import executor_of
from stackful.fibers import Fiber, suspend_to

__all__ = [
    "Branch",
    "best_first",
    "breadth_first",
    "choose",
    "cut",
    "depth_first",
    "explore",
    "fail",
    "parallel",
    "require",
    "solutions",
]

_T = TypeVar("_T")
_R = TypeVar("_R")


class _Program(Fiber):
    """A program that is searched."""


class _Choice:
    """What a program suspends with that chooses."""

    __slots__ = ("costs", "options")

    def __init__(self, options: tuple[Any, ...], costs: tuple[float, ...] | None) -> None:
        self.options = options
        self.costs = costs


class _Cut:
    """What a program suspends with that commits itself."""


class _Failure(BaseException):
    """Leaves a program that fails: its ``finally`` blocks run."""


# What a program calls


def _program(name: str) -> Fiber:
    """The program that is searched here; a fiber in it may be running, on its stack."""
    host = _core.host()
    if type(host) is _Program:
        return host
    here = "" if host is None else f" {host!r} runs here, and is none:"
    raise FiberError(
        f"{name}() outside of any search:{here} call it, at any depth, beneath a function given to solutions(); fibers in between are"
        " resumed by the function resume()"
    )


def choose(options: Iterable[_T], *, cost: Callable[[_T], float] | None = None) -> _T:
    """One of the options: the one with which the program does not fail, if there is any.

    Every option is tried, each in a fork of the program: local variables and running loops are each branch's own, other objects are shared. None
    to choose from is `fail`. `cost` says what taking an option costs, for `best_first`.

    >>> def pair():
    ...     a = choose([1, 2, 3])
    ...     b = choose([4, 5, 6])
    ...     require(a * b == 10)
    ...     return a, b
    >>> list(solutions(pair))
    [(2, 5)]
    """
    options = tuple(options)
    if not options:
        fail()
    chosen: _T = suspend_to(_program("choose"), _Choice(options, None if cost is None else tuple(map(cost, options))))
    return chosen


def fail() -> Any:
    """This branch leads nowhere. Never returns; ``finally`` blocks of the branch run."""
    _program("fail")
    raise _Failure("fail() outside of any search")


def require(condition: object) -> None:
    """Fail unless the condition holds (SICP's require)."""
    if not condition:
        fail()


def cut() -> None:
    """Commit to the choices made so far: options that nobody has taken yet, anywhere in this search, are given up (Prolog's cut).

    A search within the program, ``next(solutions(part))``, is the scope of the cuts beneath it.

    >>> def first_even():
    ...     number = choose([1, 2, 3, 4])
    ...     require(number % 2 == 0)
    ...     cut()
    ...     return number
    >>> list(solutions(first_even))
    [2]
    """
    suspend_to(_program("cut"), _Cut())


# Branches


class Branch(Generic[_R]):
    """A program that waits at a choice, or has found a solution, or has failed.

    Taking an option leaves the branch as it is: it can be taken again, and another one can. Branches can be pickled.

    >>> branch = explore(lambda: choose("ab") + choose("cd"))
    >>> branch.options
    ('a', 'b')
    >>> branch.take("b").take("c").value
    'bc'
    """

    __slots__ = ("_costs", "_fiber", "cost", "has_cut", "is_failed", "is_solved", "options", "value")

    def __init__(self, fiber: _Program, cost: float = 0) -> None:
        self._fiber = fiber
        self.cost = cost
        """What the options taken so far have cost."""
        self.options: tuple[Any, ...] = ()
        """What can be taken; nothing when it has ended."""
        self.value: _R | None = None
        """The solution."""
        self.is_solved = False
        self.is_failed = False
        self.has_cut = False
        """Whether the program has called `cut` since the option before."""
        self._costs: tuple[float, ...] | None = None

    def _run(self, option: Any) -> Branch[_R]:
        while True:
            try:
                answer = self._fiber.resume(option)
            except _Failure:
                self.is_failed = True
                return self
            if self._fiber.status == "dead":
                self.is_solved, self.value = True, answer
                return self
            option = None
            if type(answer) is _Choice:
                self.options, self._costs = answer.options, answer.costs
                return self
            if type(answer) is not _Cut:
                self._fiber.close()
                raise FiberError(
                    "suspend() in a program that is searched: only choose(), fail() and cut() mean something there"
                )
            self.has_cut = True

    def _price(self, index: int) -> float:
        return self.cost if self._costs is None else self.cost + self._costs[index]

    def _take_at(self, index: int, is_last: bool) -> Branch[_R]:
        """A fork that takes the option; for the last one the program itself, which is then no longer this branch's."""
        fiber = self._fiber if is_last else copy.copy(self._fiber)
        branch: Branch[_R] = Branch(fiber, self._price(index))
        return branch._run(self.options[index])

    def take(self, option: Any) -> Branch[_R]:
        """The branch in which `choose` has returned `option`."""
        if option not in self.options:
            raise ValueError(f"{option!r} is not among the options {self.options!r}")
        return self._take_at(self.options.index(option), False)

    def children(self) -> Iterator[Branch[_R]]:
        """The branches of all options, in order; afterwards this one is used up. After a `cut` in one, those to its right are given up."""
        last = len(self.options) - 1
        for index in range(last + 1):
            child = self._take_at(index, index == last)
            yield child
            if child.has_cut:
                return

    def __repr__(self) -> str:
        if self.is_solved:
            return f"<Branch solved: {self.value!r}>"
        return "<Branch failed>" if self.is_failed else f"<Branch of {len(self.options)} options>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Branch.__slots__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def explore(function: Callable[..., _R], /, *args: Any, **kwargs: Any) -> Branch[_R]:
    """Run a program up to its first choice: the root of its tree, for strategies of one's own."""
    branch: Branch[_R] = Branch(_Program(function, *args, **kwargs))
    return branch._run(None)


# Strategies: solved branches of a tree, in some order


def depth_first(root: Branch[_R]) -> Iterator[Branch[_R]]:
    """Follow the first option to its end, then the next: memory for one path. Does not end where a path does not."""
    if root.is_solved:
        yield root
    stack = [(root, 0)] if root.options else []
    while stack:
        branch, index = stack.pop()
        is_last = index + 1 == len(branch.options)
        if not is_last:
            stack.append((branch, index + 1))
        child = branch._take_at(index, is_last)
        if child.has_cut:
            stack.clear()
        if child.is_solved:
            yield child
        elif child.options:
            stack.append((child, 0))


def breadth_first(root: Branch[_R]) -> Iterator[Branch[_R]]:
    """Those with the fewest choices first: finds each solution, even where some paths never end."""
    queue = deque([root])
    while queue:
        branch = queue.popleft()
        if branch.is_solved:
            yield branch
        for child in branch.children():
            if child.has_cut:
                queue.clear()
            queue.append(child)


def best_first(root: Branch[_R]) -> Iterator[Branch[_R]]:
    """The cheapest first, by the costs given to `choose` (Dijkstra's order; none of them negative).

    For A*, let the cost of an option contain by how much it changes the estimate of what is left.
    """
    count = itertools.count()
    heap: list[tuple[float, int, Branch[_R], int | None]] = [(root.cost, next(count), root, None)]
    while heap:
        _, _, branch, index = heappop(heap)
        if index is not None:
            branch = branch._take_at(index, False)
            if branch.has_cut:
                heap.clear()
        if branch.is_solved:
            yield branch
        for option in range(len(branch.options)):
            heappush(heap, (branch._price(option), next(count), branch, option))


class _Raised(NamedTuple):
    """In the stead of a branch, the exception that left it: in depth-first order nothing comes after it."""

    error: BaseException


def _finish(data: bytes) -> tuple[list[Any], bool, BaseException | None]:
    """In another process: the solutions of a branch, whether it has cut, and what it raised in the end."""
    branch: Branch[Any] = pickle.loads(data)
    found: list[Any] = []
    has_cut = False
    stack = [_children(branch)] if branch.options else []
    while stack:
        child = next(stack[-1], None)
        if isinstance(child, _Raised):
            return found, has_cut, child.error
        if child is None:
            stack.pop()
            continue
        if child.has_cut:
            has_cut = True
            stack.clear()
        if child.is_solved:
            found.append(child.value)
        elif child.options:
            stack.append(_children(child))
    return found, has_cut, None


def _children(branch: Branch[_R]) -> Iterator[Branch[_R] | _Raised]:
    """The branch's children, or where it has ended the branch itself."""
    if not branch.options:
        yield branch
        return
    try:
        yield from branch.children()
    except Exception as error:  # noqa: BLE001 - raised again by `parallel`, in its turn
        yield _Raised(error)


def _wider(row: list[Branch[_R] | _Raised]) -> list[Branch[_R] | _Raised]:
    """One level further. What is to the right of a cut or of an exception is given up."""
    wider: list[Branch[_R] | _Raised] = []
    for branch in row:
        if isinstance(branch, _Raised):
            return [*wider, branch]
        for child in _children(branch):
            if isinstance(child, _Raised):
                return [*wider, child]
            if not child.is_failed:
                wider.append(child)
            if child is not branch and child.has_cut:
                return wider
    return wider


def _widened(root: Branch[_R], least: int) -> list[Branch[_R] | _Raised]:
    """The tree's branches from left to right, once there are `least` of them, or no more."""
    row: list[Branch[_R] | _Raised] = [root]
    while len(row) < least and any(isinstance(branch, Branch) and branch.options for branch in row):
        row = _wider(row)
    return row


def parallel(
    function: Callable[..., _R], /, *args: Any, executor: Any = None, workers: int | None = None
) -> Iterator[_R]:
    """The solutions of `depth_first`, in its order, found by several processes.

    The tree is widened here until there is enough to share out; each branch is pickled, and finished by a process of `executor` (by default
    a `concurrent.futures.ProcessPoolExecutor` with that many `workers`; a ``Client`` of ``dask.distributed`` is one, too). Programs and what they refer to must pickle. An exception of the
    program comes after the solutions that are found before it.
    """
    own = ProcessPoolExecutor(workers) if executor is None else None
    pool = own or executor_of(executor)
    try:
        yield from _collected(_widened(explore(function, *args), 4 * (workers or 4)), pool)
    finally:
        if own is not None:
            own.shutdown(cancel_futures=True)


def _collected(row: list[Branch[_R] | _Raised], pool: Executor) -> Iterator[_R]:
    tasks = [
        pool.submit(_finish, pickle.dumps(branch)) if isinstance(branch, Branch) and branch.options else branch
        for branch in row
    ]
    for task in tasks:
        if isinstance(task, _Raised):
            raise task.error
        if isinstance(task, Branch):
            if task.is_solved:
                yield task.value  # type: ignore[misc]
            continue
        found, has_cut, error = task.result()
        yield from found
        if error is not None:
            raise error
        if has_cut:
            return


def solutions(
    function: Callable[..., _R],
    /,
    *args: Any,
    strategy: Callable[[Branch[_R]], Iterable[Branch[_R]]] = depth_first,
) -> Iterator[_R]:
    """The results of all runs of the program that do not fail, in the order of the strategy; found when they are asked for.

    >>> def triple(limit):
    ...     a = choose(range(1, limit))
    ...     b = choose(range(a, limit))
    ...     c = choose(range(b, limit))
    ...     require(a * a + b * b == c * c)
    ...     return a, b, c
    >>> list(solutions(triple, 15))
    [(3, 4, 5), (5, 12, 13), (6, 8, 10)]
    """
    for branch in strategy(explore(function, *args)):
        yield branch.value  # type: ignore[misc]
