"""Continuations as values: captured by `control`, `shift`, `control0`, `shift0` and `call_cc`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackful import _core
from stackful.continuations.tags import DEFAULT, PromptTag
from stackful.continuations.winders import Winder, enter, leave_all, leave_for
from stackful.fibers.frames import Frame, frames_captured
from stackful.fibers.operations import CALL, CAPTURE, GIVE, REPLACE, THROW, operate, operate_in_new_fiber
from stackful.fibers.portable import Portable

__all__ = ["ComposableContinuation", "Continuation", "call_cc", "control", "control0", "shift", "shift0"]

Winders = list[Winder | None] | None


class _Captured(Portable):
    """What both kinds of continuations have in common."""

    __slots__ = ("_captured",)
    _captured: _core.Continuation

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The captured frames, outermost first, as `Fiber.frames`."""
        return frames_captured(self._captured)

    def __repr__(self) -> str:
        count = len(self.frames)
        return f"<{type(self).__name__} of {count} frame{'s' * (count != 1)} at {id(self):#x}>"


class ComposableContinuation(_Captured):
    """Frames that `control` or `shift` has captured. What their functions are given is its method `resume`.

    It can be resumed any number of times, copied and pickled; ``k.__self__`` leads from the method to this object.
    """

    # The method is what callers get, because a call of an instance goes through C, and nothing can be captured across that.
    __slots__ = ("_delimiter", "_winders")

    def __init__(self, captured: _core.Continuation, delimiter: PromptTag | None, winders: Winders) -> None:
        self._captured = captured
        self._delimiter = delimiter
        self._winders = winders

    def resume(self, value: object = None, *, error: BaseException | type[BaseException] | None = None) -> Any:
        """Run the captured frames on top of the caller's: `value` is what the capture returns there, or `error` is raised there.

        Returns what the captured frames come to. `TypeError` for both a value and an error.
        """
        _check_message(value, error)
        if self._winders is not None:
            return self._run(CALL, _arrival(len(self._winders), 0, value, error))
        return self._run(GIVE, value) if error is None else self._run(THROW, error)

    def _run(self, operation: int, given: object) -> Any:
        result = operate(operation, self._captured, given, self._delimiter)
        if result is self._captured:
            return operate_in_new_fiber(operation, self._captured, given, self._delimiter)
        return result


class Continuation(_Captured):
    """Frames that `call_cc` has captured. What its function is given is its method `resume`, which never returns.

    It can be resumed any number of times, copied and pickled; ``k.__self__`` leads from the method to this object.
    """

    __slots__ = ("_tag", "_winders")

    def __init__(self, captured: _core.Continuation, tag: PromptTag, winders: Winders) -> None:
        self._captured = captured
        self._tag = tag
        self._winders = winders

    def resume(self, value: object = None, *, error: BaseException | type[BaseException] | None = None) -> Any:
        """Go on where `call_cc` was called, in the stead of all that is running since the prompt: it returns `value` there, or raises `error`.

        `PromptNotFoundError` where there is no prompt with the tag, `BarrierError` where C code stands between it and here; `TypeError` for
        both a value and an error.
        """
        _check_message(value, error)
        common = leave_for(self._winders, self._tag)
        arrive = _arrival(len(self._winders or ()), common, value, error)
        return operate(REPLACE, self._captured, arrive, self._tag)


def _check_message(value: object, error: object) -> None:
    if value is not None and error is not None:
        raise TypeError(f"a continuation is resumed with a value or with an error, not with both: {value!r}, {error!r}")


def _arrival(
    levels: int, common: int, value: object, error: BaseException | type[BaseException] | None
) -> Callable[[], object]:
    """What is called above reinstated frames, for the value: it enters their winders first."""

    def arrive() -> object:
        enter(levels, common)
        if error is not None:
            raise error
        return value

    return arrive


def _look(tag: PromptTag, use: Callable[[_core.Continuation], Any]) -> Any:
    """Call ``use(k)`` here, with the continuation of this call."""
    return operate(CAPTURE, tag, lambda k: operate(REPLACE, k, lambda: use(k), tag), True)


