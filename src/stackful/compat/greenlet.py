"""greenlet's Python interface, over fibers: ``sys.modules["greenlet"] = stackful.compat.greenlet`` runs programs written for it.

A greenlet is a fiber, but for the main one of each thread, which is the code that runs in no greenlet. A switch between two greenlets is a
`transfer`; to the main one, a `suspend`; from the main one, a `resume`, which also comes to know that a greenlet has ended, and goes on with
its parent. Where C code waits in a greenlet, its C stack is kept; where none does, only frames are.

Not here: greenlet's C interface. docs/greenlet.md lists what else differs. (The greenlet project: its documentation and its tests.)
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from contextvars import Context
from types import FrameType, TracebackType
from typing import Any, Literal, NoReturn, Self, TypeAlias
from weakref import ref

from stackful import _core
from stackful.coroutines import transfer
from stackful.errors import FiberExit
from stackful.fibers import Fiber, suspend

__all__ = [
    "GREENLET_USE_CONTEXT_VARS",
    "GREENLET_USE_GC",
    "GREENLET_USE_TRACING",
    "GreenletExit",
    "error",
    "getcurrent",
    "gettrace",
    "greenlet",
    "settrace",
]

__version__ = "3.5.6"
"""The version of greenlet whose interface this is."""

GREENLET_USE_GC = True
GREENLET_USE_TRACING = True
GREENLET_USE_CONTEXT_VARS = True

_Event: TypeAlias = Literal["switch", "throw"]
_Tracer: TypeAlias = Callable[[_Event, "tuple[greenlet, greenlet]"], object]


class error(Exception):  # noqa: N801 - greenlet's name
    """A switch that is not possible: to a greenlet of another thread, for instance."""


class GreenletExit(BaseException):
    """Raised in a greenlet that is to end: by ``throw()``, and when nobody refers to it any more. Its parent gets it as a value."""


class _State(enum.Enum):
    NEW = "pending"
    STARTED = "active started"
    MAIN = "active started main"
    DEAD = "dead"


class _Home:
    """What a thread knows about its greenlets."""

    __slots__ = ("base", "current", "dropped", "event", "main", "thread", "thrown", "tracer")

    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self.main = self.current = self.base = _main_of(self)  # base: the one that resumes the others
        self.thrown: BaseException | None = (
            None  # on its way: no local variable holds it, for its traceback holds those
        )
        self.tracer: _Tracer | None = None
        self.event: tuple[_Event, tuple[greenlet, greenlet]] | None = None  # the tracer hears of it on arrival
        self.dropped: list[greenlet] = []  # by other threads, and to be ended in this one

    def take(self) -> BaseException:
        """The exception that is on its way, and is to be raised now."""
        thrown, self.thrown = self.thrown, None
        assert thrown is not None
        return thrown


_local = threading.local()
_NOTHING: Any = object()


def _home() -> _Home:
    try:
        home: _Home = _local.home
    except AttributeError:
        home = _local.home = _Home()
    if home.dropped:
        _Ending(home.dropped.pop())
    return home


class _Ending:
    """Ends a greenlet when it is dropped, at once: so errors are reported as a finaliser's are, and not raised in whoever asks for his home."""

    __slots__ = ("_greenlet",)

    def __init__(self, greenlet: greenlet) -> None:
        self._greenlet = greenlet

    def __del__(self) -> None:
        self._greenlet.__del__()


def _main_of(home: _Home) -> greenlet:
    main = object.__new__(greenlet)
    main._home, main._state = home, _State.MAIN
    main._parent = main._fiber = main._context = None
    return main


