"""OpenTelemetry spans for runs and their steps, for those who ask for them. Nothing of OpenTelemetry is loaded before."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, SpanContext, Tracer, TracerProvider

    from stackful.durable.active import ActiveRun
    from stackful.durable.contexts import Driver
    from stackful.durable.engine import Engine
    from stackful.durable.records import Change

__all__ = ["RunSpan", "Telemetry", "instrument", "trace_id"]

_R = TypeVar("_R")

_log = logging.getLogger("stackful.durable")

# Of the span that all parts of a run have as their parent; it is never made, since it would have to be open as long as the run.
_ROOT = 1


def instrument(engine: Engine | None = None, tracer_provider: TracerProvider | None = None) -> None:
    """Have spans made of the runs that an engine drives from now on, and of their steps.

    A run is one trace, wherever its parts run: `trace_id` tells its id. A part, from when a process takes the run up until it sleeps, waits, ends
    or goes elsewhere, is a span with the name of the run's function; each attempt of a step, or transaction, is a span within it, and the current
    one while the step's function runs.

    Args:
        engine: the engine; None: all of this process, those to come included (as in a module that `stackful worker` loads).
        tracer_provider: makes the spans; by default OpenTelemetry's global one.

    Raises:
        ImportError: OpenTelemetry is not installed.

    Example:
        >>> instrument(engine)  # doctest: +SKIP
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise ImportError(
            f"spans are made by opentelemetry-api, which is not there ({error}): pip install 'stackful[otel]'"
        ) from error
    from stackful.durable.engine import Engine

    made = Telemetry(trace.get_tracer("stackful.durable", tracer_provider=tracer_provider))
    if engine is None:
        Engine.telemetry = made
    else:
        engine.telemetry = made


def trace_id(run_id: str) -> int:
    """The id of the trace that a run is: the same in every process. In text it is ``format(trace_id(run_id), "032x")``.

    Example:
        >>> format(trace_id("order-1"), "032x")
        'bf3c5a80014cb38af2354de8d5d810c1'
    """
    return int.from_bytes(sha256(f"stackful run {run_id}".encode()).digest()[:16], "big") or 1


class RunSpan:
    """The span of a part of a run.

    Args:
        span: OpenTelemetry's.
    """

    def __init__(self, span: Span) -> None:
        self.span = span

    def end(self, status: str, change: Change | None = None) -> None:
        """The run is no longer under way here.

        Args:
            status: how it left: "sleeping", "waiting", or as it ended; "released": to go on elsewhere; "lost": another worker had taken it over.
            change: what was stored with that.
        """
        _quietly(self._end, status, change)

    def _end(self, status: str, change: Change | None) -> None:
        from opentelemetry.trace import StatusCode

        self.span.set_attribute("stackful.run.status", status)
        if change is not None and change.waits:
            self.span.set_attribute("stackful.run.waits", change.waits)
        if change is not None and change.error:
            message = change.error.strip().rpartition("\n")[2]
            self.span.add_event("exception", {"exception.message": message, "exception.stacktrace": change.error})
            self.span.set_status(StatusCode.ERROR, message)
        self.span.end()


class Telemetry:
    """Makes the spans of an engine. Where the making of one fails, that is logged, and the run goes on without.

    Args:
        tracer: OpenTelemetry's.
    """

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry.trace import use_span

        self._tracer, self._use = tracer, use_span

    def turn(self, run: ActiveRun, go_on: Callable[[ActiveRun], None]) -> None:
        """Have a run go on, with its span as the current one; the span begins here where the run was just taken up."""
        if run.span is None:
            run.span = _quietly(self._begin, run)
        if run.span is None:
            go_on(run)
            return
        with self._use(run.span.span, record_exception=False, set_status_on_exception=False):
            go_on(run)

    def within_step(self, driver: Driver, function: Callable[..., Any]) -> Callable[..., Any]:
        """A step's function, with a span around it."""
        span = self._step(driver)
        if span is None:
            return function

        def call(*args: Any, **keywords: Any) -> Any:
            try:
                with self._use(span):
                    return function(*args, **keywords)
            finally:
                _quietly(span.end)

        return call

    def submit(self, run: ActiveRun, submit: Callable[[], Any]) -> Any:
        """Have a step's function called elsewhere: its span ends with the future that `submit` gives."""
        span = self._step(run)
        if span is None:
            return submit()
        try:
            with self._use(span):
                future = submit()
        except BaseException:
            _quietly(span.end)
            raise
        future.add_done_callback(lambda done: _quietly(_end_with, span, done))
        return future

    def _begin(self, run: ActiveRun) -> RunSpan:
        from opentelemetry.trace import Link, NonRecordingSpan, set_span_in_context

        attributes = {
            "stackful.run.id": run.id,
            "stackful.run.state": run.seq,
            "stackful.worker": getattr(run.drives, "worker", None) or "",
        }
        links = [Link(_context_of(run.parent))] if run.parent else []
        whole = set_span_in_context(NonRecordingSpan(_context_of(run.id)))
        return RunSpan(self._tracer.start_span(run.program, whole, attributes=attributes, links=links))

    def _step(self, driver: Driver) -> Span | None:
        number = driver.steps + 1
        attributes = {
            "stackful.run.id": driver.id,
            "stackful.step.number": number,
            "stackful.step.attempt": driver.attempt,
            "stackful.step.key": driver.key or f"{driver.id}/{number}",
        }
        return _quietly(self._tracer.start_span, driver.step, attributes=attributes)


def _context_of(run_id: str) -> SpanContext:
    """What stands for a run as a whole. It is sampled: who wants fewer decides by the trace's id, and so the same for all its parts."""
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace_id(run_id), _ROOT, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _end_with(span: Span, future: Any) -> None:
    from opentelemetry.trace import StatusCode

    try:
        error = future.exception()
    except BaseException as raised:  # noqa: BLE001 - it was cancelled
        error = raised
    if error is not None:
        span.record_exception(error)
        span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
    span.end()


def _quietly(call: Callable[..., _R], *args: Any, **keywords: Any) -> _R | None:
    """Call what a sampler or an exporter may fail in; None where it did. No run may fail for want of a span."""
    try:
        return call(*args, **keywords)
    except Exception:  # noqa: BLE001 - they are anybody's code
        _log.warning("a span could not be made, or ended", exc_info=True)
        return None
