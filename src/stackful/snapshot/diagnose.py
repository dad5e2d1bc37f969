"""Where a value stands that cannot be saved: only called once pickling has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

from stackful import _core
from stackful.errors import UnsaveableError
from stackful.fibers import Fiber
from stackful.fibers.frames import Frame, frames_captured
from stackful.snapshot.codecs.refusals import RefusedError

__all__ = ["locate"]

MAX_DEPTH = 40

Step = tuple[str, Any]


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _in_frames(frames: Iterable[Frame]) -> Iterator[Step]:
    for frame in frames:
        where = f'frame "{frame.code.co_name}" line {frame.line}'
        for name, value in frame.locals.items():
            yield f'{where}, local "{name}"', value
        for value in frame.stack or ():
            yield f"{where}, evaluation stack", value
        yield f"{where}, function", frame.function


def _in_fiber(fiber: Fiber) -> Iterator[Step]:
    yield from _in_frames(fiber.frames)
    _, function, arguments, _, result, context, handled, _ = _core.capture(fiber)
    yield "function of the fiber", function
    yield from ((f"argument {index}", value) for index, value in enumerate(arguments or ()))
    yield from (("result", result), ("context", context), ("exception being handled", handled))


def _in_function(function: FunctionType) -> Iterator[Step]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f', closure of {function.__qualname__} "{name}"', cell.cell_contents
        except ValueError:
            continue
    yield from ((f", default {index}", value) for index, value in enumerate(function.__defaults__ or ()))
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f', global "{name}"', function.__globals__[name]


def _attributes(value: object) -> Iterator[Step]:
    for name, item in getattr(value, "__dict__", {}).items():
        yield f".{name}", item
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                item = getattr(value, name)
                yield (
                    "" if isinstance(item, _core.Continuation) else f".{name}",
                    item,
                )  # an inner part, whose frames are what counts


def _children(value: object) -> Iterator[Step]:
    if isinstance(value, Fiber):
        yield from _in_fiber(value)
    elif isinstance(value, _core.Continuation):
        yield from _in_frames(frames_captured(value))
    elif isinstance(value, FunctionType):
        yield from _in_function(value)
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
        yield from ((f", key {key!r}", key) for key in value)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((f", member {item!r}", item) for item in value)
    elif not isinstance(value, type):
        yield from _attributes(value)


def _failure(value: object, pickle: Callable[[Any], object]) -> Exception | None:
    try:
        pickle(value)
    except Exception as error:  # noqa: BLE001 - whatever a value's own pickling raises
        return error
    return None


def _first_failing(value: object, seen: set[int], pickle: Callable[[Any], object]) -> tuple[str, Any, Exception] | None:
    for step, child in _children(value):
        failure = None if id(child) in seen else _failure(child, pickle)
        if failure is not None:
            return step, child, failure
    return None


def _descend(value: Any, pickle: Callable[[Any], object], error: Exception) -> tuple[str, Any, Exception]:
    path, seen = "", {id(value)}
    for _ in range(MAX_DEPTH):
        if isinstance(error, RefusedError) and error.culprit is value:
            break
        found = _first_failing(value, seen, pickle)
        if found is None:
            break
        step, value, error = found
        path += step
        seen.add(id(value))
    return path, value, error


def _roots(value: Any) -> Iterator[Step]:
    """What durable runs store: of a script a dict of parts, whose globals users know by name; of a function a flag and its fiber."""
    if isinstance(value, tuple) and [type(part) for part in value] == [bool, Fiber]:
        value = value[1]
    if not isinstance(value, dict):
        yield "", value
        return
    for key, part in value.items():
        if key == "globals" and isinstance(part, dict):
            yield from ((f'global "{name}"', item) for name, item in part.items())
        else:
            yield ("" if isinstance(part, Fiber) else f"[{key!r}]"), part


def locate(value: Any, pickle: Callable[[Any], object], error: Exception) -> UnsaveableError:
    """The error that names the first value, and where it stands, that `pickle` cannot take."""
    where, culprit, cause = "", value, error
    for root, part in _roots(value):
        failure = _failure(part, pickle)
        if failure is not None:
            path, culprit, cause = _descend(part, pickle, failure)
            where = (root + path).removeprefix(", ")
            break
    name = _type_name(culprit)
    path = f"{where}: {name}" if where else name
    way_out = "" if isinstance(cause, RefusedError) else "; drop it before the snapshot, or make it picklable"
    return UnsaveableError(f"cannot save {path} ({cause}){way_out}", path, name)
