"""Type variables: those of modules by their name, others by what they were made of."""

from __future__ import annotations

import sys
import typing
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS"]


def _reduce_variable(pickler: Any, variable: Any) -> Any:
    shared = pickler.share(variable)
    if shared is not None:
        return shared
    if (
        getattr(sys.modules.get(variable.__module__), variable.__name__, None) is variable
        or type(variable) is typing.TypeVar
    ):
        return NotImplemented  # the latter is cloudpickle's
    options = {name: getattr(variable, f"__{name}__") for name in _OPTIONS if hasattr(variable, f"__{name}__")}
    return type_variable, (type(variable).__name__, variable.__name__, options)


_OPTIONS = ("bound", "covariant", "contravariant", "infer_variance")


def type_variable(kind: str, name: str, options: dict[str, Any]) -> Any:
    """A ParamSpec or TypeVarTuple."""
    if kind not in ("ParamSpec", "TypeVarTuple"):
        raise ValueError(f"there are no type variables {kind!r}")
    return getattr(typing, kind)(name, **options)


REDUCERS: dict[type, Any] = dict.fromkeys((typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple), _reduce_variable)
REBUILDERS = (type_variable,)
