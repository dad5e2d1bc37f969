"""Questions to a person: what is to be filled in, as JSON, and whether an answer fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Field", "checked_answer", "is_answer", "question_of"]

_KINDS: dict[Any, str] = {str: "text", int: "number", float: "number", bool: "yes/no"}
_FIELDS = ("text", "number", "yes/no", "choice")


@dataclass(slots=True)
class Field:
    """One thing to be filled in.

    Attributes:
        kind: "text", "number", "yes/no" or "choice".
        label: what stands beside it; by default its name.
        choices: texts, of which one is chosen.
        default: what stands there at first.
        required: whether it may be left out.
    """

    kind: str = "text"
    label: str = ""
    choices: tuple[str, ...] = ()
    default: Any = None
    required: bool = True

    def __post_init__(self) -> None:
        """Refuse kinds that nobody could fill in."""
        if self.kind not in _FIELDS:
            raise ValueError(f"a field is one of {', '.join(_FIELDS)}; not {self.kind!r}")
        if self.kind == "choice" and not self.choices:
            raise ValueError('a field of the kind "choice" has choices, of which there are none')

    def problem(self, value: Any) -> str | None:
        """Why a value does not fit, or None.

        >>> Field("choice", choices=("S", "M")).problem("L")
        "'L' is none of S, M"
        """
        if value is None:
            return "is missing" if self.required else None
        if self.kind == "choice":
            return None if value in self.choices else f"{value!r} is none of {', '.join(self.choices)}"
        if self.kind == "yes/no":
            return None if isinstance(value, bool) else f"{value!r} is neither true nor false"
        if self.kind == "number":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return None if is_number else f"{value!r} is no number"
        return None if isinstance(value, str) else f"{value!r} is no text"


def question_of(text: str, form: Mapping[str, Any] | None, number: int) -> tuple[str, str]:
    """A question as JSON, and the name of the signal that answers it. Each has another name: a late answer answers no later question.

    >>> question_of("Ship it?", None, 7)[1]
    'ask-7'
    """
    fields = (
        {"answer": Field("yes/no")} if form is None else {name: _field(name, given) for name, given in form.items()}
    )
    name = f"ask-{number}"
    shown = [{"name": field_name, **asdict(field)} for field_name, field in fields.items()]
    return json.dumps({"text": text, "signal": name, "fields": shown}), name


def _field(name: str, given: Any) -> Field:
    if isinstance(given, Field):
        return given
    if given in _KINDS if isinstance(given, type) else False:
        return Field(_KINDS[given])
    if isinstance(given, list | tuple) and given and all(isinstance(choice, str) for choice in given):
        return Field("choice", choices=tuple(given))
    raise TypeError(f"field {name!r}: {given!r} is none of str, int, float, bool, a list of texts, Field")


def checked_answer(question: str, answer: Any) -> dict[str, Any]:
    """An answer that fits the question; what was left out has its default.

    Raises:
        ValueError: it does not; the message names each field.

    >>> text, _ = question_of("How many?", {"count": int}, 1)
    >>> checked_answer(text, {"count": 3})
    {'count': 3}
    >>> checked_answer(text, {"cuont": "3"})
    Traceback (most recent call last):
    ValueError: the answer does not fit the question 'How many?': count is missing; cuont is not asked for
    """
    asked = json.loads(question)
    if not isinstance(answer, Mapping):
        raise ValueError(f"an answer to {asked['text']!r} is a mapping of names to values, not {answer!r}")
    fields = {
        f["name"]: Field(f["kind"], f["label"], tuple(f["choices"]), f["default"], f["required"])
        for f in asked["fields"]
    }
    filled = {name: answer.get(name, field.default) for name, field in fields.items()}
    problems = [f"{name} {why}" for name, field in fields.items() if (why := field.problem(filled[name]))]
    problems += [f"{name} is not asked for" for name in answer if name not in fields]
    if problems:
        raise ValueError(f"the answer does not fit the question {asked['text']!r}: {'; '.join(problems)}")
    return filled


def is_answer(question: str, answer: Any) -> bool:
    """Whether it fits."""
    try:
        checked_answer(question, answer)
    except ValueError:
        return False
    return True
