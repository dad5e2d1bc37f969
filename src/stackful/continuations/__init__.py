"""Continuations: prompts, what is captured up to them, winders and barriers.

`prompts` delimits, `captures` takes frames, `winders` guards what is entered and left, `tags` and `missing` name prompts. All are made of
the operations in `stackful.fibers.operations`; frames move in the core (csrc/control.c).
"""

from __future__ import annotations

from stackful.continuations.captures import (
    ComposableContinuation,
    Continuation,
    call_cc,
    control,
    control0,
    shift,
    shift0,
)
from stackful.continuations.prompts import (
    EscapeContinuation,
    abort,
    barrier,
    call_ec,
    prompt,
    prompt0,
    reset,
    reset0,
    run,
)
from stackful.continuations.tags import PromptTag
from stackful.continuations.winders import dynamic_wind

__all__ = [
    "ComposableContinuation",
    "Continuation",
    "EscapeContinuation",
    "PromptTag",
    "abort",
    "barrier",
    "call_cc",
    "call_ec",
    "control",
    "control0",
    "dynamic_wind",
    "prompt",
    "prompt0",
    "reset",
    "reset0",
    "run",
    "shift",
    "shift0",
]