class greenlet:  # noqa: N801 - greenlet's name
    """A function that others switch to, and that switches to others.

    ``greenlet(run, parent)``: the first `switch` calls `run` with its arguments; `parent`, by default the current greenlet, goes on when
    it has ended, with its result or exception.

    >>> from stackful.compat.greenlet import getcurrent, greenlet
    >>> def double(x):
    ...     while True:
    ...         x = getcurrent().parent.switch(2 * x)
    >>> doubler = greenlet(double)
    >>> doubler.switch(4), doubler.switch(21)
    (8, 42)
    """

    __slots__ = ("__dict__", "__weakref__", "_context", "_fiber", "_home", "_parent", "_run", "_state")
    _home: _Home
    _state: _State
    _parent: greenlet | None
    _fiber: Fiber | None
    _context: Context | None
    _run: Any

    GreenletExit = GreenletExit
    error = error

    @staticmethod
    def getcurrent() -> greenlet:
        """As the function of that name."""
        return _home().current

    @staticmethod
    def settrace(tracer: _Tracer | None) -> _Tracer | None:
        """As the function of that name."""
        return settrace(tracer)

    @staticmethod
    def gettrace() -> _Tracer | None:
        """As the function of that name."""
        return _home().tracer

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """A child of the current greenlet, whatever __init__ makes of the arguments."""
        self = object.__new__(cls)
        self._home = _home()
        self._parent = self._home.current
        self._state = _State.NEW
        self._fiber = self._context = None
        return self

    def __init__(self, run: Any = _NOTHING, parent: greenlet | None = None) -> None:
        if run is not _NOTHING:
            self.run = run
        if parent is not None:
            self.parent = parent

    # ---- switching

    def switch(self, *args: Any, **kwargs: Any) -> Any:
        """Go on with this greenlet, which gets the arguments; return what the next switch to the current one is given.

        One positional argument comes as itself, several as a tuple, keywords as a dict, both as a pair. A dead greenlet stands for its
        parent. `error`: it belongs to another thread.
        """
        home = self._check_thread()
        target, value = _receiver(home, self, args, kwargs)
        return _go(home, target, value)

    def throw(self, kind: Any = GreenletExit, value: Any = None, traceback: TracebackType | None = None, /) -> Any:
        """Go on with this greenlet by raising an exception in it. One that has not begun dies of it, and its parent gets it."""
        home = self._check_thread()
        if self._state is _State.NEW:
            self.run  # noqa: B018 - AttributeError where there is none
        home.thrown = _exception(kind, value, traceback)
        try:
            del kind, value
            target, value = _receiver(home, self, (), {})
            return _go(home, target, value)
        finally:
            home.thrown = None  # else it is on its way still, where an interrupt has come

    def _check_thread(self) -> _Home:
        home = _home()
        if self._home is home:
            return home
        home.thrown = None
        if not self._home.thread.is_alive():
            raise error("cannot switch to a different thread (which happens to have exited)")
        raise error(
            f"Cannot switch to a different thread\n\tCurrent:  {home.thread!r}\n\tExpected: {self._home.thread!r}"
        )

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Make the fiber. False: while `run` was looked up, somebody else has done it."""
        run = self.run
        if self._state is not _State.NEW:
            return False
        if self._home.tracer is not None:
            self._fiber = Fiber(_run_traced, self._home, run, args, kwargs)
        else:
            self._fiber = Fiber(run, *args, **kwargs)
        _core.own_context(self._fiber)
        self._fiber.context = self._context
        self._context = None
        self._state = _State.STARTED
        if hasattr(self, "_run"):
            del self._run
        return True

    def _check_parent(self) -> None:
        """Looking `run` up may have changed it."""
        if self._parent is not None and self._parent._home is not self._home:
            self._die()
            self._parent._check_thread()

    def _die(self) -> None:
        if self._fiber is not None:
            self._context = self._fiber.context
        self._fiber = None
        self._state = _State.DEAD

    def __del__(self) -> None:
        if getattr(self, "_state", None) is not _State.STARTED:
            return
        home = self._home
        if self._fiber is not None and not _goes_on(self):  # the collector has closed it, in another thread
            self._die()
            return
        if getattr(_local, "home", None) is not home:
            if home.thread.is_alive():
                home.dropped.append(self)
            return
        parent, base, thrown = self._parent, home.base, home.thrown  # something else may be on its way
        try:
            self._parent = home.base = home.current  # where it goes on here, whatever waits for it there
            home.thrown = GreenletExit()
            _drive(home, self, None)
        finally:
            self._parent, home.base, home.thrown = parent, base, thrown

    # ---- what it tells about itself

    @property
    def run(self) -> Any:
        """The function, until the greenlet begins."""
        if self._state is not _State.NEW or not hasattr(self, "_run"):
            raise AttributeError("run")
        return self._run

    @run.setter
    def run(self, run: Any) -> None:
        if self._state is not _State.NEW:
            raise AttributeError("run cannot be set after the start of the greenlet")
        self._run = run

    @run.deleter
    def run(self) -> None:
        if self._state is not _State.NEW:
            raise AttributeError("run cannot be set after the start of the greenlet")
        del self._run

    @property
    def parent(self) -> greenlet | None:
        """Who goes on when this greenlet has ended; None for a main one."""
        return self._parent

    @parent.setter
    def parent(self, parent: greenlet) -> None:
        if not isinstance(parent, greenlet):
            raise TypeError(f"GreenletChecker: Expected any type of greenlet, not {type(parent).__name__}")
        if self._state is _State.MAIN:
            raise AttributeError("cannot set the parent of a main greenlet")
        outer: greenlet | None = parent
        while outer is not None:
            if outer is self:
                raise ValueError("cyclic parent chain")
            outer = outer._parent
        if parent._home is not self._home and parent._state is not _State.DEAD and parent._home.thread.is_alive():
            raise ValueError("parent cannot be on a different thread")
        self._parent = parent

    @parent.deleter
    def parent(self) -> NoReturn:
        raise AttributeError("can't delete attribute")

    @property
    def dead(self) -> bool:
        """Has it ended, or its thread?"""
        return self._state is _State.DEAD or (self._state is not _State.NEW and not self._home.thread.is_alive())

    def __bool__(self) -> bool:
        return self._state in {_State.STARTED, _State.MAIN} and not self.dead

    @property
    def gr_frame(self) -> FrameType | None:
        """The frame that waits in it; None while it runs, before, and afterwards."""
        frame = None if self._fiber is None or self._home.current is self else _core.frame_object(self._fiber)
        while frame is not None and frame.f_globals.get("__name__", "").startswith("stackful."):
            frame = frame.f_back
        return frame

    @property
    def gr_context(self) -> Context | None:
        """The contextvars.Context that it runs in; None until it has one."""
        if self._home.current is self:
            self._check_context()
            return _core.thread_context()
        return self._fiber.context if self._fiber is not None else self._context

    @gr_context.setter
    def gr_context(self, context: Context | None) -> None:
        if context is not None and not isinstance(context, Context):
            raise TypeError(f"greenlet context must be a contextvars.Context or None, not {type(context).__name__}")
        if self._home.current is self:
            self._check_context()
        if self._fiber is not None:
            self._fiber.context = context
        else:
            self._context = context

    @gr_context.deleter
    def gr_context(self) -> NoReturn:
        raise AttributeError("can't delete context attribute")

    def _check_context(self) -> None:
        if getattr(_local, "home", None) is not self._home:
            raise ValueError("cannot get or set the context of a greenlet that is running in a different thread")

    @property
    def _stack_saved(self) -> int:
        """C stacks are not copied here: 0."""
        return 0

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"cannot copy or pickle {self!r}: make a stackful.Fiber of its function, which can be")

    def __repr__(self) -> str:
        state = self._state.value
        if self.dead:
            state = "dead" if self._state is _State.DEAD else "(thread exited) dead"
        elif self._state is not _State.NEW:
            is_current = self._home.current is self and getattr(_local, "home", None) is self._home
            state = f"{'current' if is_current else 'suspended'} {state}"
        kind = type(self)
        return f"<{kind.__module__}.{kind.__qualname__} object at {id(self):#x} (otid={self._home.thread.ident or 0:#x}) {state}>"


# ---- who goes on ----------------------------------------------------------------------------------


def _packed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs:
        return (args, kwargs) if args else kwargs
    return args[0] if len(args) == 1 else args


def _exception(kind: Any, value: Any, traceback: TracebackType | None) -> BaseException:
    if traceback is not None and not isinstance(traceback, TracebackType):
        raise TypeError("throw() third argument must be a traceback object")
    if isinstance(kind, BaseException):
        if value is not None:
            raise TypeError("instance exception may not have a separate value")
        thrown = kind
    elif isinstance(kind, type) and issubclass(kind, BaseException):
        if isinstance(value, kind):
            thrown = value
        else:
            thrown = kind() if value is None else kind(*value) if isinstance(value, tuple) else kind(value)
    else:
        raise TypeError(f"exceptions must be classes, or instances, not {type(kind).__name__}")
    return thrown if traceback is None else thrown.with_traceback(traceback)


def _receiver(home: _Home, target: greenlet, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[greenlet, Any]:
    """Who gets what is sent to `target`, and the value: that greenlet, or if it is dead its parent, and so on.

    One that has not begun is made to, or dies of what is thrown.
    """
    while True:
        if target._state is _State.STARTED or target._state is _State.MAIN:
            return target, _packed(args, kwargs)
        if target._state is _State.NEW and home.thrown is None:
            try:
                begun = target._begin(args, kwargs)
            except BaseException as failed:  # noqa: BLE001 - the parent gets it
                home.thrown = failed
            else:
                target._check_parent()
                if begun:
                    return target, None
                continue
        elif target._state is _State.NEW:
            target._die()
        if isinstance(home.thrown, GreenletExit | FiberExit):
            args, kwargs = (home.take(),), {}
        assert target._parent is not None
        target = target._parent
        target._check_thread()


def _run_traced(home: _Home, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _tell(home)
    return run(*args, **kwargs)


def _tell(home: _Home) -> None:
    """On arrival: the tracer hears where from. Where it raises it hears no more."""
    event, home.event = home.event, None
    if home.tracer is not None and event is not None:
        try:
            home.tracer(*event)
        except BaseException:
            home.tracer = None
            raise


def _go(home: _Home, target: greenlet, value: Any) -> Any:
    """Switch. While the current greenlet waits here, nothing here refers to it: dropped, it is to be ended."""
    if home.current is target:
        if home.thrown is not None:
            raise home.take()
        return value
    if home.tracer is not None:
        home.event = "switch" if home.thrown is None else "throw", (home.current, target)
    if home.current is home.base:
        return _drive(home, target, value)
    origin = ref(home.current)
    try:
        home.current = target
        if target is home.base:
            return suspend(value)
        if target._fiber is None:
            raise error(f"cannot switch to {target!r}: it waits for a greenlet that is being ended")
        if home.thrown is not None:
            return transfer(target._fiber, None, home.take())
        return transfer(target._fiber, value)
    finally:
        if home.current is target:  # it was not possible
            home.current = origin() or home.main
        if home.event is not None:
            _tell(home)


def _drive(home: _Home, target: greenlet, value: Any) -> Any:
    """Switch from the greenlet that resumes the others, until it is switched to again."""
    base = home.current
    try:
        while target is not base:
            home.current = target
            fiber = target._fiber
            assert fiber is not None
            try:
                value = fiber.resume(value) if home.thrown is None else fiber.throw(home.take())
            except BaseException as raised:
                if home.current is not base and _goes_on(home.current):
                    raise  # an interrupt has come before it did
                value, home.thrown = None, raised  # for its parent
            target = home.current
            if target is not base:
                target, value = _after(home, target, value)
        home.current = base
        if home.event is not None:
            _tell(home)
        if home.thrown is not None:
            raise home.take()
        return value
    finally:
        last, home.current, home.thrown = home.current, base, None
        if last._state is _State.STARTED and last is not base and not _goes_on(last):  # an interrupt has come
            last._die()
        del value  # it may be an exception, whose traceback refers to this frame


def _goes_on(one: greenlet) -> bool:
    return one._fiber is not None and one._fiber.status != "dead"


def _after(home: _Home, ended: greenlet, value: Any) -> tuple[greenlet, Any]:
    """A fiber has come out that did not say to whom: it has ended, and its parent goes on."""
    if _goes_on(ended):
        home.thrown = error(f"suspend() in {ended!r}: greenlets switch")
        return ended, None
    ended._die()
    if isinstance(home.thrown, GreenletExit | FiberExit):
        value = home.take()
    assert ended._parent is not None
    thrown = home.thrown is not None
    target, value = _receiver(home, ended._parent, (value,), {})
    if home.tracer is not None:
        home.event = "throw" if thrown else "switch", (ended, target)
    return target, value


# ---- greenlet's functions ----------------------------------------------------------------------------


def getcurrent() -> greenlet:
    """The greenlet that runs this code; in code that none runs, the thread's main one."""
    return _home().current


def settrace(tracer: _Tracer | None) -> _Tracer | None:
    """Have ``tracer(event, (origin, target))`` called at each switch of this thread, on arrival; return who was before.

    The event is "switch" or "throw". None: nobody. A tracer that raises is called no more.
    """
    home = _home()
    before, home.tracer = home.tracer, tracer
    return before


def gettrace() -> _Tracer | None:
    """Who was given to `settrace`."""
    return _home().tracer
