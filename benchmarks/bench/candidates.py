"""What a service can be watched by: Watchglass, and what one would use instead."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

PACKAGES = (
    "fastapi",
    "prometheus-fastapi-instrumentator",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-fastapi",
)


def plain(app: FastAPI) -> None:
    """FastAPI alone."""


def watchglass(app: FastAPI) -> None:
    """All signals, exported to a real PostgreSQL every 10 s."""
    from watchglass import Settings, observe

    observe(app, Settings(service_name="bench", database_url=os.environ["BENCH_DATABASE_URL"]))


def instrumentator(app: FastAPI) -> None:
    """prometheus-fastapi-instrumentator: metrics only."""
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app).expose(app)


def contrib(app: FastAPI) -> None:
    """OpenTelemetry's contrib instrumentation, default options, spans and metrics read and dropped."""
    from opentelemetry import metrics, trace
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    FastAPIInstrumentor.instrument_app(app)


def contrib_with_clients(app: FastAPI) -> None:
    """OpenTelemetry's contrib instrumentations of FastAPI, asyncpg and Redis, default options, spans dropped."""
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    contrib(app)
    AsyncPGInstrumentor().instrument()  # type: ignore[no-untyped-call]
    RedisInstrumentor().instrument()


Candidate = Callable[[FastAPI], None]

REQUESTS: dict[str, Candidate] = {
    "plain": plain,
    "watchglass": watchglass,
    "instrumentator": instrumentator,
    "contrib": contrib,
}
CLIENTS: dict[str, Candidate] = {"plain": plain, "watchglass": watchglass, "contrib": contrib_with_clients}


def title(name: str, candidate: Candidate) -> str:
    """A candidate's name and what it is."""
    return f"{name}: {(candidate.__doc__ or name).rstrip('.')}"


def versions(*more: str) -> str:
    """What was compared."""
    return ", ".join(f"{package} {version(package)}" for package in (*PACKAGES, *more))
