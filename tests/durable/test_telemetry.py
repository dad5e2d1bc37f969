"""Spans of runs and of their steps, read back from OpenTelemetry's own exporter in memory."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from stackful import durable
from stackful.durable import telemetry
from stackful.durable.engine import Engine

trace = pytest.importorskip("opentelemetry.trace", reason="opentelemetry-api is not installed: NOT RUN")
pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed: NOT RUN")

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

POOLS = []


class Spans:
    """A provider of tracers, and what became of its spans."""

    def __init__(self):
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def named(self, name, count=1):
        """The spans of this name, once so many have ended."""
        end = time.monotonic() + 60
        while len(found := [span for span in self._exporter.get_finished_spans() if span.name == name]) < count:
            assert time.monotonic() < end, f"no {count} spans {name!r} in a minute: {found}"
            time.sleep(0.005)
        assert len(found) == count
        return found

    def all(self):
        return self._exporter.get_finished_spans()


@pytest.fixture
def spans():
    return Spans()


@pytest.fixture
def engine(tmp_path, spans):
    with durable.connect(tmp_path / "runs.db") as engine:
        telemetry.instrument(engine, spans.provider)
        yield engine


def double(number):
    return 2 * number


def current_span():
    return format(trace.get_current_span().get_span_context().span_id, "016x")


def fail_at_first():
    if durable.current_step().attempt < 3:
        raise OSError("not yet")
    return "done"


async def double_later(number):
    trace.get_current_span().add_event("awaited")
    return 2 * number


def fail():
    raise ValueError("never")


def book(connection):
    return connection.execute("SELECT 7").fetchone()[0]


@durable.run
def doubled(number):
    return durable.step(double, durable.step(double, number), key="second")


@durable.run
def patient():
    return durable.step(fail_at_first, retries=5, backoff=0.01, name="patience")


@durable.run
def asleep_in_between():
    durable.step(double, 1)
    durable.sleep(0.05)
    return durable.step(double, 2)


@durable.run
def waiting():
    durable.step(double, 1)
    return durable.wait_signal("go on")


@durable.run
def failing():
    durable.step(fail)


@durable.run
def forgiving():
    kept = None
    try:
        durable.step(fail)
    except ValueError as error:
        kept = error
    durable.step(double, 1)
    return str(kept)


@durable.run
def elsewhere():
    pool = durable.step(double_later, 1)
    return pool, durable.step(double, 2, executor=lambda: POOLS[-1]), durable.step(double, 3, timeout=60)


@durable.run
def failing_elsewhere():
    durable.step(fail, timeout=60)


@durable.run
def booking():
    return durable.transaction(book)


@durable.run
def parent():
    return durable.start(doubled, 3, id="a-child").result()


@durable.run
def seeing():
    return durable.step(current_span), current_span()


@durable.run
async def awaited():
    return await durable.aio.step(double, await durable.aio.step(double_later, 1))


def attributes(span, *names):
    return [span.attributes[f"stackful.{name}"] for name in names]


def test_a_run_is_a_span_with_its_id_worker_and_status(engine, spans):
    """A run that one process drives from its start to its end is one span, which says so."""
    handle = durable.start(doubled, 3, id="a")
    assert handle.result() == 12
    [span] = spans.named(f"{__name__}:doubled")
    assert attributes(span, "run.id", "worker", "run.status", "run.state") == ["a", engine.worker, "finished", 0]
    assert span.status.is_ok is True
    assert span.end_time >= span.start_time


def test_a_step_is_a_child_span_with_its_number_attempt_and_key(engine, spans):
    """Each step is a span within the run's, with what `current_step` tells."""
    durable.start(doubled, 3, id="a").result()
    [run] = spans.named(f"{__name__}:doubled")
    first, second = spans.named("double", 2)
    for span in (first, second):
        assert span.parent.span_id == run.context.span_id
        assert span.context.trace_id == run.context.trace_id
    assert attributes(first, "run.id", "step.number", "step.attempt", "step.key") == ["a", 1, 1, "a/1"]
    assert attributes(second, "run.id", "step.number", "step.attempt", "step.key") == ["a", 2, 1, "second"]


def test_each_attempt_of_a_step_is_a_span_with_its_exception(engine, spans):
    """Attempts that raise have the exception on their spans, the last one has none; the same number and key on all."""
    assert durable.start(patient, id="p").result() == "done"
    found = spans.named("patience", 3)
    assert [attributes(span, "step.number", "step.attempt", "step.key") for span in found] == [
        [1, attempt, "p/1"] for attempt in (1, 2, 3)
    ]
    assert [[event.attributes["exception.message"] for event in span.events] for span in found] == [
        ["not yet"],
        ["not yet"],
        [],
    ]
    assert [span.status.is_ok for span in found] == [False, False, True]


