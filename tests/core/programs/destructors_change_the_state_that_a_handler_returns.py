"""A destructor that the collector runs while the return clause gets its handler's state performs an operation that replaces it."""

import gc

from stackful import Handler, effect, handle, perform


class State:
    pass


@effect
def change(): ...


class Cycle:
    def __init__(self):
        self.me = self

    def __del__(self):
        try:
            perform(change)
        except LookupError:
            pass  # the handler is out of force already


def thunk(threshold):
    perform(change)  # the first state is held by the handler
    gc.disable()
    gc.collect()
    Cycle()
    hold[:] = [(x, x) for x in range(3000)]  # no tuple of two is left on a free list
    gc.set_threshold(threshold)
    gc.enable()
    return 1


def returns(value, state):
    gc.disable()
    assert type(state) is State
    return value


hold = []
handler = Handler(change.update(lambda state: (None, State())), returns=returns, state=State())
for threshold in range(1, 40):
    assert handle(lambda: thunk(threshold), handler) == 1
