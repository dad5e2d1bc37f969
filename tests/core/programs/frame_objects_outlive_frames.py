"""Frame objects taken before suspensions are used, cleared and kept after their fibers resumed, died and were dropped."""

import copy
import gc
import sys
import traceback

from stackful import Fiber, suspend

keep = []


def inner(n):
    fr = sys._getframe()
    keep.append(fr)
    x = n
    cell = lambda: x
    if n == 0:
        v = suspend("s")
        x = v
        v = suspend("t")
        return v
    return inner(n - 1)


def use():
    for f in keep:
        f.f_back, f.f_lineno, f.f_locals, f.f_code, f.f_lasti, repr(f), f.f_trace, f.f_globals
        try:
            f.clear()
        except RuntimeError as e:
            pass
        b = f
        while b:
            b.f_locals
            b.f_lineno
            b = b.f_back


for how in ("end", "drop", "close", "copydrop", "throw", "cycle", "clearframes"):
    keep.clear()
    f = Fiber(inner, 40)
    f.resume()
    use()
    if how == "copydrop":
        c = copy.copy(f)
        use()
        assert c.resume(1) == "t"
        use()
        d = copy.copy(c)
        del c
        use()
        del d
        use()
    if how in ("end", "copydrop"):
        f.resume(2)
        use()
        f.resume(3)
        use()
    if how == "drop":
        del f
        use()
    if how == "close":
        f.close()
        use()
    if how == "throw":
        try:
            f.throw(KeyError("x"))
        except KeyError as e:
            keep.extend(t for t in [e.__traceback__.tb_frame])
            tb = e.__traceback__
            traceback.format_exc()
            err = e
        use()
        gc.collect()
        use()
    if how == "cycle":
        del f
        gc.collect()
        use()
    if how == "clearframes":
        for fr in keep:
            fr.f_trace = lambda *a: None
        f.resume(1)
        use()
    gc.collect()
    use()
    keep.clear()
    gc.collect()


# dropping a copy whose innermost frame object is only reachable through exception
def raiser(n):
    try:
        if n == 0:
            raise ValueError(n)
        raiser(n - 1)
    except ValueError as e:
        keep.append(e)
        suspend(n)
        raise


f = Fiber(raiser, 10)
f.resume()
c = copy.copy(f)
c.resume()
del c
gc.collect()
for e in keep:
    t = e.__traceback__
    while t:
        t.tb_frame.f_locals
        t.tb_frame.f_back
        t.tb_lineno
        t = t.tb_next
f.close()
keep.clear()
gc.collect()
