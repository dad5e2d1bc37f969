"""Captured frames are dropped when the last of them has been copied to be returned into: a destructor then collects garbage, and looks around."""

import gc
import sys

from stackful import current, effect, handle, perform


@effect
def many(): ...


@effect
def one(): ...


class Nosy:
    def __del__(self):
        gc.collect()
        frame, names = sys._getframe(1), []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        assert names[0] == "<lambda>" and names[-1] == "<module>", names
        seen.append(len(current().frames))


def inner():
    nosy = Nosy()
    perform(many)  # only what is captured here keeps it
    nosy = None
    perform(one)
    kept.clear()
    return nosy


def outer(depth):
    if depth > 0:
        return outer(depth - 1)
    inner()
    return 1


def keep(k):
    kept.append(k)
    return k.tail_resume()


seen = []
kept = []
for depth in (0, 1, 2, 100):
    assert handle(lambda depth=depth: outer(depth), many.ctl(keep), one.once(lambda k: k.tail_resume())) == 1
    assert seen.pop() and not seen