def test_a_run_that_sleeps_is_two_spans_in_one_trace(engine, spans):
    """What a run does before a sleep and after it are two spans, with how each ended, in the trace that its id tells."""
    durable.start(asleep_in_between, id="s").result()
    before, after = spans.named(f"{__name__}:asleep_in_between", 2)
    assert attributes(before, "run.status") + attributes(after, "run.status") == ["sleeping", "finished"]
    assert attributes(after, "run.state")[0] > 0
    assert {span.context.trace_id for span in spans.all()} == {telemetry.trace_id("s")}
    assert before.parent.span_id == after.parent.span_id


def test_a_run_that_waits_says_for_what(engine, spans):
    """The span of a run that waits ends with what it waits for; the next begins when that is there."""
    handle = durable.start(waiting)
    [span] = spans.named(f"{__name__}:waiting")
    assert attributes(span, "run.status", "run.waits") == ["waiting", "signal:go on"]
    durable.send(handle.id, "go on", 5)
    assert handle.result() == 5
    assert attributes(spans.named(f"{__name__}:waiting", 2)[1], "run.status") == ["finished"]


def test_a_run_that_fails_has_the_traceback_on_its_span(engine, spans):
    """A run that ends by an exception is an error, with its message and traceback; its step has the exception as well."""
    with pytest.raises(durable.RunFailedError):
        durable.start(failing).result()
    [span] = spans.named(f"{__name__}:failing")
    assert attributes(span, "run.status") == ["failed"]
    assert (span.status.is_ok, span.status.description) == (False, "ValueError: never")
    assert "in fail" in span.events[0].attributes["exception.stacktrace"]
    assert spans.named("fail")[0].events[0].attributes["exception.type"] == "ValueError"


def test_an_exception_of_a_step_can_be_stored_with_the_run(engine, spans):
    """The span around a step leaves nothing in the exception that passes through it: a run that keeps it is stored as ever."""
    assert durable.start(forgiving).result() == "never"
    assert len(spans.named("double")) == 1


def test_steps_that_run_elsewhere_are_spans_until_their_result_is_there(engine, spans):
    """Coroutines, executors and threads: a span each, current within where the function runs in this process."""
    with ThreadPoolExecutor(1) as pool:
        POOLS.append(pool)
        assert durable.start(elsewhere).result() == (2, 4, 6)
    [run] = spans.named(f"{__name__}:elsewhere")
    [later] = spans.named("double_later")
    assert [event.name for event in later.events] == ["awaited"]
    for span in (later, *spans.named("double", 2)):
        assert span.parent.span_id == run.context.span_id


def test_a_step_that_fails_elsewhere_has_its_exception(engine, spans):
    """What a function in another thread raises is on its span."""
    with pytest.raises(durable.RunFailedError):
        durable.start(failing_elsewhere).result()
    [span] = spans.named("fail")
    assert span.events[0].attributes["exception.message"] == "never"
    assert span.status.description == "ValueError: never"


def test_a_transaction_is_a_span(engine, spans):
    """A transaction is a step, and has a span as one."""
    assert durable.start(booking).result() == 7
    assert attributes(spans.named("book")[0], "step.number") == [1]


def test_a_child_run_is_a_trace_of_its_own_linked_to_its_parent(engine, spans):
    """A child's span is in its own trace, with a link into its parent's."""
    assert durable.start(parent, id="p").result() == 12
    [span] = spans.named(f"{__name__}:doubled")
    assert span.context.trace_id == telemetry.trace_id("a-child")
    assert [link.context.trace_id for link in span.links] == [telemetry.trace_id("p")]


def test_what_a_step_does_is_within_its_span(engine, spans):
    """The step's span is the current one in its function, the run's between steps: what else is instrumented finds its parent."""
    in_step, between = durable.start(seeing).result()
    assert in_step == format(spans.named("current_span")[0].context.span_id, "016x")
    assert between == format(spans.named(f"{__name__}:seeing")[0].context.span_id, "016x")
    assert not trace.get_current_span().get_span_context().is_valid


def test_async_runs_have_spans(engine, spans):
    """Runs that are `async def`, and their steps, have the same spans."""
    import stackful.durable.aio  # noqa: F401 - as durable.aio

    assert durable.start(awaited).result() == 4
    [run] = spans.named(f"{__name__}:awaited")
    for name in ("double_later", "double"):
        assert spans.named(name)[0].parent.span_id == run.context.span_id


