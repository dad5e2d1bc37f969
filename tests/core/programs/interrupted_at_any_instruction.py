"""A signal handler that raises interrupts resume, suspend, copy and throw at any instruction; only its own exception is seen."""

import copy
import signal

from stackful import Fiber, suspend


def handler(number, frame):
    pad = [number] * 5
    raise KeyboardInterrupt


def deep(n):
    while True:
        suspend(n) if n == 0 else deep(n - 1)


def work(k):
    kept = []
    for _ in range(300):
        fiber = Fiber(deep, k % 4)
        kept.append(fiber)
        fiber.resume()
        fiber.resume()
        kept.append(copy.copy(fiber))
        kept[-1].resume()


signal.signal(signal.SIGALRM, handler)
interrupted = 0
for k in range(500):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.00003 + (k % 50) * 2e-6)
        work(k)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert interrupted
