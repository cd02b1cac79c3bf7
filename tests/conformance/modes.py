"""What else watches the service: nothing, contrib's instrumentation, or FastAPI's own telemetry."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.metrics import _internal as metrics_internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from watchglass.instrumentation.native import Native


class Mode:
    """How the host uses OpenTelemetry; here: not at all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def prepare(self, app: Any) -> None:
        """Instrument the application as the host would."""

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


class Exporting(Mode):
    """The host set its global providers, and nothing makes server spans but Watchglass."""

    metric: str | None = None

    def prepare(self, app: Any) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        self.monkeypatch.setattr(
            metrics_internal, "_METER_PROVIDER", MeterProvider([self.reader], shutdown_on_exit=False)
        )
        self.instrument(app)

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


class Contrib(Exporting):
    """The host called contrib's `FastAPIInstrumentor.instrument_app`."""

    metric = "http.server.duration"

    def instrument(self, app: Any) -> None:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app)


class OwnTelemetry(Exporting):
    """FastAPI 0.142 and newer instruments itself where the host set global providers."""

    metric = "http.server.request.duration"

    def instrument(self, app: Any) -> None:
        """Nothing to do: it does so by itself."""


MODES: list[type[Mode]] = [Plain, Exporting, Contrib, *([OwnTelemetry] if Native.available else [])]
