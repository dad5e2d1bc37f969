"""Worker processes that share a store, with what happens to processes: they end, are killed, paused and cut off, and the server restarts.

What the steps did is counted in a file that they write to, outside of any store.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from durable.commands import SOURCES
from stackful import durable
from stackful.durable.store import Status

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE = 60.0  # seconds for what should take one or two
NEVER = "3600"  # seconds of a lease that no test waits for

pytestmark = pytest.mark.timeout(300)


class Site:
    """A store, the workers on it, and the file that steps write to."""

    def __init__(self, folder, store, prefix=()):
        self.folder, self.store = folder, store
        self.effects = folder / "effects.log"
        self._prefix = prefix
        self._undo = ExitStack()

    def environment(self):
        return {
            **os.environ,
            "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}",
            "EFFECTS": str(self.effects),
            "STACKFUL_KEY": "00" * 32,
        }

    def worker(self, *options, store=None, prefix=()):
        """A process that is ready for work: it has joined."""
        joined = {worker.id for worker in self.engine.store.workers()}
        command = [
            *prefix,
            sys.executable,
            "-m",
            "stackful",
            "worker",
            "--store",
            store or self.store,
            *options,
            "counted",
        ]
        with open(self.folder / f"worker-{len(joined)}-{time.monotonic_ns()}.log", "wb") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdout=log, stderr=log)
        process.log = Path(log.name)
        self._undo.callback(self._end, process)
        self.wait_until(lambda: {w.id for w in self.engine.store.workers()} - joined, process)
        process.worker_id = ({w.id for w in self.engine.store.workers()} - joined).pop()
        return process

    def _end(self, process):
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()

    def wait_until(self, condition, process=None):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.logs()
            assert process is None or process.poll() is None, process.log.read_text()
            time.sleep(0.01)

    def logs(self):
        return "\n".join(f"{log.name}: {log.read_text()}" for log in self.folder.glob("worker-*.log"))

    def lines(self):
        return self.effects.read_text().splitlines() if self.effects.exists() else []

    def done(self):
        """How often each step was done: "RUN NUMBER" to a number."""
        return Counter(line.rpartition(" ")[0] for line in self.lines() if "begins" not in line)

    def pids(self):
        return {int(line.rpartition(" ")[2]) for line in self.lines()}

    def has_begun(self, step):
        return any(line.startswith(f"{step} begins ") for line in self.lines())

    def start(self, function, *arguments, run_id=None):
        return durable.start(function, *arguments, id=run_id or arguments[0])

    def finish(self, handles):
        """The results of runs; the logs of the workers when they take too long."""
        try:
            return [handle.result(timeout=PATIENCE) for handle in handles]
        except (TimeoutError, durable.RunFailedError) as error:
            raise AssertionError(f"{error}\n{self.lines()}\n{self.logs()}") from error

    def __enter__(self):
        os.environ["STACKFUL_KEY"] = "00" * 32
        self._undo.callback(os.environ.pop, "STACKFUL_KEY")
        sys.path.insert(0, str(PROGRAMS))
        self._undo.callback(sys.path.remove, str(PROGRAMS))
        self.engine = self._undo.enter_context(durable.connect(self.store, work=False))
        return self

    def __exit__(self, *error):
        self._undo.close()


@pytest.fixture
def site(tmp_path, postgres_url):
    """Workers on PostgreSQL."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)
    with Site(tmp_path, postgres_url) as site:
        yield site


@pytest.fixture(params=["sqlite", "postgres"])
def any_site(request, tmp_path):
    """Workers on either database."""
    if request.param == "postgres":
        yield request.getfixturevalue("site")
    else:
        with Site(tmp_path, str(tmp_path / "runs.db")) as site:
            yield site


def counted():
    import counted

    return counted


def test_workers_share_the_runs(any_site):
    """Many short runs, three workers: each step is done once, by whichever worker, and no worker does everything."""
    for _ in range(3):
        any_site.worker("--concurrency", "4")
    handles = [any_site.start(counted().count, f"r{n}", 3, 0.01) for n in range(60)]
    assert any_site.finish(handles) == [3] * 60
    assert any_site.done() == {f"r{n} {step}": 1 for n in range(60) for step in range(3)}
    assert len(any_site.pids()) > 1


