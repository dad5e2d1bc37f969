"""A million transfers."""

import gc
import sys

from stackful import Coroutine, suspend, transfer


def test_a_million_transfers():
    """The second half million leaves no block behind that the first did not."""

    def body(other):
        while True:
            for _ in range(125_000):
                transfer(other())
            suspend()

    a = Coroutine(body, lambda: b)
    b = Coroutine(body, lambda: a)
    transfer(a)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(3):
        transfer(a)
    gc.collect()
    assert sys.getallocatedblocks() - before < 50
    a.close()
    b.close()
