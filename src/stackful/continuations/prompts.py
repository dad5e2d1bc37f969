"""Prompts, and what leaves for them by an exception: `abort`, escape continuations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from stackful import _core
from stackful.continuations.missing import prompt_not_found
from stackful.continuations.tags import DEFAULT, PromptTag, check_tag
from stackful.errors import PromptNotFoundError
from stackful.fibers.operations import GATE, PUSH, operate, operate_in_new_fiber

__all__ = ["Abort", "abort", "barrier", "call_ec", "prompt", "prompt0", "reset", "reset0", "run"]

_T = TypeVar("_T")


class Abort(BaseException):
    """On its way to the prompt whose tag is its first argument; the second is the value, the third how many prompts with the tag it passes.

    The core ends it there, or makes an error of it where there is no such prompt any more (csrc/levels.c).
    """


_core.register("abort", Abort)


def prompt(thunk: Callable[[], Any], tag: PromptTag | None = None) -> Any:
    """Call ``thunk()``; what `control` and its kin capture in it ends here, and its result is that of the prompt.

    May be called anywhere. Outside of any fiber, and behind a C call, the frames that a `suspend` would have to cross are not its
    own: there `suspend` raises. (Felleisen's ``prompt``; Racket's ``call-with-continuation-prompt``.)

    >>> from stackful import control, prompt
    >>> 1 + prompt(lambda: 10 * control(lambda k: k(2) + k(3)))
    51
    """
    tag = DEFAULT if tag is None else tag if type(tag) is PromptTag else check_tag(tag)
    result = operate(PUSH, tag, thunk, None)
    return operate_in_new_fiber(PUSH, tag, thunk, None) if result is GATE else result


def prompt0(thunk: Callable[[], Any], tag: PromptTag | None = None) -> Any:
    """`prompt`, by the name that it has beside `control0`.

    (Shan's ``prompt0``.)

    >>> from stackful import control0, prompt0
    >>> prompt0(lambda: 1 + prompt0(lambda: 2 * control0(lambda k: k(10))))
    21
    """
    tag = DEFAULT if tag is None else tag if type(tag) is PromptTag else check_tag(tag)
    result = operate(PUSH, tag, thunk, None)
    return operate_in_new_fiber(PUSH, tag, thunk, None) if result is GATE else result


def reset(thunk: Callable[[], Any], tag: PromptTag | None = None) -> Any:
    """`prompt`, by the name that it has beside `shift`.

    (Danvy and Filinski's ``reset``.)

    >>> from stackful import reset, shift
    >>> reset(lambda: "a" + shift(lambda k: k(k("b"))))
    'aab'
    """
    tag = DEFAULT if tag is None else tag if type(tag) is PromptTag else check_tag(tag)
    result = operate(PUSH, tag, thunk, None)
    return operate_in_new_fiber(PUSH, tag, thunk, None) if result is GATE else result


def reset0(thunk: Callable[[], Any], tag: PromptTag | None = None) -> Any:
    """`prompt`, by the name that it has beside `shift0`.

    (Materzok and Biernacki's ``reset0``.)

    >>> from stackful import reset0, shift0
    >>> reset0(lambda: "a" + reset0(lambda: shift0(lambda k: shift0(lambda j: "b"))))
    'b'
    """
    tag = DEFAULT if tag is None else tag if type(tag) is PromptTag else check_tag(tag)
    result = operate(PUSH, tag, thunk, None)
    return operate_in_new_fiber(PUSH, tag, thunk, None) if result is GATE else result


def run(main: Callable[[], _T]) -> _T:
    """Call ``main()`` as a program whose continuation can be captured: a prompt with the default tag.

    ``python -m stackful program.py`` does it for a script. (What Racket's read-eval-print loop puts around each form.)

    >>> from stackful import call_cc, run
    >>> run(lambda: 1 + call_cc(lambda k: 10 * k(1)))
    2
    """
    result = operate(PUSH, DEFAULT, main, None)
    return operate_in_new_fiber(PUSH, DEFAULT, main, None) if result is GATE else result  # type: ignore[no-any-return]


def abort(tag: PromptTag | None = None, value: object = None) -> Any:
    """Leave the frames up to the nearest prompt with `tag`; `value` is what that prompt returns.

    By an exception of its own kind (no `Exception`), so that ``finally`` blocks run and context managers end; it passes fibers and C
    code in between. `PromptNotFoundError` when there is no such prompt. (Racket's ``abort-current-continuation``.)

    >>> from stackful import abort, prompt
    >>> prompt(lambda: [abort(None, "out"), print("never")])
    'out'
    """
    tag = DEFAULT if tag is None else tag
    if not isinstance(tag, PromptTag):
        raise TypeError(f"a tag is a PromptTag, not {tag!r}: abort(tag, value), abort(None, value) for the default tag")
    for item in _core.prompts():
        if item is tag:
            raise Abort(tag, value)
    raise prompt_not_found(tag)


class EscapeContinuation:
    """What `call_ec` gives to its function: the way out of it."""

    __slots__ = ("_tag",)

    def __init__(self, tag: PromptTag) -> None:
        self._tag = tag

    def escape(self, value: object = None) -> Any:
        """Leave the `call_ec` that made this, which returns `value`; never returns."""
        for item in _core.prompts():
            if item is self._tag:
                raise Abort(self._tag, value)
        raise PromptNotFoundError(
            "this escape continuation is over: call_ec() has returned, or was left; use call_cc() to come back later"
        )


def call_ec(f: Callable[[Callable[..., Any]], Any]) -> Any:
    """Call ``f(k)``: ``k(value)`` leaves it at once, from any depth, and `call_ec` returns `value`.

    By an exception, as `abort`: ``finally`` blocks run. Once `call_ec` has returned, `k` raises `PromptNotFoundError`. (Racket's
    ``call-with-escape-continuation``; ``return`` that works in nested functions.)

    >>> from stackful import call_ec
    >>> call_ec(lambda out: [out(x) for x in [1, 0, 2] if x == 0])
    0
    """
    tag = PromptTag("call_ec")
    k = EscapeContinuation(tag).escape
    return prompt(lambda: f(k), tag)


def barrier(thunk: Callable[[], _T]) -> _T:
    """Call ``thunk()`` so that nothing in it is captured or suspended across this call, and nothing outside is jumped to.

    Escapes (`abort`, `call_ec`, exceptions) pass; prompts inside of it are as usual. (Racket's
    ``call-with-continuation-barrier``.)

    >>> from stackful import Fiber, barrier, is_suspendable
    >>> Fiber(lambda: barrier(is_suspendable)).resume()
    False
    """
    return _core.barrier(thunk)  # type: ignore[no-any-return]
