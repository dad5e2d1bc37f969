"""The private functions of the core are called with everything that is wrong."""

import itertools

from stackful import Fiber, FiberError, _core, suspend


def plain(a=1):
    return a


def generator(a=1):
    yield a


fiber = Fiber(plain)
waiting = Fiber(suspend)
things = [
    None,
    0,
    -1,
    "x",
    (),
    (1,) * 8,
    [],
    plain,
    generator,
    generator(),
    fiber,
    waiting,
    Fiber,
    type,
    object(),
    _core.NULL,
]
things += [
    (fiber, (0, plain, (), None, _core.NULL, None, None, [])),
    (Fiber,) * 3,
    plain.__code__,
    KeyError,
    KeyError(),
]
for value in (None, 1, waiting):
    try:
        ~_core.gates["suspend"]
    except FiberError:
        pass
    else:
        raise AssertionError("the gate suspends for stackful.suspend only")

names = "look capture blank reinstate copy_generator capture_generator blank_generator reinstate_generator current is_capturable can_wait"
for name in names.split():
    function = getattr(_core, name)
    for count in range(3):
        for arguments in itertools.product(things, repeat=count):
            try:
                function(*arguments)
            except Exception:
                pass
for phase in (-1, 0, 1, 2, 3, 4, 2**40, None):
    for frames in (
        [],
        [None],
        [()],
        [(plain, plain.__code__, 0, None, (), ())],
        [(plain, plain.__code__, 2, None, (1,), ())],
    ):
        for arguments in ((), None, (1, 2)):
            for keywords in (None, ("a",), (1,), ("a", "b", "c")):
                blank = _core.blank(Fiber)
                try:
                    _core.reinstate(blank, (phase, plain, arguments, keywords, _core.NULL, None, None, frames))
                except (Exception, OverflowError):
                    continue
                try:
                    blank.resume()
                except Exception:
                    pass
for value in ("old", _core.NULL):
    blank = _core.blank(Fiber)
    _core.reinstate(blank, (0, plain, (), None, value, None, None, []))
    assert blank.resume() == 1
