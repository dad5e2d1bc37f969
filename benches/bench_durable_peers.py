"""Durable runs beside DBOS, and LangGraph's checkpointers: each in a process of its own, with the same settings of the database (fsync on; SQLite
in WAL mode, synchronous=FULL; PostgreSQL's defaults), in turns.
"""

import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from measure import Row, at_most, time_text
from peers import has_dbos, has_langgraph, has_langgraph_postgres, has_langgraph_sqlite

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

import postgresql  # noqa: E402 - found there

NAMES = {"dbos": "DBOS", "langgraph": "LangGraph", "stackful": "Stackful"}
STEPS = 1000  # in a round, at most; histories can be longer (--scale)
TURNS = 5  # in a round

# A store for a contender, made anew.
NewStore = Callable[[str], str]


class Contender:
    """A process that answers commands with figures: durable_process.py."""

    def __init__(self, peer: str, store: str):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "durable_process.py"), peer, store],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        self._peer = peer
        self._line()

    def ask(self, *words: object) -> float:
        print(*words, file=self._process.stdin, flush=True)
        return float(self._line())

    def close(self) -> None:
        """Kill it: so restarts are those after a crash."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _line(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            *_, last = self._errors.read().strip().splitlines() or ["no word"]
            raise RuntimeError(f"{NAMES[self._peer]} failed: {last}")
        return line


def why_not(kind: str, peer: str) -> str:
    """Why a peer cannot be measured on this kind of database here; nothing when it can."""
    if peer == "dbos" and has_dbos:
        # From Python 3.12 on its tables' default values need unixepoch('subsec').
        is_too_old = kind == "SQLite" and sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42)
        return f"needs SQLite 3.42, this is {sqlite3.sqlite_version}" if is_too_old else ""
    has_saver = has_langgraph_postgres if kind == "PostgreSQL" else has_langgraph_sqlite
    return "" if peer == "stackful" or (peer == "langgraph" and has_langgraph and has_saver) else "not installed"


def present(kind: str, *peers: str) -> list[str]:
    return [peer for peer in ("stackful", *peers) if not why_not(kind, peer)]


def absent(kind: str, peer: str) -> str:
    return f"{NAMES[peer]} {why_not(kind, peer)}"


def in_turns(stores: dict[str, str], rounds: int, *words: object) -> dict[str, float]:
    """What each contender answers: the median of the rounds."""
    with ExitStack() as stack:
        contenders = {peer: stack.enter_context(closing(Contender(peer, store))) for peer, store in stores.items()}
        for contender in contenders.values():
            contender.ask(*words)  # what is loaded at the first use
        answers: dict[str, list[float]] = {peer: [] for peer in contenders}
        for _ in range(rounds):
            for peer, contender in contenders.items():
                answers[peer].append(contender.ask(*words))
    return {peer: statistics.median(found) for peer, found in answers.items()}


def rate_rows(
    kind: str, subject: str, peers: list[str], seconds: dict[str, float], count: int, target: int
) -> list[Row]:
    """Steps a second of ours, beside each peer; more is better."""
    ours = count / seconds["stackful"]
    rows = []
    for peer in peers:
        beside, ratio = absent(kind, peer), None
        if peer in seconds:
            theirs = count / seconds[peer]
            beside, ratio = f"{NAMES[peer]} {theirs:,.0f}/s", ours / theirs
        rows.append(Row(f"{kind}: {subject}", f"{ours:,.0f}/s", beside, ratio, f"≥ {target:,}/s", ours >= target))
    return rows


def beside_dbos(kind: str, subject: str, answers: dict[str, float], limit: float, text: Callable[[float], str]) -> Row:
    """A figure of ours beside DBOS's; less is better."""
    ours = answers["stackful"]
    beside, ratio = absent(kind, "dbos"), None
    if "dbos" in answers:
        beside, ratio = f"DBOS {text(answers['dbos'])}", ours / answers["dbos"]
    return Row(f"{kind}: {subject}", text(ours), beside, ratio, f"≤ {text(limit)}", ours <= limit)


def bytes_text(size: float) -> str:
    return f"{size:,.0f} bytes"


def stores(kind: str, new: NewStore, *peers: str) -> dict[str, str]:
    """A new store for us, and one for each of the peers that are here."""
    return {peer: new(peer) for peer in present(kind, *peers)}