def test_a_killed_workers_runs_go_on_elsewhere_at_once(any_site):
    """Nobody waits for a lease; each run repeats at most the step that was in flight."""
    options = ["--concurrency", "8", "--lease", NEVER]
    first = any_site.worker(*options)
    handles = [any_site.start(counted().count, f"r{n}", 40, 0.1) for n in range(8)]
    any_site.wait_until(lambda: len(any_site.lines()) > 40)
    any_site.worker(*options)
    first.kill()
    assert any_site.finish(handles) == [sum(range(40))] * 8
    done = any_site.done()
    assert set(done) == {f"r{n} {step}" for n in range(8) for step in range(40)}
    repeated = Counter(step.split()[0] for step, times in done.items() for _ in range(times - 1))
    assert all(times == 1 for times in repeated.values()), repeated
    assert len(any_site.pids()) == 2


def test_workers_killed_again_and_again_lose_nothing(any_site):
    """Whenever they die: all steps are done, none is recorded twice, and of each run one step at most is repeated for each death."""
    options = ["--concurrency", "16", "--lease", NEVER]
    handles = [any_site.start(counted().count, f"r{n}", 30, 0.005) for n in range(16)]
    deaths = 6
    for round_number in range(deaths):
        worker = any_site.worker(*options)
        any_site.wait_until(lambda: len(any_site.lines()) > 40 * (round_number + 1), worker)  # noqa: B023
        worker.kill()
        worker.wait()
    any_site.worker(*options)
    assert any_site.finish(handles) == [sum(range(30))] * 16
    done = any_site.done()
    assert set(done) == {f"r{n} {step}" for n in range(16) for step in range(30)}
    for n in range(16):
        assert sum(done[f"r{n} {step}"] - 1 for step in range(30)) <= deaths


def test_a_worker_that_is_told_to_end_drains(any_site):
    """The step in flight ends and is not repeated; the runs go on elsewhere, each step done once; the exit status is 0."""
    options = ["--concurrency", "20", "--threads", "2", "--lease", NEVER]
    first = any_site.worker(*options)
    long = any_site.start(counted().long_step, "long", 6.0)
    others = [any_site.start(counted().count, f"r{n}", 10, 0.02) for n in range(12)]
    naps = [any_site.start(counted().nap, f"n{n}", 3, 0.2) for n in range(3)]
    any_site.wait_until(lambda: any_site.has_begun("long 1"))
    any_site.worker(*options)
    first.terminate()
    assert any_site.finish(others) == [45] * 12
    assert any_site.finish(naps) == [3] * 3
    assert any_site.finish([long]) == [[0, 1, 2]]
    assert first.wait(PATIENCE) == 0, first.log.read_text()
    assert set(any_site.done().values()) == {1}
    ends = [line for line in any_site.lines() if line.startswith("long 1") and "begins" not in line]
    assert [int(line.split()[-1]) for line in ends] == [first.pid]
    assert {int(line.split()[-1]) for line in any_site.lines() if line.startswith("long 2")} == {
        int(pid) for pid in any_site.pids() if pid != first.pid
    }


def test_a_step_in_a_thread_of_its_own_is_waited_for_too(any_site):
    """A step with a timeout runs in another thread; its result is stored before the worker ends."""
    first = any_site.worker()
    timed = any_site.start(counted().timed, "timed", 1.0)
    any_site.wait_until(lambda: any_site.has_begun("timed 0"))
    first.terminate()
    assert first.wait(PATIENCE) == 0, first.log.read_text()
    assert any_site.done() == {"timed 0": 1}
    any_site.worker()
    assert any_site.finish([timed]) == [0]
    assert any_site.done() == {"timed 0": 1}


