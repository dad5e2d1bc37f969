"""`await_` in an ordinary function, beside `await` in a coroutine, greenback's await_ and SQLAlchemy's await_only.

The loop's turn is part of the time, but where the awaitable completes at once. Behind a C call, `await` cannot be: what stands beside is one that
is not.
"""

from elsewhere import Elsewhere
from measure import Contender, Row, at_least, at_most, interleaved, missing, time_text
from peers import is_installed
from programs_aio import BLOCK, DEPTH

SUBJECTS = {
    "at once": "await_ of what completes at once",
    "once": "await_ of what waits once",
    "deep": f"await_ of what waits once, {DEPTH} calls deep",
    "behind C": "await_ of what waits once, behind a C call",
}
PEERS = {"greenback": "greenback", "SQLAlchemy": "sqlalchemy"}  # and the package


def contenders(name: str, loop: str) -> dict[str, Contender]:
    """All in processes of their own, so that none has more to keep warm than another."""
    ways = ["Stackful", "await", "portal", *(way for way, package in PEERS.items() if is_installed(package))]
    made = {way: Elsewhere("aio", way, loop, name) for way in ways}
    failures = [f"{way}: {contender.failure}" for way, contender in made.items() if contender.failure]
    if failures:
        raise RuntimeError("; ".join(failures))
    return dict(made)


def rows_of(name: str, loop: str, rounds: int, number: int) -> list[Row]:
    took = {way: seconds / BLOCK for way, seconds in interleaved(contenders(name, loop), number, rounds).items()}
    subject = f"{SUBJECTS[name]} ({loop})"
    rows = [at_most(subject, took["Stackful"], took["await"], "await", 1.3 if name in {"once", "deep"} else None)]
    for other in PEERS:
        if other in took:
            rows.append(at_least(subject, took["Stackful"], took[other], other, 1.0))
        else:
            rows.append(missing(subject, time_text(took["Stackful"]), other))
    if name == "once":
        rows.append(
            at_most(f"await in a coroutine that is in a portal ({loop})", took["portal"], took["await"], "in none")
        )
    return rows


def benchmark(rounds: int, number: int) -> list[Row]:
    rows = [row for name in SUBJECTS for row in rows_of(name, "asyncio", rounds, number)]
    if not is_installed("uvloop"):
        return [*rows, missing("the same on uvloop", "", "uvloop")]
    return rows + [row for name in ("once", "behind C") for row in rows_of(name, "uvloop", rounds, number)]
