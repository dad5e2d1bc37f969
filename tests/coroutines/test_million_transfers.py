"""A million transfers."""

from leakcheck import blocks_kept
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
    assert blocks_kept(lambda: transfer(a), rounds=3) < 50
    a.close()
    b.close()
