"""A language of prompts and captures, and a machine for it that knows nothing of Stackful: a stack is a tuple, and a capture cuts it.

A term is a tuple; its value is a string.
    ("say", s)              s
    ("then", a, b)          a's value followed by b's
    ("delimit", a)          a, above a prompt
    (operator, a)           capture as the operator says; a is evaluated instead, and can call the continuation
    ("call", i, a)          give a's value to the i-th innermost continuation
    ("abort", a)            leave for the nearest prompt with a's value
The rules are those of Dybvig, Peyton Jones and Sabry, "A Monadic Framework for Delimited Continuations" (2007): whether the prompt stays on the
stack, and whether one comes back with the frames. call_cc is control that calls its continuation at once, and whose continuation aborts.
"""

from stackful import PromptNotFoundError, abort, prompt

# Operator -> does the prompt stay, does one come back with the frames.
RULES = {"control": (True, False), "shift": (True, True), "control0": (False, False), "shift0": (False, True)}
MISSING = "there is no prompt"
PROMPT = ("prompt",)


class Stuck(Exception):
    """No prompt is on the stack."""


def cut(stack):
    """The frames above the nearest prompt, and the stack beneath it; outermost first."""
    for place in range(len(stack) - 1, -1, -1):
        if stack[place] == PROMPT:
            return stack[place + 1 :], stack[:place]
    raise Stuck


def evaluate(term):
    """The value of a term by the rules, or `MISSING`."""
    try:
        return _run(term)
    except Stuck:
        return MISSING


def _run(term):
    stack, environment, value = (), (), None
    while True:
        if term is not None:
            term, value, stack, environment = _reduce(term, stack, environment)
        elif not stack:
            return value
        else:
            *rest, frame = stack
            term, value, stack, environment = _give(frame, value, tuple(rest))


def _reduce(term, stack, environment):
    """One step into a term."""
    kind, *operands = term
    if kind == "say":
        return None, operands[0], stack, ()
    if kind == "then":
        return operands[0], None, (*stack, ("then", operands[1], environment)), environment
    if kind == "delimit":
        return operands[0], None, (*stack, PROMPT), environment
    if kind == "call":
        return operands[1], None, (*stack, ("call", environment[operands[0] % len(environment)])), environment
    if kind == "abort":
        return operands[0], None, (*stack, ("abort",)), environment
    frames, below = cut(stack)
    if kind == "call_cc":
        return operands[0], None, stack, ((True, frames), *environment)
    stays, comes_back = RULES[kind]
    k = (False, (PROMPT, *frames) if comes_back else frames)
    return operands[0], None, (*below, PROMPT) if stays else below, (k, *environment)


def _give(frame, value, stack):
    """Give a value to the innermost frame."""
    if frame == PROMPT:
        return None, value, stack, ()
    if frame[0] == "then":
        return frame[1], None, (*stack, ("join", value)), frame[2]
    if frame[0] == "join":
        return None, frame[1] + value, stack, ()
    if frame[0] == "abort":
        return None, value, cut(stack)[1], ()
    abortive, frames = frame[1]
    return None, value, (*cut(stack)[1], PROMPT, *frames) if abortive else (*stack, *frames), ()


def perform(term, operators):
    """The value of the same term, by the operators of Stackful."""
    try:
        return _walk(term, operators, ())
    except PromptNotFoundError:
        return MISSING


def _walk(term, operators, environment):
    kind, *operands = term
    if kind == "say":
        return operands[0]
    if kind == "then":
        return _walk(operands[0], operators, environment) + _walk(operands[1], operators, environment)
    if kind == "delimit":
        return prompt(lambda: _walk(operands[0], operators, environment))
    if kind == "call":
        k = environment[operands[0] % len(environment)]
        value = _walk(operands[1], operators, environment)
        return k(value)
    if kind == "abort":
        value = _walk(operands[0], operators, environment)
        return abort(None, value)
    return operators[kind](lambda k: _walk(operands[0], operators, (k, *environment)))
