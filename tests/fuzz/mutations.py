"""Changes to bytes, to the operations of a pickle, and to the tuples that frames are saved as. Each is told by a `random.Random`."""

import io
import pickletools
import struct
from functools import lru_cache

from stackful import _core

# --- bytes ------------------------------------------------------------------------------------------------------------


def flipped(random, data, _):
    """Some bits the other way."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def overwritten(random, data, _):
    """Some bytes replaced, by small and by extreme ones above all."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
    return bytes(data)


def truncated(random, data, _):
    """The end is missing, or the beginning."""
    at = random.randrange(len(data))
    return data[:at] if random.random() < 0.8 else data[at:]


def cut(random, data, _):
    """A piece is missing, or is there twice."""
    start = random.randrange(len(data))
    end = min(len(data), start + random.choice((1, 2, 4, 16, 64)))
    return data[:start] + data[end:] if random.random() < 0.5 else data[:end] + data[start:]


def spliced(random, data, other):
    """The beginning of one and the end of another, or a piece of another in between."""
    at, from_ = random.randrange(len(data)), random.randrange(len(other))
    if random.random() < 0.5:
        return data[:at] + other[from_:]
    piece = other[from_ : from_ + random.choice((1, 4, 16, 64))]
    return data[:at] + piece + data[at + len(piece) :]


BYTES = (flipped, flipped, overwritten, truncated, cut, spliced)


def changed_bytes(random, data, other):
    """`data` with its bytes changed in one way or two."""
    for _ in range(random.choice((1, 1, 1, 2))):
        data = random.choice(BYTES)(random, data, other) or b"."
    return data


# --- the operations of a pickle ---------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def operations(body):
    """The pickle as a tuple of the bytes of each operation, without frames (they only tell lengths) and STOP."""
    found = [(op.name, at) for op, _, at in pickletools.genops(io.BytesIO(body))]
    ends = [at for _, at in found[1:]] + [len(body)]
    return tuple(
        (name, body[at:end])
        for (name, at), end in zip(found, ends, strict=True)
        if name not in ("FRAME", "STOP", "PROTO")
    )


MARK_ENDS = [b"t", b"l", b"d", b"e", b"u", b"1", b"\x90", b"\x91", b"0"]
CONSTANTS = [b"N", b"\x88", b"\x89", b")", b"]", b"}", b"\x8f", b"K\x00", b"K\x01", b"M\xff\xff", b"J\xff\xff\xff\xff"]
CONSTANTS += [b"G" + struct.pack(">d", 0.5), b"\x8c\x00", b"C\x00", b"\x8a\x09" + b"\xff" * 8 + b"\x00"]
STACK_OPERATIONS = [b"(", b"0", b"2", b"\x85", b"\x86", b"\x87", b"R", b"b", b"\x81", b"\x93", b"\x94", b"s", b"a"]


def _with_other_argument(random, name, text):
    """An operation of the same kind with another argument, where its argument is a number or a text."""
    if name in ("BININT1", "BINGET", "BINPUT", "BININT2", "BININT", "LONG_BINGET"):
        value = int.from_bytes(text[1:], "little")
        value += random.choice((-2, -1, 1, 2, 4, 64, 128)) if random.random() < 0.7 else random.getrandbits(8)
        return text[:1] + (value % (1 << 8 * (len(text) - 1))).to_bytes(len(text) - 1, "little")
    if name == "SHORT_BINUNICODE" and len(text) > 2:
        at = random.randrange(2, len(text))
        return text[:at] + bytes([random.randrange(32, 127)]) + text[at + 1 :]
    return random.choice(CONSTANTS)


def changed_operations(random, body, other):
    """The pickle with some operations changed, dropped, doubled, moved, or taken from another pickle."""
    program, theirs = list(operations(body)), operations(other)
    texts = [text for name, text in program if name == "SHORT_BINUNICODE"]
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        at = random.randrange(len(program))
        name, text = program[at]
        kind = random.randrange(9)
        if kind <= 2:
            program[at] = (name, _with_other_argument(random, name, text))
        elif kind == 3:
            del program[at]
        elif kind == 4:
            program.insert(at, random.choice(program))
        elif kind == 5:
            to = random.randrange(len(program))
            program[at], program[to] = program[to], program[at]
        elif kind == 6:
            start = random.randrange(len(theirs))
            length = random.choice((1, 1, 4, 16))
            program[at : at + length] = theirs[start : start + length]
        elif kind == 7 and name == "SHORT_BINUNICODE":
            program[at] = (name, random.choice(texts))
        else:
            program[at] = ("", random.choice(random.choice((CONSTANTS, STACK_OPERATIONS, MARK_ENDS))))
        if not program:
            break
    return b"\x80\x05" + b"".join(text for _, text in program) + b"."


# --- states -----------------------------------------------------------------------------------------------------------


class Odd:
    """Compares, iterates and tells its truth oddly."""

    def __eq__(self, other):
        return NotImplemented

    __hash__ = None

    def __iter__(self):
        return self

    def __next__(self):
        raise RuntimeError("no more")


