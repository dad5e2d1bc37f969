"""One contender for durable runs, in a process of its own: `durable_process.py PEER STORE` (bench_durable_peers.py is the other end).

It prints "ready", then reads commands, one a line: NAME and whole numbers, and prints a figure for each: seconds, where nothing else is said;
of "processor:NAME" the seconds of processor time.
Only public interfaces of the peers are used. STORE is the path of an SQLite file in WAL mode, or the URL of a PostgreSQL database.
"""

import os
import sqlite3
import sys
import time
from pathlib import Path

from measure import expect

NEVER = 86400.0  # seconds
LONG_AGO = "a long history"

# When the code of a run came to a line.
seen: dict[str, float] = {}


def until(condition) -> None:
    while not condition():
        time.sleep(0.0005)


def seconds_to(name: str, begin) -> float:
    """Seconds from the call of `begin` to the line that sees the name."""
    seen.pop(name, None)
    start = time.perf_counter()
    begin()
    until(lambda: name in seen)
    return seen.pop(name) - start


def see(name: str) -> None:
    seen[name] = time.perf_counter()


def add(total: int, number: int) -> int:
    return total + number


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def is_postgres(store: str) -> bool:
    return store.startswith("postgresql:")


class Ours:
    """Stackful."""

    def __init__(self, store: str):
        import programs_durable
        from stackful import durable

        self.programs, self.durable, self.store = programs_durable, durable, store
        self.engine = None
        self.number = 0

    def open(self) -> None:
        self.engine = self.durable.connect(self.store)

    def steps(self, runs: int, count: int) -> float:
        from stackful.durable.starting import new_run

        new = [new_run(self.engine, self.programs.steps, (count,), {}) for _ in range(runs)]
        start = time.perf_counter()
        for handle in self.engine.start_all(new):
            expect(handle.result(), count * (count - 1) // 2)
        return time.perf_counter() - start

    def _first_line(self, **options) -> float:
        self.programs.seen = seen
        self.number += 1
        name = f"line {self.number}"
        return seconds_to(name, lambda: self.durable.start(self.programs.first_line, name, **options))

    def started(self) -> float:
        return self._first_line()

    def queued(self) -> float:
        return self._first_line(queue="bench")

    def sleepers(self, count: int) -> float:
        """Bytes of memory for each of so many runs that sleep."""
        from stackful.durable.starting import new_run

        before = resident()
        self.engine.start_all([new_run(self.engine, self.programs.asleep, (), {}) for _ in range(count)])
        until(lambda: self.engine.store.count().get(self.durable.Status.SLEEPING, 0) == count)
        return (resident() - before) / count

    def history(self, count: int) -> float:
        handle = self.durable.start(self.programs.many_steps_then_a_signal, count, "next", id="past")
        until(lambda: handle.status is self.durable.Status.WAITING)
        return 0.0

    def restart(self) -> float:
        """What begins before `open`: to the step after the history."""
        self.programs.seen = seen
        with self.durable.connect(self.store, work=False):
            self.durable.send("past", "go on")
        return seconds_to("next", self.open)


class Dbos:
    """DBOS, with the settings that it comes with, but for logs."""

    def __init__(self, store: str):
        from dbos import DBOS

        self.dbos = DBOS
        self.url = store if is_postgres(store) else f"sqlite:///{store}"
        DBOS(config={
            "name": "bench", "system_database_url": self.url, "application_version": "1", "executor_id": "bench", "log_level": "CRITICAL",
        })  # fmt: skip
        self._define()
        self.number = 0

    def _define(self) -> None:
        one_step, see_step = self.dbos.step()(add), self.dbos.step()(see)

        @self.dbos.workflow()
        def steps(count: int) -> int:
            total = 0
            for number in range(count):
                total = one_step(total, number)
            return total

        @self.dbos.workflow()
        def first_line(name: str) -> None:
            see(name)

        @self.dbos.workflow()
        def asleep() -> None:
            one_step(1, 2)
            self.dbos.sleep(NEVER)

        @self.dbos.workflow()
        def many_steps_then_a_signal(count: int, name: str) -> None:
            for number in range(count):
                one_step(0, number)
            see(LONG_AGO)
            self.dbos.recv("go on", timeout_seconds=NEVER)
            see_step(name)

        self.programs = {"steps": steps, "first_line": first_line, "asleep": asleep, "past": many_steps_then_a_signal}

    def open(self) -> None:
        self.dbos.launch()

    def steps(self, runs: int, count: int) -> float:
        start = time.perf_counter()
        handles = [self.dbos.start_workflow(self.programs["steps"], count) for _ in range(runs)]
        for handle in handles:
            expect(handle.get_result(), count * (count - 1) // 2)
        return time.perf_counter() - start

    def _name(self) -> str:
        self.number += 1
        return f"line {self.number}"

    def started(self) -> float:
        name = self._name()
        return seconds_to(name, lambda: self.dbos.start_workflow(self.programs["first_line"], name))

    def queued(self) -> float:
        if self.number == 0:
            self.dbos.register_queue("bench")
        name = self._name()
        return seconds_to(name, lambda: self.dbos.enqueue_workflow("bench", self.programs["first_line"], name))

    def sleepers(self, count: int) -> float:
        before = resident()
        handles = [self.dbos.start_workflow(self.programs["asleep"]) for _ in range(count)]
        for handle in handles:
            until(lambda found=handle.workflow_id: len(self.dbos.list_workflow_steps(found)) == 2)
        return (resident() - before) / count

    def history(self, count: int) -> float:
        from dbos import SetWorkflowID

        with SetWorkflowID("past"):
            self.dbos.start_workflow(self.programs["past"], count, "next")
        until(lambda: LONG_AGO in seen)
        time.sleep(1.0)  # it waits: what it waits for is stored
        return 0.0

    def restart(self) -> float:
        from dbos import DBOSClient

        client = DBOSClient(system_database_url=self.url)
        client.send("past", "now", topic="go on")
        client.destroy()
        return seconds_to("next", self.open)


class Langgraph:
    """LangGraph: a node that goes to itself; each of its steps is committed before the next begins (durability "sync")."""

    def __init__(self, store: str):
        self.store = store
        self.number = 0

    def open(self) -> None:
        from typing import TypedDict

        from langgraph.graph import END, START, StateGraph

        State = TypedDict("State", {"total": int, "number": int, "count": int})  # noqa: UP013 - it is local

        builder = StateGraph(State)
        builder.add_node(
            "add", lambda state: {"total": add(state["total"], state["number"]), "number": state["number"] + 1}
        )
        builder.add_edge(START, "add")
        builder.add_conditional_edges("add", lambda state: "add" if state["number"] < state["count"] else END)
        self.graph = builder.compile(checkpointer=self._checkpointer())

    def _checkpointer(self):
        if is_postgres(self.store):
            from langgraph.checkpoint.postgres import PostgresSaver

            self.opened = PostgresSaver.from_conn_string(self.store)
            saver = self.opened.__enter__()
            saver.setup()
            return saver
        from langgraph.checkpoint.sqlite import SqliteSaver

        connection = sqlite3.connect(self.store, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        return SqliteSaver(connection)

    def steps(self, runs: int, count: int) -> float:
        expect(runs, 1)
        self.number += 1
        config = {"configurable": {"thread_id": str(self.number)}, "recursion_limit": count + 10}
        start = time.perf_counter()
        found = self.graph.invoke({"total": 0, "number": 0, "count": count}, config, durability="sync")
        taken = time.perf_counter() - start
        expect(found["total"], count * (count - 1) // 2)
        return taken


PEERS = {"stackful": Ours, "dbos": Dbos, "langgraph": Langgraph}


def main() -> None:
    peer, store = sys.argv[1:]
    contender = PEERS[peer](store)
    is_open = False
    print("ready", flush=True)
    for line in sys.stdin:
        name, *numbers = line.split()
        if not is_open and name != "restart":
            contender.open()
        is_open = True
        used = time.process_time()
        answer = getattr(contender, name.removeprefix("processor:"))(*map(int, numbers))
        print(time.process_time() - used if name.startswith("processor:") else answer, flush=True)
    os._exit(0)  # threads that sleep for a day are not waited for


if __name__ == "__main__":
    main()
