"""Fibers that resume fibers that resume fibers end in a RecursionError, in every thread, never in a stack overflow."""

import sys
import threading

from stackful import Fiber


def nest(n):
    try:
        return 0 if n == 0 else Fiber(nest, n - 1).resume() + 1
    except RecursionError as error:
        error.__traceback__ = (
            None  # v3.13.0 Python/traceback.c, tb_dealloc: a long one overflows a thread's small stack when it goes
        )
        raise


def try_all():
    for n in (100, 1_000, 3_000, 10_000, 50_000):
        try:
            assert nest(n) == n
        except RecursionError:
            pass


sys.setrecursionlimit(200_000)
try_all()
threading.stack_size(256 * 1024)
thread = threading.Thread(target=try_all)
thread.start()
thread.join()
