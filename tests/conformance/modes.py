"""What else watches the service: nothing, contrib, or FastAPI's own telemetry; and whose spans it has."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

import fastapi
import pytest
from opentelemetry import trace
from opentelemetry.metrics import _internal as metrics_internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from watchglass.instrumentation.contrib_packages import ContribPackages
from watchglass.instrumentation.native import Native
from watchglass.instrumentation.recorder import Recorder

OLD_CONTRIB = version("opentelemetry-instrumentation") == "0.49b0"
"""The oldest that is allowed sees a pool's own statements and suppressed ones, and none that are prepared."""


class Mode:
    """How the host uses OpenTelemetry; here: not at all."""

    counts = 1
    """How many requests the host's own instruments count of one, of ours or not: contrib's, one more of a mount."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.last = ExitStack()

    def begin(self) -> None:
        """Do what the host does before it makes its application."""

    def finish(self) -> None:
        """Leave the process as it was."""
        self.last.close()

    def prepare(self, app: Any) -> None:
        """Instrument the application as the host would."""

    spans_of_contrib = False
    """Whether the spans of statements and commands are contrib's."""

    def instrument_clients(self) -> None:
        """Instrument asyncpg and redis-py as the host would, before we do."""

    def take_clients(self, recorder: Recorder) -> None:
        """Do what `observe` does once our own instrumentors are at work."""

    def leave_clients(self) -> None:
        """Undo `take_clients`."""

    def spans(self, kind: SpanKind | None = None) -> list[ReadableSpan] | None:
        """The spans that the host exported; None where it exports none."""
        return None

    def server_spans(self) -> int | None:
        spans = self.spans(SpanKind.SERVER)
        return None if spans is None else len(spans)

    def requests(self) -> int | None:
        """How many requests the host's own instruments counted; None where it has none."""
        return None


class Plain(Mode):
    """The host does not use OpenTelemetry."""


class BySetting(Mode):
    """The service has `instrumentation="contrib"`."""

    spans_of_contrib = True

    def begin(self) -> None:
        self.packages = ContribPackages()

    def enter(self, app: Any) -> None:
        self.packages.enter(app)
        self.last.callback(self.packages.leave, app)

    def take_clients(self, recorder: Recorder) -> None:
        self.packages.instrument(recorder)

    def leave_clients(self) -> None:
        self.packages.uninstrument()


class ContribSpans(BySetting):
    """That, and the host does not use OpenTelemetry."""

    def prepare(self, app: Any) -> None:
        self.enter(app)


class Exporting(Mode):
    """The host set its global providers, and nothing makes server spans but Watchglass."""

    metric: str | None = None

    def prepare(self, app: Any) -> None:
        self.provide()
        self.instrument(app)

    def provide(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        self.monkeypatch.setattr(
            metrics_internal, "_METER_PROVIDER", MeterProvider([self.reader], shutdown_on_exit=False)
        )

    def instrument(self, app: Any) -> None:
        """Turn FastAPI's own telemetry off."""
        if Native.available:
            app._telemetry.update(tracing=False, metrics=False, logs=False)

    def spans(self, kind: SpanKind | None = None) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if kind in (None, span.kind)]

    def requests(self) -> int | None:
        data = self.reader.get_metrics_data()
        if self.metric is None or data is None:
            return None
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        points = [p for scope in scopes for m in scope.metrics if m.name == self.metric for p in m.data.data_points]
        return sum(getattr(point, "count", 0) for point in points)


def instrument_clients(mode: Mode) -> None:
    """Have contrib's instrumentors of clients at work, as the host would."""
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    for instrumentor in (AsyncPGInstrumentor(), RedisInstrumentor()):
        instrumentor.instrument()
        mode.last.callback(instrumentor.uninstrument)


class Contrib(Exporting):
    """The host called contrib's `FastAPIInstrumentor.instrument_app`, and the others' `instrument`."""

    spans_of_contrib = True

    def instrument_clients(self) -> None:
        instrument_clients(self)

    metric = "http.server.duration"

    def instrument(self, app: Any) -> None:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app)
        self.last.callback(FastAPIInstrumentor.uninstrument_app, app)


class Started(Exporting):
    """The service was started by `opentelemetry-instrument`: every application is instrumented as it is made."""

    metric = "http.server.duration"
    spans_of_contrib = True
    alone = 0

    def instrument_clients(self) -> None:
        instrument_clients(self)

    def begin(self) -> None:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        self.provide()
        FastAPIInstrumentor().instrument()
        self.last.callback(FastAPIInstrumentor().uninstrument)
        self.monkeypatch.setattr("conformance.service.FastAPI", fastapi.FastAPI)

    def prepare(self, app: Any) -> None:
        """Nothing to do but to forget what the service did alone: that application was instrumented, too."""
        self.exporter.clear()
        self.alone = super().requests() or 0
        self.counts = self.alone or 1

    def requests(self) -> int:
        return (super().requests() or 0) - self.alone


class ExportingContribSpans(BySetting, Exporting):
    """That, and the host set its global providers."""

    metric = "http.server.duration"

    def instrument(self, app: Any) -> None:
        self.enter(app)


class OwnTelemetry(Exporting):
    """FastAPI 0.142 and newer instruments itself where the host set global providers."""

    metric = "http.server.request.duration"

    def instrument(self, app: Any) -> None:
        """Nothing to do: it does so by itself."""


MODES: list[type[Mode]] = [Plain, Exporting, Contrib, Started, ContribSpans, ExportingContribSpans]
if Native.available:
    MODES.append(OwnTelemetry)
