"""Weak references: they hold nothing afterwards either. What only they referred to is gone once the snapshot is loaded."""

from __future__ import annotations

import gc
import weakref
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS"]


def _reduce_ref(_: Any, ref: weakref.ref[Any]) -> Any:
    target = ref()
    return (dead_reference, ()) if target is None else (weakref.ref, (target, ref.__callback__))


class _Gone:
    """Of which nothing is left."""

    def __call__(self) -> None:
        """Some proxies are callable."""

    def method(self) -> None:
        """Of an object that is gone."""


class _GoneValue:
    """The same, of what cannot be called."""


def dead_reference() -> Any:
    """A reference to what is gone."""
    return weakref.ref(_Gone())


def _reduce_proxy(_: Any, proxy: Any) -> Any:
    callback = next(iter(gc.get_referents(proxy)), None)
    try:
        # Each attribute of a proxy is its object's; those of a class are not bound.
        bound = proxy.__reduce_ex__
        target = bound.__self__ if hasattr(bound, "__self__") else proxy.__mro__[0]
    except ReferenceError:
        return dead_proxy, (isinstance(proxy, weakref.CallableProxyType),)
    return weakref.proxy, (target, callback)


def dead_proxy(is_callable: bool) -> Any:
    """A proxy of what is gone."""
    return weakref.proxy(_Gone() if is_callable else _GoneValue())


def _reduce_method(_: Any, method: weakref.WeakMethod[Any]) -> Any:
    target = method()
    if target is None:
        return dead_method, ()
    inner: Any = method.__callback__  # v3.13.0 Lib/weakref.py, WeakMethod.__new__: it calls the one that was given
    closure = dict(zip(inner.__code__.co_freevars, inner.__closure__, strict=True))
    return weakref.WeakMethod, (target, closure["callback"].cell_contents)


def dead_method() -> Any:
    """A method of what is gone."""
    return weakref.WeakMethod(_Gone().method)


def _reduce_dict(_: Any, mapping: Any) -> Any:
    """By what is in it now; the references are made anew."""
    return type(mapping), (), None, None, iter(list(mapping.items()))


def _reduce_finalizer(_: Any, finalizer: weakref.finalize[Any, Any]) -> Any:
    held = finalizer.peek()
    if held is None:
        return dead_finalizer, ()
    return live_finalizer, (*held, finalizer.atexit)


def live_finalizer(target: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], at_exit: bool) -> Any:
    """A finalizer that is still to be called."""
    finalizer = weakref.finalize(target, function, *args, **kwargs)
    finalizer.atexit = at_exit
    return finalizer


def dead_finalizer() -> Any:
    """A finalizer that has been called, or detached."""
    finalizer = weakref.finalize(live_finalizer, len, ())
    finalizer.detach()
    return finalizer


REDUCERS: dict[type, Any] = {
    weakref.ref: _reduce_ref,
    weakref.ProxyType: _reduce_proxy,
    weakref.CallableProxyType: _reduce_proxy,
    weakref.WeakMethod: _reduce_method,
    weakref.WeakKeyDictionary: _reduce_dict,
    weakref.WeakValueDictionary: _reduce_dict,
    weakref.finalize: _reduce_finalizer,
}
REBUILDERS = (dead_reference, dead_proxy, dead_method, live_finalizer, dead_finalizer)
