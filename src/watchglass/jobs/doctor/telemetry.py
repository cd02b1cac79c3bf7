"""Where telemetry goes beside the store, and what of the service's own OpenTelemetry cannot be seen."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.sdk.metrics import MeterProvider

from watchglass.exporters.otlp.destinations import Destination, obstacle, wanted
from watchglass.jobs.doctor.findings import Finding
from watchglass.settings import Settings


def findings(settings: Settings) -> Iterator[Finding]:
    yield from map(_destination, wanted(settings.opentelemetry))
    if not hasattr(MeterProvider, "add_metric_reader"):
        yield _no_readers()


def _destination(destination: Destination) -> Finding:
    subject = f"OTLP, {destination.signal}"
    problem = obstacle(destination)
    if problem is None:
        return Finding(subject, "ok", f"{destination.signal.capitalize()} go by OTLP, {destination.protocol}.")
    sentence = f"{destination.signal.capitalize()} are to go by OTLP, {destination.protocol}, and cannot."
    return Finding(subject, "warning", sentence, problem)


def _no_readers() -> Finding:
    return Finding(
        "MeterProvider",
        "missing",
        "This OpenTelemetry SDK keeps to itself what is measured with a meter provider that the service sets.",
        "Take SDK 1.43 or newer, or start the service by opentelemetry-instrument --metrics_exporter watchglass.",
        "pip install 'opentelemetry-sdk>=1.43'",
    )