def test_a_worker_waits_for_steps_only_so_long(any_site):
    """Then it says by its exit status that a step is done again elsewhere."""
    first = any_site.worker("--patience", "0.2")
    long = any_site.start(counted().long_step, "long", 3.0)
    any_site.wait_until(lambda: any_site.has_begun("long 1"))
    first.terminate()
    assert first.wait(PATIENCE) == 76
    assert "steps that were still in flight: 1" in first.log.read_text()
    any_site.worker()
    assert any_site.finish([long]) == [[0, 1, 2]]
    assert any_site.done() == {"long 0": 1, "long 1": 1, "long 2": 1}


def test_a_second_signal_does_not_wait(any_site):
    """Who is in a hurry says it twice."""
    first = any_site.worker()
    any_site.start(counted().long_step, "long", 30.0)
    any_site.wait_until(lambda: any_site.has_begun("long 1"))
    first.terminate()
    any_site.wait_until(lambda: "takes up no more runs" in first.log.read_text())
    time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    assert first.wait(PATIENCE) == 76


def test_a_paused_worker_commits_nothing_when_it_wakes(site):
    """Its runs went on elsewhere when its lease was over; what it finishes after that is refused, and it is a worker again."""
    paused = site.worker("--lease", "4")
    long = site.start(counted().long_step, "long", 2.0)
    site.wait_until(lambda: site.has_begun("long 1"))
    paused.send_signal(signal.SIGSTOP)
    other = site.worker("--lease", "4")
    assert site.finish([long]) == [[0, 1, 2]]
    assert site.engine.store.run("long").steps == 3
    paused.send_signal(signal.SIGCONT)
    site.wait_until(lambda: site.done()["long 1"] == 2)
    assert site.done() == {"long 0": 1, "long 1": 2, "long 2": 1}
    assert {w.pid for w in site.engine.store.workers()} >= {other.pid}
    site.wait_until(lambda: paused.pid in {w.pid for w in site.engine.store.workers()})
    assert site.engine.store.run("long").steps == 3
    other.terminate()
    assert other.wait(PATIENCE) == 0
    assert site.finish([site.start(counted().count, "after", 3)]) == [3]
    assert {int(line.split()[-1]) for line in site.lines() if line.startswith("after")} == {paused.pid}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in order", "at once"])
def test_a_restart_of_the_server_loses_and_repeats_nothing(tmp_path, how):
    """In the middle of many runs: the workers wait for the server, and go on; each step is done once."""
    from postgresql import server

    pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)
    with server() as restarted, Site(tmp_path, restarted.url()) as site:
        for _ in range(2):
            site.worker("--concurrency", "8", "--lease", "60")
        handles = [site.start(counted().count, f"r{n}", 40, 0.01) for n in range(16)]
        handles += [site.start(counted().nap, f"n{n}", 8, 0.3) for n in range(4)]
        for mark in (100, 300):
            site.wait_until(lambda: len(site.lines()) > mark)  # noqa: B023
            restarted.stop(how)
            time.sleep(0.5)
            restarted.start()
        assert site.finish(handles) == [sum(range(40))] * 16 + [8] * 4
        assert set(site.done().values()) == {1}
        assert len(site.done()) == 16 * 40 + 4 * 8


def test_a_worker_that_is_cut_off_loses_its_runs_and_commits_nothing(tmp_path):
    """Its network is gone, and nobody is told: after its lease its runs go on elsewhere; when the network is back, it is a worker again."""
    from namespaces import cut_off_network
    from postgresql import server

    pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)
    with cut_off_network() as network, server(address=network.outside) as far, Site(tmp_path, far.url()) as site:
        away = site.worker("--lease", "5", prefix=network.inside)
        long = site.start(counted().long_step, "long", 3.0)
        site.wait_until(lambda: site.has_begun("long 1"))
        network.cut()
        site.worker("--lease", "5")
        assert site.finish([long]) == [[0, 1, 2]]
        assert site.engine.store.run("long").steps == 3
        site.wait_until(lambda: site.done()["long 1"] == 2)
        network.mend()
        site.wait_until(lambda: away.pid in {w.pid for w in site.engine.store.workers()})
        assert site.done() == {"long 0": 1, "long 1": 2, "long 2": 1}
        assert site.engine.store.run("long").steps == 3
        assert site.engine.store.outcomes(["long"])[0].status is Status.FINISHED


