"""Random numbers: the generator behind the functions of `random` is each process's own, and one that asks the system has no state."""

from __future__ import annotations

import random
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS"]

_OF_MODULE: Any = random.random.__self__  # type: ignore[attr-defined]


def _reduce_random(_: Any, generator: random.Random) -> Any:
    return (module_generator, ()) if generator is _OF_MODULE else NotImplemented


def module_generator() -> random.Random:
    """The generator behind `random.random` and its kin; a durable run brings its state along."""
    generator: random.Random = _OF_MODULE
    return generator


def _reduce_system(_: Any, __: Any) -> Any:
    return random.SystemRandom, ()


REDUCERS: dict[type, Any] = {random.Random: _reduce_random, random.SystemRandom: _reduce_system}
REBUILDERS = (module_generator,)