def _capture_wound(tag: PromptTag, f: Callable[..., Any], keep: bool, delimiter: PromptTag | None) -> Any:
    """A capture that leaves the extents of `dynamic_wind`: while they are left, the frames are still there."""
    winders: Winders = _core.wound(tag)

    def use(captured: _core.Continuation) -> Any:
        leave_all(tag)
        k = ComposableContinuation(captured, delimiter, winders).resume
        return operate(CAPTURE, tag, lambda _: f(k), keep)

    return _look(tag, use)


def control(f: Callable[[Callable[..., Any]], Any], tag: PromptTag | None = None) -> Any:
    """Take the frames since the nearest prompt away, and call ``f(k)`` in their stead, above the prompt.

    ``k(value)`` puts the frames on top of its caller's, and `control` returns `value` there. `PromptNotFoundError` when there is no
    prompt; `BarrierError` when C code stands in between. (Felleisen's ``control``; Sitaram and Felleisen.)

    >>> from stackful import control, prompt
    >>> prompt(lambda: ["got", control(lambda k: [k(1), k(2)])])
    [['got', 1], ['got', 2]]
    """
    tag = DEFAULT if tag is None else tag
    if _core.wound(tag) is not None:
        return _capture_wound(tag, f, True, None)
    return operate(CAPTURE, tag, lambda k: f(ComposableContinuation(k, None, None).resume), True)


def shift(f: Callable[[Callable[..., Any]], Any], tag: PromptTag | None = None) -> Any:
    """As `control`, but ``k(value)`` runs the frames above a prompt of their own.

    So captures in them end there, and not where `k` is called. (Danvy and Filinski's ``shift``.)

    >>> from stackful import reset, shift
    >>> def flip():
    ...     return shift(lambda k: [*k(False), *k(True)])
    >>> reset(lambda: [(flip(), flip())])
    [(False, False), (False, True), (True, False), (True, True)]
    """
    tag = DEFAULT if tag is None else tag
    if _core.wound(tag) is not None:
        return _capture_wound(tag, f, True, tag)
    return operate(CAPTURE, tag, lambda k: f(ComposableContinuation(k, tag, None).resume), True)


def control0(f: Callable[[Callable[..., Any]], Any], tag: PromptTag | None = None) -> Any:
    """As `control`, but the prompt goes with the frames: ``f(k)`` is called outside of it.

    (Shan's ``control0``.)

    >>> from stackful import control0, prompt0
    >>> prompt0(lambda: ["a", prompt0(lambda: ["b", control0(lambda k: control0(lambda j: j(k("c"))))])])
    ['a', ['b', 'c']]
    """
    tag = DEFAULT if tag is None else tag
    if _core.wound(tag) is not None:
        return _capture_wound(tag, f, False, None)
    return operate(CAPTURE, tag, lambda k: f(ComposableContinuation(k, None, None).resume), False)


def shift0(f: Callable[[Callable[..., Any]], Any], tag: PromptTag | None = None) -> Any:
    """As `shift`, but the prompt goes with the frames: ``f(k)`` is called outside of it.

    (Danvy and Filinski's ``shift0``.)

    >>> from stackful import reset0, shift0
    >>> reset0(lambda: ["a", reset0(lambda: ["b", shift0(lambda k: shift0(lambda j: j(k("c"))))])])
    ['a', ['b', 'c']]
    """
    tag = DEFAULT if tag is None else tag
    if _core.wound(tag) is not None:
        return _capture_wound(tag, f, False, tag)
    return operate(CAPTURE, tag, lambda k: f(ComposableContinuation(k, tag, None).resume), False)


def call_cc(f: Callable[[Callable[..., Any]], Any], tag: PromptTag | None = None) -> Any:
    """Call ``f(k)``, where `k` is the continuation of this call, up to the nearest prompt.

    ``k(value)`` never returns: it drops what runs since that prompt, and goes on as if this call had returned `value`; also when it
    has returned long ago, and again and again. At top level `run` makes the prompt. `PromptNotFoundError` when there is none.
    (R7RS 6.10, ``call-with-current-continuation``.)

    >>> from stackful import call_cc, run
    >>> def main():
    ...     attempts = []
    ...     k = call_cc(lambda k: k)
    ...     attempts.append(1)
    ...     return len(attempts) if len(attempts) == 3 else k(k)
    >>> run(main)
    3
    """
    tag = DEFAULT if tag is None else tag
    winders: Winders = _core.wound(tag)
    return _look(tag, lambda k: f(Continuation(k, tag, winders).resume))