def test_a_full_disk_of_the_server_is_waited_for(tmp_path):
    """The server refuses, or even ends; when there is space again the runs go on where they were, each step done once."""
    from namespaces import small_disk
    from postgresql import server

    pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)
    with (
        small_disk("160m") as disk,
        server(parent=disk, max_wal_size="8MB") as full,
        Site(tmp_path, full.url()) as site,
    ):
        worker = site.worker("--lease", NEVER)
        handles = [site.start(counted().heavy, f"r{n}", 40, 0.02) for n in range(8)]
        site.wait_until(lambda: len(site.lines()) > 60)
        ballast = disk / "ballast"
        with ballast.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        site.wait_until(lambda: "are not stored yet, their runs wait" in worker.log.read_text())
        assert (
            "the disk of the server is full" in worker.log.read_text() or "the server is away" in worker.log.read_text()
        )
        ballast.unlink()
        if full.process.poll() is not None:
            full.start()
        assert site.finish(handles) == [sum(range(40))] * 8
        assert set(site.done().values()) == {1}


def test_a_damaged_state_ends_its_run_and_no_other(site):
    """What was changed in the database is noticed before anything of it is looked into."""
    handles = [site.start(counted().patient, name) for name in ("a", "b")]
    first = site.worker()
    site.wait_until(lambda: [handle.status for handle in handles] == [Status.WAITING] * 2)
    first.terminate()
    first.wait()
    import psycopg

    with psycopg.connect(site.store) as session:
        session.execute(
            "UPDATE stackful.states SET data = set_byte(data, 100, get_byte(data, 100) # 1) WHERE run = 'a'"
        )
    for handle in handles:
        durable.send(handle.id, "go")
    site.worker()
    assert site.finish([handles[1]]) == ["went"]
    assert handles[0].wait(timeout=PATIENCE) is Status.FAILED
    assert "SealError" in site.engine.store.outcomes(["a"])[0].error


def test_workers_take_their_queues_only(any_site):
    """Runs of other queues, and of none, are left for other workers."""
    from stackful.durable.records import Queue

    first = any_site.worker("--queues", "fast")
    any_site.engine.put_queue(Queue("fast", concurrency=2))
    fast = [durable.start(counted().count, f"f{n}", 2, queue="fast", id=f"f{n}") for n in range(6)]
    slow = durable.start(counted().count, "s", 2, queue="slow", id="s")
    assert any_site.finish(fast) == [1] * 6
    assert slow.status is Status.PENDING
    second = any_site.worker("--queues", "slow, -")
    free = durable.start(counted().count, "free", 2, id="free")
    assert any_site.finish([slow, free]) == [1, 1]
    for line in any_site.lines():
        assert int(line.split()[-1]) == (
            first.pid if line.startswith("f") and not line.startswith("free") else second.pid
        )


def test_a_script_is_not_kept_in_postgresql(tmp_path):
    """It is said, and no file of that name is made."""
    (tmp_path / "script.py").write_text("print('never')")
    command = [sys.executable, "-m", "stackful", "run", "--store", "postgresql://db.example/runs", "script.py"]
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert (done.returncode, done.stdout) == (74, "")
    assert "runs of functions may be in PostgreSQL" in done.stderr
    assert os.listdir(tmp_path) == ["script.py"]


def test_a_worker_says_what_it_cannot_work_on(tmp_path):
    """A module that is not there, one without runs, a store that is none: one message, and a status of its own."""
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}", "STACKFUL_KEY": "00" * 32}

    def answer(*arguments):
        command = [sys.executable, "-m", "stackful", "worker", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=100
        )
        return done.returncode, done.stderr

    status, text = answer("absent_module")
    assert (status, "the module absent_module cannot be imported" in text, text.count("\n")) == (66, True, 1)
    status, text = answer("json")
    assert (status, "no function in json is marked with @durable.run" in text, text.count("\n")) == (66, True, 1)
    status, text = answer("--store", "mysql://nowhere", "counted")
    assert (status, "neither the path of an SQLite file nor a URL" in text, text.count("\n")) == (74, True, 1)
    assert answer()[0] == 64
