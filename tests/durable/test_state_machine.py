"""Runs that are started, driven, killed, gone on with, forked, cancelled, signalled and retried in any order, against what must be true of them.

A kill is a SIGKILL of a real worker process: at once, or right before or after the n-th transaction of its store, or in the n-th step, when the
effect is done and its result is not recorded. (A warm process forks the workers, so that one costs milliseconds.) Beside the worker this
process starts, signals, cancels and forks, while that one is at work, or when none is.
"""

import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from itertools import count
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from durable.ledger import PROGRAMS, Warm, check_lines, check_result, effects, make_notes, notes
from stackful import StoreError, durable
from stackful.durable import Handle, Status

sys.path.insert(0, str(PROGRAMS))
import acts

ACTS = st.lists(
    st.sampled_from(["step", "step", "step", "book", "sleep", "wait", "wait", "child", "fail"]), min_size=4, max_size=9
)
WHICH = st.integers(0, 9)  # run
FUSES = st.tuples(st.sampled_from(["before", "after", "step", ""]), st.integers(1, 12))

FEW = settings(
    max_examples=12, stateful_step_count=16, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
MANY = settings(FEW, max_examples=40, stateful_step_count=30, derandomize=False)

numbers = count()


class Runs(RuleBasedStateMachine):
    """The model: what was asked for of each run. What follows from it is looked at in the end, when all have come to their end."""

    address = None  # None: a file of its own for each example
    warm = None

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stackful-machine-"))
        address = self.address or self.folder / "runs.db"
        self.engine = durable.connect(address, work=False)
        self.location = address
        make_notes(address)
        self.worker = None
        self.deaths = 0
        self.acts = {}  # of each run
        self.sent = defaultdict(list)  # to each run, without those that were one too many
        self.cancelled = set()
        self.origins = {}  # of forks: the run, and how many steps it had behind it

    # --- rules --------------------------------------------------------------------------------------------------------

    @rule(chosen=ACTS)
    def start(self, chosen):
        name = f"m{next(numbers)}"
        self.acts[name] = chosen
        assert durable.start(acts.play, chosen, id=name) == Handle(name)

    # When a worker dies is not known beforehand: which rules there are, and what they draw, must not hang on it.

    @rule(fuse=FUSES)
    def resume(self, fuse):
        """A worker takes the runs up, and may die of itself."""
        self.worker = self.worker or self.warm.worker(self.location, self.folder, *fuse)

    @rule()
    def rest(self):
        """The worker goes on until nothing is left for it to do, or it dies."""
        if self.worker and not self.worker.work(self.engine):
            self.bury(signal.SIGKILL)

    @rule(how=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    def end(self, how):
        if self.worker:
            self.bury(how)

    def bury(self, how):
        """Its end, by a kill or by a drain; what was done until then must be right by now."""
        ended = self.worker.end(how)
        self.worker = None
        assert ended in (0, -signal.SIGKILL)
        self.deaths += ended != 0
        for lines in effects(self.folder).values():
            check_lines(lines, self.deaths)

    @precondition(lambda self: self.acts)
    @rule(which=WHICH, is_double=st.booleans())
    def signal(self, which, is_double):
        """Deliver a signal, once or twice."""
        name = self.one(which)
        number = len(self.sent[name])
        taken = [self.engine.send(name, "go", [name, number], f"key {number}") for _ in range(1 + is_double)]
        assert not any(taken[1:])
        if taken[0]:
            self.sent[name].append([name, number])
        else:
            assert self.engine.store.run(name).status in (Status.FINISHED, Status.CANCELLED)

    @precondition(lambda self: self.acts)
    @rule(which=WHICH, is_meant=st.sampled_from([False, False, True]))
    def cancel(self, which, is_meant):
        if not is_meant:
            return  # most runs are to come to their own end
        name = self.one(which)
        has_ended = Handle(name).status in (Status.FINISHED, Status.FAILED, Status.CANCELLED)
        Handle(name).cancel()
        if not has_ended:
            self.cancelled.add(name)

    @precondition(lambda self: self.acts)
    @rule(which=WHICH)
    def fork(self, which):
        """A run that goes on where another one stands, with a life of its own."""
        origin, name = self.one(which), f"m{next(numbers)}"
        try:
            self.engine.fork(origin, id=name)
        except StoreError:
            return  # it has no state, yet or any more
        self.acts[name] = self.acts[origin]
        self.origins[name] = origin

    @precondition(lambda self: self.acts)
    @rule(which=WHICH)
    def retry(self, which):
        name = self.one(which)
        self.mend()
        try:
            self.engine.retry(name)
        except StoreError:
            assert self.worker or Handle(name).status is not Status.FAILED

    def one(self, which):
        return list(self.acts)[which % len(self.acts)]

    def mend(self):
        """What is broken is broken for all, until somebody comes."""
        (self.folder / "effects.log.mended").touch()

    # --- the end ------------------------------------------------------------------------------------------------------

    def teardown(self):
        try:
            self.finish()
            self.check()
        finally:
            if self.worker:
                self.bury(signal.SIGKILL)
            self.engine.close()
            shutil.rmtree(self.folder)

    def finish(self):
        """Have every run come to its end: send what is missing, mend what is broken, and let a worker live."""
        self.mend()
        for name, chosen in self.acts.items():
            while len(self.sent[name]) < chosen.count("wait") and self.engine.send(
                name, "go", [name, len(self.sent[name])]
            ):
                self.sent[name].append([name, len(self.sent[name])])
            if Handle(name).status is Status.FAILED:
                self.engine.retry(name)
        while True:
            if self.worker is None:
                self.worker = self.warm.worker(self.location, self.folder)
            is_alive = self.worker.work(self.engine)
            self.bury(signal.SIGTERM)
            failed = [name for name in self.acts if Handle(name).status is Status.FAILED]
            for name in failed:
                self.engine.retry(name)
            if is_alive and not failed:
                return

    def check(self):
        lines, booked = effects(self.folder), notes(self.location)
        for found in booked.values():
            assert len(found) == 1, "a transaction was repeated"
        for name, chosen in self.acts.items():
            status = Handle(name).status
            if status is Status.CANCELLED:
                assert name in self.cancelled
                assert not self.engine.store.run(name).seq or lines[name][-1][0] == len(chosen), (
                    "what was to be done in the end was not done"
                )
            else:
                assert status is Status.FINISHED, self.engine.store.run(name).error
                self.check_finished(name, chosen, lines[name], booked)

    def check_finished(self, name, chosen, lines, booked):
        got = Handle(name).result()
        waited = [value for act, value in zip(chosen, got, strict=True) if act == "wait"]
        own = [value for value in waited if value[0] == name]
        assert own == self.sent[name][: len(own)], "a signal was lost, or came twice, or out of order"
        origin = self.origins.get(name)
        if origin is None:
            assert own == waited
            check_result(name, chosen, got, lines, booked)
            return
        done = {place for place, _, _ in lines} | {place for run, place in booked if run == name}
        inherited = min(done, default=len(chosen))
        check_result(name, chosen, got, lines, booked, [place for place in range(inherited, len(chosen))] or [-1])
        assert waited[len(waited) - len(own) :] == own
        if Handle(origin).status is Status.FINISHED:
            common = [place for place in range(inherited) if chosen[place] in ("step", "book", "child")]
            theirs = Handle(origin).result()
            assert [got[place] for place in common] == [theirs[place] for place in common]


@pytest.fixture
def machine(monkeypatch):
    """Has a process that forks workers."""
    monkeypatch.setenv("STACKFUL_KEY", "00" * 32)
    monkeypatch.setattr(Runs, "warm", Warm())
    yield Runs
    Runs.warm.close()


def test_what_is_asked_of_runs_is_done_whatever_dies_in_between(machine):
    """All that was started comes to its end, with each result recorded once, each signal taken in once, each transaction done once."""
    run_state_machine_as_test(machine, settings=FEW)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_what_is_asked_of_runs_is_done_on_both_stores(request, monkeypatch, machine, store):
    """The same with more examples, others each time."""
    if store == "postgresql":
        monkeypatch.setattr(machine, "address", request.getfixturevalue("postgres_url"))
    run_state_machine_as_test(machine, settings=MANY)
