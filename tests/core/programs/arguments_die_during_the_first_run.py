"""The destructor of an argument runs deep Python code right after the first suspension."""

from stackful import Fiber, suspend


class Noisy:
    def __del__(self):
        self.deep(20)

    def deep(self, n):
        pad = [n] * 3
        if n:
            self.deep(n - 1)


def drops(x):
    del x
    return suspend("local")


for _ in range(100):
    fiber = Fiber(drops, Noisy())
    assert fiber.resume() == "local"
    assert fiber.resume(5) == 5
