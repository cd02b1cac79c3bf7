"""`opentelemetry-instrument --traces_exporter watchglass --metrics_exporter watchglass`: exporters into the store.

They serve a process that knows nothing of Watchglass. Where it observes an application itself, they leave spans and log
lines to that, and its recorder takes what their reader reads. Nothing starts before there is something to keep.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import export as log_export
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from watchglass import guard
from watchglass.exporters.exports import instance_of
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.adopted import terminating
from watchglass.instrumentation.adopted.meters import AdoptedMeters, Reader, by_entry_point
from watchglass.instrumentation.adopted.spans import Traces
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import WATCHGLASS_DROPPED
from watchglass.records import State
from watchglass.settings import Settings

_LOOK_SECONDS = 1.0

# Their names until SDK 1.39.
_LogExporter: Any = getattr(log_export, "LogRecordExporter", None) or log_export.LogExporter
_LogResult: Any = getattr(log_export, "LogRecordExportResult", None) or log_export.LogExportResult


class Standalone:
    """The way into the store of a process without an observed application, shared by its exporters."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.traces = Traces(settings)
        self._lock = threading.Lock()
        self._users = 0
        self._started = self._forked = False
        self._begin()
        self.pipeline = Pipeline(
            settings,
            instance_of(settings),
            self._collect,
            retire=self._retire,
            overflowed=lambda: self._recorder.overflowed,
        )

    def _begin(self) -> None:
        settings = self.settings
        self._recorder = Recorder(settings.max_series, idle_seconds=60 * settings.series_idle_minutes)
        self._adopted = AdoptedMeters(self._recorder, besides_ours=False)

    def _collect(self) -> list[State]:
        if self._started and not observes():
            self._read()
        return self._recorder.collect()

    def _retire(self) -> list[State]:
        return self._recorder.retire()

    def _read(self) -> None:
        """What others measured; an application that is observed by now takes it itself."""
        for reader in list(by_entry_point):
            with guard.protected("entry_points"):
                reader.read(self._adopted.add)

    def join(self) -> None:
        """One exporter more."""
        self._users += 1
        terminating.prepare(self.settings.shutdown_timeout)

    def start(self) -> bool:
        """Come to life, now that there is something to keep; False where an observed application keeps it."""
        if not self.settings.active or (not self._started and observes()):
            return False
        if not self._started:
            self._started = True
            self.pipeline.start()
        return True

    def offer_spans(self, spans: Sequence[Any]) -> None:
        """Have the traces stored whose roots are among them; spans that are let go of without theirs are counted."""
        before = self.traces.dropped
        for trace in self.traces.add(spans):
            self.pipeline.offer_trace(trace)
        if self.traces.dropped > before:
            self._recorder.counter(WATCHGLASS_DROPPED, ("traces", "no_root")).add(self.traces.dropped - before)

    def watch(self) -> None:
        """Look every second whether something was measured, until something was."""
        threading.Thread(target=self._watch, name="watchglass-adopting", daemon=True).start()

    def _watch(self) -> None:
        waiting = threading.Event()
        if self._forked:
            for reader in list(by_entry_point):  # what the parent measured since it read last is the parent's
                reader.read(lambda data: None)
        while not self._started and not observes():
            self._read()
            if len(self._recorder):
                self.start()
                return
            waiting.wait(_LOOK_SECONDS)

    def leave(self) -> None:
        """One exporter less; the last one writes what is left."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last and self._started:
            self.pipeline.stop()
            self._started = False

    def after_fork(self) -> None:
        """In the child: measure anew, and start once there is something of its own."""
        self._lock = threading.Lock()
        self._started, self._forked = False, True
        self.traces = Traces(self.settings)
        self._begin()
        for reader in list(by_entry_point):
            reader.fresh()
        if by_entry_point:
            self.watch()


_standalone: Standalone | None = None


def standalone() -> Standalone:
    """The one of this process, made on first use."""
    global _standalone
    if _standalone is None:
        _standalone = Standalone(Settings())
    return _standalone


def observes() -> bool:
    """Whether this process observes an application."""
    wiring = sys.modules.get("watchglass.wiring")
    return wiring is not None and wiring.house() is not None


class WatchglassSpanExporter(SpanExporter):
    """Spans into the store: whole traces, once their local root ended."""

    def __init__(self) -> None:
        self._to = standalone()
        self._to.join()

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        """What is taken waits in the pipeline, whatever the store does: there is no failure."""
        with guard.protected("entry_points"):
            if self._to.start():
                self._to.offer_spans(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._to.leave()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """The pipeline flushes by itself."""
        return True


class WatchglassMetricReader(Reader):
    """Metrics into the store, read whenever the pipeline flushes."""

    def __init__(self) -> None:
        super().__init__()
        by_entry_point.add(self)
        self._to = standalone()
        self._to.join()
        self._to.watch()

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        self._to.leave()


class WatchglassLogExporter(_LogExporter):  # type: ignore[misc]
    """Log lines into the store."""

    def __init__(self) -> None:
        self._to = standalone()
        self._to.join()

    def export(self, batch: Sequence[Any]) -> Any:
        """What is taken waits in the pipeline, whatever the store does: there is no failure."""
        from watchglass.instrumentation.adopted.logs import record_of

        with guard.protected("entry_points"):
            if self._to.start():
                for data in batch:
                    self._to.pipeline.offer_log(record_of(data, self._to.settings.redaction_key))
        return _LogResult.SUCCESS

    def shutdown(self) -> None:
        self._to.leave()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """The pipeline flushes by itself."""
        return True


def _after_fork_in_child() -> None:
    if _standalone is not None:
        with guard.protected("entry_points"):
            _standalone.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