def plain_function(a=1, *rest, b=2, **named):
    return a, b


def closure_function():
    x = 1

    def closure():
        return x

    return closure


def generator_function(a=None):
    yield a


def values(random, state):
    """One of many values that may stand in a slot, those of the state itself among them."""

    def cell(value=None):
        return closure_function().__closure__[0]

    makers = [
        lambda: _core.NULL, lambda: _core.NULL, lambda: None, lambda: 0, lambda: -1, lambda: random.randrange(64),
        lambda: 2**70, lambda: 1.5, lambda: "text", lambda: b"bytes", lambda: (), lambda: (1, 2, 3), list,
        lambda: [1, [2]], dict, set, lambda: {1: 2}, lambda: {1}, object, Odd, lambda: iter([1, 2]), lambda: iter((1,)),
        lambda: iter(range(3)), lambda: reversed([1]), lambda: (x for x in (1, 2)), lambda: zip([1], [2]), lambda: enumerate("ab"),
        lambda: ValueError("v"), lambda: ExceptionGroup("g", [ValueError()]), lambda: BaseException(), lambda: StopIteration(1),
        lambda: plain_function, closure_function, lambda: generator_function, lambda: plain_function.__code__,
        cell, lambda: type(cell())(), lambda: print, lambda: int, lambda: Odd, lambda: slice(1), lambda: memoryview(b"a"),
        lambda: random.choice(state[-1])[random.randrange(4)] if state[-1] else None,
    ]  # fmt: skip
    return random.choice(makers)()


def _changed_slots(random, slots, state, others):
    slots = list(slots) if isinstance(slots, tuple) else [slots]
    for _ in range(random.choice((1, 1, 2, 4))):
        kind = random.randrange(6)
        at = random.randrange(len(slots)) if slots else None
        if kind == 0:
            slots.insert(random.randrange(len(slots) + 1), values(random, state))
        elif kind == 1 and slots:
            del slots[at]
        elif kind == 2 and slots:
            to = random.randrange(len(slots))
            slots[at], slots[to] = slots[to], slots[at]
        elif kind == 3:
            frames = random.choice(others)[-1]
            if frames:
                theirs = random.choice(frames)
                slots = list(theirs[random.choice((4, 5))] or ())
        elif slots:
            slots[at] = values(random, state)
    return tuple(slots)


def _changed_offset(random, code, offset):
    size = len(code.co_code)
    return random.choice(
        (offset - 2, offset + 2, offset + 4, offset + 6, offset + 1, 0, size - 2, size, -2, 2**31 - 2,
         random.randrange(0, size, 2), random.randrange(0, size, 2), random.randrange(0, size, 2))
    )  # fmt: skip


def _changed_frame(random, frame, state, others):
    function, code, offset, namespace, slots, stack = frame
    kind = random.randrange(10)
    if kind <= 1:
        offset = _changed_offset(random, code, offset)
    elif kind <= 3:
        slots = _changed_slots(random, slots, state, others)
    elif kind <= 6:
        stack = _changed_slots(random, stack, state, others)
    elif kind == 7:
        frames = random.choice(others)[-1] or state[-1]
        if frames:
            theirs = random.choice(frames)
            code, offset = theirs[1], random.choice((offset, theirs[2]))
            slots, stack = random.choice(((slots, stack), (theirs[4], theirs[5])))
    elif kind == 8:
        function = random.choice((plain_function, closure_function(), generator_function, values(random, state)))
    else:
        namespace = random.choice(({}, None, {"__builtins__": {}}, values(random, state)))
    return (function, code, offset, namespace, slots, stack)


def changed_state(random, state, others):
    """The state of a fiber with something changed that CPython would not have made."""
    fields, frames = list(state[:-1]), list(state[-1])
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        kind = random.randrange(8)
        if kind == 0:
            fields[random.randrange(len(fields))] = values(random, state)
        elif kind == 1 and frames:
            at = random.randrange(len(frames))
            there = random.choice(others)[-1]
            frames[at : at + random.randrange(2)] = there[: random.choice((1, 1, 2))]
        elif kind == 2 and frames:
            del frames[random.randrange(len(frames))]
        elif frames:
            at = random.randrange(len(frames))
            if isinstance(frames[at], tuple) and len(frames[at]) == 6:
                frames[at] = _changed_frame(random, frames[at], state, others)
    return (*fields, frames)


def changed_generator_state(random, state):
    """The state of a generator, likewise: (function, state, offset, locals, stack, handled, name, qualname)."""
    function, kind, offset, slots, stack, *rest = state
    whole = (None, [(function, function.__code__, offset, None, slots, stack)])
    choice = random.randrange(5)
    if choice == 0:
        kind = random.choice(("fresh", "suspended", "finished", "odd"))
    elif choice == 1:
        offset = _changed_offset(random, function.__code__, offset)
    elif choice == 2:
        slots = _changed_slots(random, slots, whole, [whole])
    elif choice == 3:
        stack = _changed_slots(random, stack, whole, [whole])
    else:
        rest[random.randrange(len(rest))] = values(random, whole)
    return (function, kind, offset, slots, stack, *rest)
