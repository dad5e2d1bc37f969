"""The interpreter ends while fibers wait in C code: in globals, in cycles, in each other, in threads, daemon threads, and in exit functions."""

import atexit
import subprocess
import sys
import threading
import time

from stackful import Fiber, generator, suspend

WHERE = [
    "globals",
    "cycles",
    "each other",
    "thread",
    "daemon",
    "daemon in fiber",
    "atexit",
    "module",
    "suspends again",
    "thread local",
    "exit",
]


def waits(name, log=print):
    try:
        return sorted([name], key=suspend)
    finally:
        log("ended", name, flush=True)


def waiting(name):
    fiber = Fiber(waits, name)
    fiber.resume()
    return fiber


def main(where):
    global kept, made
    if where == "globals":
        kept = [waiting("a"), waiting("b")]
        made = generator(waits)("g")
        next(made)
    elif where == "cycles":
        cycle = [waiting("a")]
        cycle.append(cycle)
    elif where == "each other":

        def outer(name, inner):
            try:
                return sorted([1], key=lambda _: suspend(inner))
            finally:
                print("ended", name, inner.status, flush=True)

        inner = None
        for i in range(5):
            inner = Fiber(outer, i, inner or waiting("innermost"))
            inner.resume()
        kept = inner
    elif where == "thread":
        kept = []
        thread = threading.Thread(target=lambda: kept.append(waiting("t")))
        thread.start()
        thread.join()
        kept.append(waiting("m"))
    elif where == "daemon":

        def run():
            fiber = waiting("d")
            ready.set()
            time.sleep(1000)
            fiber.close()

        ready = threading.Event()
        threading.Thread(target=run, daemon=True).start()
        ready.wait()
    elif where == "daemon in fiber":

        def busy(_):
            suspend()
            ready.set()
            while True:
                time.sleep(0.0001)

        def run():
            fiber = Fiber(lambda: sorted([1], key=lambda _: list(map(busy, [1]))))
            fiber.resume()
            fiber.resume()

        for _ in range(3):
            ready = threading.Event()
            threading.Thread(target=run, daemon=True).start()
            ready.wait()
    elif where == "atexit":
        fiber = waiting("a")
        atexit.register(lambda: fiber.resume())
        other = waiting("b")
        atexit.register(lambda: other.status)
        Fiber(lambda: sorted([1], key=lambda _: atexit._run_exitfuncs() or 0)).resume()
    elif where == "module":
        sys.modules["kept"] = waiting("m")
    elif where == "suspends again":

        def again():
            for _ in range(5):
                try:
                    sorted([1], key=suspend)
                except BaseException:
                    pass

        kept = Fiber(again)
        kept.resume()
    elif where == "thread local":
        kept = threading.local()
        kept.fiber = waiting("l")
    elif where == "exit":
        kept = waiting("x")

        def leaves(_):
            suspend()
            sys.exit(0)

        fiber = Fiber(lambda: sorted([1], key=leaves))
        fiber.resume()
        fiber.resume()


if len(sys.argv) > 1:
    main(sys.argv[1])
else:
    for where in WHERE:
        done = subprocess.run([sys.executable, __file__, where], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (where, done.returncode, done.stdout, done.stderr[-2000:])
        print(where, done.stdout.replace("\n", "; "), done.stderr[-300:])
