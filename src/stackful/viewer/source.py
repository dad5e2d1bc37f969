"""A store as the page sees it: answers that are ready to be sent as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from stackful.durable import connect
from stackful.durable.overview import as_it_stands, list_runs, run_data, states_of_run
from stackful.durable.records import Filter
from stackful.durable.store import ENDED, Run, Status
from stackful.errors import StoreError

if TYPE_CHECKING:
    from stackful.viewer.changes import Changes

__all__ = ["Source"]

_REMEMBERED = 64
"""Stacks kept, since each costs a process."""
_LOOK = 1.0
"""Seconds between two looks at runs that are under way, while a page is open: a store tells of ends and beginnings, not of each step."""


class Source:
    """One store.

    A run is looked at by another process, `stackful show`: it imports the program's modules as they are now, whatever has been deployed since
    this server started, and nothing of theirs gets into the server.

    Args:
        store: its path or URL.

    Attributes:
        actions: what can be done to a run, by name: from the run's id and a JSON object to a JSON object.
    """

    def __init__(self, store: str) -> None:
        self.store = store
        self._engine = connect(store, work=False)
        self._seen: OrderedDict[tuple[str, float, int, int | None], dict[str, Any]] = OrderedDict()
        self.actions: Mapping[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
            "fork": self._fork, "signal": self._signal, "answer": self._answer, "cancel": self._cancel, "retry": self._retry,
        }  # fmt: skip

    def close(self) -> None:
        """Let go of the store."""
        self._engine.close()

    def runs(self, text: str, statuses: tuple[str, ...], limit: int) -> dict[str, Any]:
        """Runs that match, the newest first; how many there are of them, and of each status."""
        store = self._engine.store
        where = Filter(statuses=tuple(map(Status, statuses)), text=text or None)
        counts = store.count(Filter(text=text or None))
        total = sum(count for status, count in counts.items() if not statuses or status.value in statuses)
        return {
            "store": store.path,
            "runs": [_row(run) for run in list_runs(store, where, limit)],
            "total": total,
            "counts": {status.value: counts[status] for status in Status if status in counts},
        }

    def run(self, run_id: str) -> dict[str, Any]:
        """A run with its stack, checkpoints and signals."""
        run = as_it_stands(self._engine.store, run_id)
        checkpoints = [] if run.kind == "script" else states_of_run(self._engine.store, run)
        timeline = [
            {"seq": state.seq, "step": state.step, "line": state.line, "taken": state.taken, "size": state.size}
            for state in checkpoints
        ]
        found = _row(run) | {"checkpoints": timeline} | self._look(run, None)
        if found["question"] and self._engine.store.signals(run.id, found["question"]["signal"]):
            found["question"] = None  # answered; a worker will take the answer up
        return found

    def checkpoint(self, run_id: str, seq: int) -> dict[str, Any]:
        """The stack of a run as it was at a checkpoint."""
        return self._look(self._engine.store.run(run_id), seq)

    def _look(self, run: Run, seq: int | None) -> dict[str, Any]:
        key = (run.id, run.updated, run.seq, seq)
        found = self._seen.get(key)
        if found is None:
            found = _shown(self.store, run.id, seq)
            if "stack_error" not in found:
                self._seen[key] = found
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return found

    def watch(self, changes: Changes) -> Callable[[], None]:
        """Note what changes, from now on; what is returned ends that."""
        stop: Callable[[], None] | None = None
        with suppress(StoreError):  # of a store that can only be read nothing is heard; what changes is seen by looking
            stop = self._engine.store.listen(lambda _kind, subject: changes.note(subject or None))
        is_over = threading.Event()
        looking = threading.Thread(
            target=self._look_again, args=(changes, is_over), name="stackful-viewer", daemon=True
        )
        looking.start()

        def end() -> None:
            is_over.set()
            if stop is not None:
                stop()
            looking.join()

        return end

    def _look_again(self, changes: Changes, is_over: threading.Event) -> None:
        before: object = None
        while not is_over.wait(_LOOK):
            if not changes.is_watched:
                continue
            try:
                now = [(run.id, run.seq, run.status) for run in self._engine.runs(limit=200)]
            except StoreError:
                continue  # the page shows what it has; the next look may succeed
            if now != before:
                changes.note(None)
            before = now

    # --- actions ------------------------------------------------------------------------------------------------------

    def _fork(self, run_id: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"run": self._engine.fork(run_id, at=body.get("at")).id}

    def _signal(self, run_id: str, body: dict[str, Any]) -> dict[str, Any]:
        name = body.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError("a signal has a name")
        if not self._engine.send(run_id, name, body.get("value")):
            raise ValueError(f"the signal was not taken in: run {run_id} has ended")
        return {"run": run_id}

    def _answer(self, run_id: str, body: dict[str, Any]) -> dict[str, Any]:
        if not self._engine.answer(run_id, body.get("values")):
            raise ValueError(f"the answer was not taken in: run {run_id} has ended, or was answered before")
        return {"run": run_id}

    def _cancel(self, run_id: str, _body: dict[str, Any]) -> dict[str, Any]:
        return {"run": run_id, "status": self._engine.store.cancel(run_id).value}

    def _retry(self, run_id: str, _body: dict[str, Any]) -> dict[str, Any]:
        self._engine.retry(run_id)
        return {"run": run_id}


def _row(run: Run) -> dict[str, Any]:
    data = run_data(run)
    data["question"] = json.loads(run.question) if run.question else None
    data["size"] = run.size if run.taken and run.status not in ENDED - {Status.FAILED} else None
    return data


def _shown(store: str, run_id: str, seq: int | None) -> dict[str, Any]:
    """What `stackful show` says of a run."""
    at = [] if seq is None else ["--at", str(seq)]
    command = [sys.executable, "-m", "stackful", "show", "--json", "--store", store, *at, run_id]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        return {"stack": [], "stack_error": done.stderr.strip() or f"stackful show ended with status {done.returncode}"}
    shown = json.loads(done.stdout)
    found = {
        "stack": [_frame(frame) for frame in reversed(shown["frames"])],
        "result": shown["result"],
        "signals": shown["signals"],
    }
    return found | ({"stack_error": shown["problem"]} if shown["problem"] else {})


def _frame(frame: dict[str, Any]) -> dict[str, Any]:
    return {
        "function": frame["function"], "file": frame["file"], "line": frame["line"], "source": frame["lines"], "locals": frame["variables"],
    }  # fmt: skip