def steps_rows(kind: str, new: NewStore, rounds: int, number: int, targets: tuple[int, int]) -> list[Row]:
    count = max(1, min(number, STEPS) // TURNS)
    one = in_turns(stores(kind, new, "dbos", "langgraph"), TURNS * rounds, "steps", 1, count)
    rows = rate_rows(kind, "one run, steps a second", ["dbos", "langgraph"], one, count, targets[0])
    used = in_turns(stores(kind, new, "dbos", "langgraph"), rounds, "processor:steps", 1, count)
    rows += [
        at_most(f"{kind}: processor time a step", used["stackful"] / count, used[peer] / count, NAMES[peer])
        for peer in ("dbos", "langgraph")
        if peer in used
    ]
    each = max(1, count // 8)
    many = in_turns(stores(kind, new, "dbos"), rounds, "steps", 64, each)
    return rows + rate_rows(kind, "64 runs together", ["dbos"], many, 64 * each, targets[1])


def latency_rows(kind: str, new: NewStore, rounds: int) -> list[Row]:
    started = in_turns(stores(kind, new, "dbos"), 5 * rounds, "started")
    queued = in_turns(stores(kind, new, "dbos"), rounds, "queued")
    return [
        beside_dbos(kind, "start to first line", started, 0.5e-3, time_text),
        beside_dbos(kind, "queue to first line", queued, 10e-3, time_text),
    ]


def restart_row(kind: str, new: NewStore, rounds: int, steps: int) -> Row:
    """From when a new process, which has imported what it needs, opens the store to the step that comes next; the one before was killed."""
    answers: dict[str, list[float]] = {peer: [] for peer in present(kind, "dbos")}
    for _ in range(rounds):
        for peer, found in answers.items():
            store = new(peer)
            with closing(Contender(peer, store)) as before:
                before.ask("history", steps)
            with closing(Contender(peer, store)) as after:
                found.append(after.ask("restart"))
    medians = {peer: statistics.median(found) for peer, found in answers.items()}
    return beside_dbos(kind, f"restart to next step, after {steps:,} steps", medians, 5e-3, time_text)


def sleeping_rows(new: NewStore, count: int) -> list[Row]:
    """What a run takes that sleeps, on the disk and in memory."""
    disk, memory = {}, {}
    for peer, store in stores("SQLite", new, "dbos").items():
        with closing(Contender(peer, store)) as contender:
            contender.ask("steps", 1, 1)
            before = _size(store)
            memory[peer] = contender.ask("sleepers", count)
            disk[peer] = (_size(store) - before) / count
    return [
        beside_dbos("SQLite", f"a sleeping run, of {count}", disk, 2048, bytes_text),
        beside_dbos("SQLite", "the same in the memory of its process", memory, 2048, bytes_text),
    ]


def _size(path: str) -> int:
    with closing(sqlite3.connect(path, timeout=60)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(path).stat().st_size


@contextlib.contextmanager
def sqlite_stores() -> Iterator[NewStore]:
    """Files in WAL mode: that is kept in the file, whoever opens it."""
    with tempfile.TemporaryDirectory() as name:

        def new(peer: str) -> str:
            path = Path(name) / f"{peer} {len(list(Path(name).iterdir()))}.db"
            with closing(sqlite3.connect(path)) as db:
                (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
                (synchronous,) = db.execute("PRAGMA synchronous").fetchone()
            if (mode, synchronous) != ("wal", 2):
                raise RuntimeError(
                    f"SQLite's settings here are {mode}, synchronous={synchronous}: peers would not be measured as we are"
                )
            return str(path)

        yield new


def postgres_rows(rounds: int, number: int) -> list[Row]:
    if postgresql.programs() is None:
        return [Row("PostgreSQL", "not measured", "it is not installed")]
    os.environ.setdefault("STACKFUL_KEY", "00" * 32)
    with closing(postgresql.Server(fsync=True)) as server:

        def new(peer: str) -> str:
            return server.new_database()

        rows = steps_rows("PostgreSQL", new, rounds, number, (1_500, 5_000))
        rows += latency_rows("PostgreSQL", new, rounds)
        return [*rows, restart_row("PostgreSQL", new, min(rounds, 3), number)]


def benchmark(rounds: int, number: int) -> list[Row]:
    with sqlite_stores() as new:
        rows = steps_rows("SQLite", new, rounds, number, (2_500, 15_000))
        rows += latency_rows("SQLite", new, rounds)
        rows.append(restart_row("SQLite", new, min(rounds, 3), number))
        rows += sleeping_rows(new, max(100, min(number, STEPS) // 2))
    return rows + postgres_rows(rounds, number)
