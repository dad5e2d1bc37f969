"""What is made of functions and classes: caches, keys, descriptors, views of classes."""

from __future__ import annotations

import functools
import gc
from types import (
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS"]

_CACHED = type(functools.lru_cache(len))
_KEY: Any = type(functools.cmp_to_key(max))
_KEY_OF_C = _KEY.__module__ == "functools" and bool(_KEY.__flags__ & 1 << 8)


def _reduce_cached(pickler: Any, cached: Any) -> Any:
    """What `functools.lru_cache` makes: one of a module by its name, another one anew, and empty."""
    if pickler.is_importable(cached):
        return NotImplemented
    options = cached.cache_parameters()
    members = {name: value for name, value in vars(cached).items() if name != "cache_parameters"}
    return cached_function, (options,), members, None, None, fill_cached_function


def cached_function(options: dict[str, Any]) -> Any:
    """A function whose results are remembered; which function comes later, for it may refer to this."""
    box: list[Any] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        return box[0](*args, **kwargs)

    cached = functools.lru_cache(options["maxsize"], options["typed"])(call)
    vars(cached)["__wrapped__"] = box
    return cached


def fill_cached_function(cached: Any, members: dict[str, Any]) -> None:
    """The function, and what has been set on the one that remembers."""
    cached.__wrapped__.append(members["__wrapped__"])
    vars(cached).update(members)


def _reduce_partial_method(_: Any, partial: functools.partialmethod[Any]) -> Any:
    return partial_method, (partial.func, partial.args, partial.keywords)


def partial_method(function: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """A method with some arguments given, that is in no class yet."""
    return functools.partialmethod(function, *args, **keywords)


def _reduce_key(_: Any, key: Any) -> Any:
    """What `functools.cmp_to_key` makes: the class of keys, so to say, or a key."""
    compare, *value = [held for held in gc.get_referents(key) if held is not _KEY]
    return compared_key, (compare, *value)


def compared_key(compare: Any, *value: Any) -> Any:
    """A key that is compared by a function."""
    key = functools.cmp_to_key(compare)
    return key(*value) if value else key


def _reduce_descriptor(_: Any, found: Any) -> Any:
    return descriptor, (found.__objclass__, found.__name__)


def descriptor(cls: type, name: str) -> Any:
    """A method, slot or attribute of a class made in C, as it stands in the class."""
    return vars(cls)[name]


def _reduce_super(_: Any, proxy: Any) -> Any:
    # Asked of `super` itself: each attribute of the object is looked up further on.
    parts = [super.__getattribute__(proxy, name) for name in ("__thisclass__", "__self__")]
    return super, (parts[0],) if parts[1] is None else tuple(parts)


def _reduce_property(_: Any, made: property) -> Any:
    return property_of, (made.fget, made.fset, made.fdel, made.__doc__, getattr(made, "__name__", None))


def property_of(fget: Any, fset: Any, fdel: Any, doc: str | None, name: str | None) -> property:
    """A property that is in no class yet."""
    made = property(fget, fset, fdel, doc)
    if name is not None and hasattr(made, "__set_name__"):
        made.__set_name__(object, name)
    return made


def _reduce_wrapper(_: Any, wrapper: Any) -> Any:
    return type(wrapper), (wrapper.__func__,), {k: v for k, v in vars(wrapper).items() if k not in _OF_FUNCTION} or None


_DESCRIPTORS = (
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
_OF_FUNCTION = (*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "__doc__", "__annotate__")


def _reduce_proxy(_: Any, proxy: MappingProxyType[Any, Any]) -> Any:
    """A read-only view; that of a class is the class's."""
    (mapping,) = gc.get_referents(proxy)
    cls = getattr(proxy.get("__dict__"), "__objclass__", None)
    if isinstance(cls, type) and cls.__dict__ == proxy:
        return class_dict, (cls,)
    return MappingProxyType, (mapping,)


def class_dict(cls: type) -> Any:
    """The ``__dict__`` of a class."""
    return cls.__dict__


REDUCERS: dict[type, Any] = {
    _CACHED: _reduce_cached,
    **dict.fromkeys(_DESCRIPTORS, _reduce_descriptor),
    super: _reduce_super,
    functools.partialmethod: _reduce_partial_method,
    property: _reduce_property,
    staticmethod: _reduce_wrapper,
    classmethod: _reduce_wrapper,
    MappingProxyType: _reduce_proxy,
    **({_KEY: _reduce_key} if _KEY_OF_C else {}),
}
REBUILDERS = (cached_function, fill_cached_function, partial_method, compared_key, descriptor, property_of, class_dict)