def test_runs_that_are_given_back_end_their_spans(tmp_path, spans):
    """When an engine is closed, the spans of what is under way end with "released"."""
    engine = durable.connect(tmp_path / "runs.db")
    telemetry.instrument(engine, spans.provider)
    reached, go_on = threading.Event(), threading.Event()
    EVENTS[:] = [reached, go_on]
    durable.start(held_up)
    reached.wait(60)
    closing = threading.Thread(target=engine.close)
    closing.start()
    time.sleep(0.05)
    go_on.set()
    closing.join(60)
    assert attributes(spans.named(f"{__name__}:held_up")[0], "run.status") == ["released"]


def take_over(path):
    with sqlite3.connect(path) as db:
        db.execute("UPDATE states SET fence = fence + 1")
    db.close()


@durable.run
def taken_over(path):
    durable.step(take_over, path)
    return "not here"


def test_a_run_that_was_taken_over_ends_its_span(engine, spans):
    """Where another worker has a run in the meantime, the span here ends with "lost"."""
    durable.start(taken_over, engine.store.path)
    assert attributes(spans.named(f"{__name__}:taken_over")[0], "run.status") == ["lost"]


EVENTS = []


def hold_up():
    EVENTS[0].set()
    EVENTS[1].wait(60)


@durable.run
def held_up():
    durable.step(hold_up)
    durable.step(double, 1)


def test_nothing_is_loaded_and_no_span_made_unless_asked_for(tmp_path):
    """A process that does not ask for spans does not load OpenTelemetry."""
    program = textwrap.dedent("""
        import sys
        from stackful import durable

        @durable.run
        def one():
            return durable.step(max, 1, 2)

        with durable.connect("runs.db"):
            print(durable.start(one).result(), [name for name in sys.modules if name.startswith("opentelemetry")])
    """)
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "2 []\n"


class Failing(SpanProcessor):
    """What nobody should have installed."""

    def __init__(self, when):
        self.when = when

    def on_start(self, span, parent_context=None):
        if self.when == "start":
            raise OSError("no start")

    def on_end(self, span):
        if self.when == "end":
            raise OSError("no end")


@pytest.mark.parametrize("when", ["start", "end"])
def test_no_run_fails_for_want_of_a_span(when, tmp_path, spans, caplog):
    """Where what makes or takes the spans raises, that is logged; runs and steps go on as ever, each step called once."""
    spans.provider.add_span_processor(Failing(when))
    with durable.connect(tmp_path / "runs.db") as engine:
        telemetry.instrument(engine, spans.provider)
        CALLS.clear()
        assert durable.start(counting).result() == [1, 2, 3]
    assert CALLS == [1, 2, 3]
    assert "a span could not be made, or ended" in caplog.text


CALLS = []


def count(number):
    CALLS.append(number)
    return number


@durable.run
def counting():
    return [durable.step(count, 1), durable.step(count, 2, timeout=60), durable.step(count, 3)]


def test_all_engines_of_a_process_can_be_instrumented(tmp_path, spans, monkeypatch):
    """Without an engine it is for all of the process, those to come included."""
    monkeypatch.setattr(Engine, "telemetry", None)
    telemetry.instrument(tracer_provider=spans.provider)
    with durable.connect(tmp_path / "runs.db"):
        durable.start(doubled, 1).result()
    assert len(spans.named(f"{__name__}:doubled")) == 1


KILLED = """
import os, signal, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
from stackful import durable
from stackful.durable import telemetry

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(
    formatter=lambda span: f"{span.name} {span.context.trace_id:032x} {span.attributes.get('stackful.run.status')}\\n")))
telemetry.instrument(tracer_provider=provider)

def first():
    return 1

def second():
    if "killed" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2

@durable.run
def killed():
    return durable.step(first) + durable.step(second)

with durable.connect("runs.db"):
    result = durable.start(killed, id="k").result()
print(result)
"""


def test_a_run_is_one_trace_over_a_kill(tmp_path):
    """Spans of a process that was killed and those of the next one are in one trace, the one that the run's id tells."""
    (tmp_path / "program.py").write_text(KILLED)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "program.py"]
    first = subprocess.run([*command, "killed"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert first.returncode == -9, first.stderr
    then = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert then.returncode == 0, then.stderr
    trace_id = format(telemetry.trace_id("k"), "032x")
    assert first.stdout.split() == ["first", trace_id, "None"]
    assert then.stdout.splitlines() == [f"second {trace_id} None", f"__main__:killed {trace_id} finished", "3"]


def test_the_error_says_what_to_install(monkeypatch):
    """Where OpenTelemetry is not installed, `instrument` says which extra has it."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"pip install 'stackful\[otel\]'"):
        telemetry.instrument()
