"""Context variables, contexts, and the tokens that undo a change."""

from __future__ import annotations

import contextvars
import gc
import importlib
import sys
from contextvars import Context, ContextVar, Token
from typing import Any

from stackful import _core
from stackful.fibers.portable import SCRIPTS

__all__ = ["REBUILDERS", "REDUCERS"]

_DECIMAL = "decimal_context"  # of _decimal, which gives it to nobody


def _name_of(variable: ContextVar[Any]) -> tuple[str, str] | None:
    """The module and the name that lead to a variable: a context variable does not tell."""
    for module, loaded in list(sys.modules.items()):
        namespace = getattr(loaded, "__dict__", None)
        if type(namespace) is dict and module not in SCRIPTS:
            name = next((name for name, value in list(namespace.items()) if value is variable), None)
            if name is not None:
                return module, name
    return None


_names: dict[int, tuple[ContextVar[Any], str, str]] = {}


def _known_name(variable: ContextVar[Any]) -> tuple[str, str] | None:
    """As `_name_of`, which looks at all modules."""
    known = _names.get(id(variable))
    if known is not None and getattr(sys.modules.get(known[1]), known[2], None) is variable:
        return known[1:]
    found = _name_of(variable)
    if found is not None:
        _names[id(variable)] = (variable, *found)
    return found


def _reduce_variable(pickler: Any, variable: ContextVar[Any]) -> Any:
    """One of a module is that module's; one of the program itself travels, with its default."""
    shared = pickler.share(variable)
    if shared is not None:
        return shared
    if variable.name == _DECIMAL and variable is _decimal_variable():
        return decimal_variable, ()
    name = _known_name(variable)
    if name is not None:
        return getattr, (sys.modules[name[0]], name[1])
    default = gc.get_referents(variable)[1:]
    return context_variable, (variable.name, *default)


def context_variable(name: str, *default: Any) -> ContextVar[Any]:
    """A variable of the program's own."""
    return ContextVar(name, default=default[0]) if default else ContextVar(name)


def _decimal_variable() -> ContextVar[Any] | None:
    return next((variable for variable in contextvars.copy_context() if variable.name == _DECIMAL), None)


def decimal_variable() -> ContextVar[Any]:
    """The variable that holds the context of decimal numbers."""
    context = Context()
    context.run(importlib.import_module("decimal").getcontext)
    return next(iter(context))


def _reduce_context(_: Any, context: Context) -> Any:
    return Context, (), list(context.items()), None, None, fill_context


def fill_context(context: Context, items: list[tuple[ContextVar[Any], Any]]) -> None:
    """The values of a context's variables."""
    for variable, value in items:
        context.run(variable.set, value)


def _reduce_token(_: Any, token_: Token[Any]) -> Any:
    context, before, used = _core.token_state(token_)
    here = context is _core.thread_context()
    return token, (token_.var,), (None if here else context, before, used), None, None, fill_token


def token(variable: ContextVar[Any]) -> Token[Any]:
    """A token of a variable, still of no context."""
    made: Token[Any] = Context().run(variable.set, None)
    return made


def fill_token(made: Token[Any], state: tuple[Context | None, Any, bool]) -> None:
    """The context whose change a token undoes: that of whoever loads where it was that of whoever saved."""
    context, before, used = state
    if context is None:
        context = _current()
    _core.fill_token(made, context, before, used)


def _current() -> Context:
    """The context of this thread itself, not a copy."""
    found = _core.thread_context()
    if found is None:
        ContextVar[None]("first").set(None)  # until then a thread has none
        found = _core.thread_context()
    assert found is not None
    return found


def _reduce_missing(_: Any, __: Any) -> Any:
    return getattr, (Token, "MISSING")


REDUCERS: dict[type, Any] = {
    ContextVar: _reduce_variable,
    Context: _reduce_context,
    Token: _reduce_token,
    type(Token.MISSING): _reduce_missing,
}
REBUILDERS = (context_variable, decimal_variable, fill_context, token, fill_token)
