"""From 3.13 on the __hash__ of what is performed can change the locals of `perform`: the last reference goes while it is looked up."""

import sys

from stackful import Handler, effect, handle, perform


@effect
def known(): ...


class Unknown:
    def __init__(self):
        self.gone = lambda: ended.append(1)

    def __hash__(self):
        frame = sys._getframe()
        while frame.f_code.co_name != "perform":
            frame = frame.f_back
        frame.f_locals["operation"] = None
        return hash(known)

    def __eq__(self, other):
        return False

    def __del__(self):
        self.gone()


def perform_unknown():
    try:
        perform(Unknown())
    except TypeError as error:
        assert "<__main__.Unknown object" in str(error), error
    return 1


ended = []
for _ in range(10):
    assert handle(perform_unknown, Handler(known.fun(lambda: 1))) == 1
assert len(ended) == 10
