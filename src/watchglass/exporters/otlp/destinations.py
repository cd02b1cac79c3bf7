"""Which signals go by OTLP, how, and how often: OpenTelemetry's standard variables.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/ - what is not read here (headers, timeouts, compression,
certificates, the endpoints themselves) the stock exporters read for themselves. One difference: without any endpoint,
and without `otlp` among a signal's exporters, nothing is sent; the specification would try localhost.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from watchglass import guard
from watchglass.errors import ExtraMissing

Signal = Literal["traces", "metrics", "logs"]

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")

_PACKAGES = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
}
_NAMED = {"otlp": None, "otlp_proto_grpc": "grpc", "otlp_proto_http": "http/protobuf"}
"""Exporters by the names that OpenTelemetry's SDK for Python knows, and the protocol that is in the name."""

_CLASSES = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}
_INTERVALS: dict[Signal, tuple[str, float]] = {
    "traces": ("OTEL_BSP_SCHEDULE_DELAY", 5_000),
    "metrics": ("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
    "logs": ("OTEL_BLRP_SCHEDULE_DELAY", 1_000),
}
_BATCHES = {"traces": "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "logs": "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"}
_QUEUES = {"traces": "OTEL_BSP_MAX_QUEUE_SIZE", "logs": "OTEL_BLRP_MAX_QUEUE_SIZE"}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one signal goes: by which protocol, every how many seconds, at most so many records at once.

    `queue` are the records that may wait, 0 where it is not said. `delta`: what was gained since the last export, in
    place of all since the start. `explicit`: histograms have explicit bounds, for who takes no exponential ones.
    """

    signal: Signal
    protocol: str
    interval: float
    batch: int
    queue: int = 0
    delta: bool = False
    explicit: bool = False

    def open(self) -> Any:
        """The stock exporter of the signal; its settings are the standard variables. Not for the host's threads."""
        module, name = _CLASSES[self.signal]
        return getattr(importlib.import_module(f"{_PACKAGES[self.protocol]}.{module}"), name)()


def destinations(variables: Mapping[str, str]) -> list[Destination]:
    """The signals that go by OTLP; what stands in the way of one is logged."""
    found = []
    for destination in wanted(variables):
        problem = obstacle(destination)
        if problem is None:
            found.append(destination)
        else:
            guard.logger.warning("%s", problem)
    return found


def wanted(variables: Mapping[str, str]) -> list[Destination]:
    """The signals that are to go by OTLP, whether or not they can."""
    return [_destination(signal, variables) for signal in SIGNALS if _is_wanted(signal, variables)]


def obstacle(destination: Destination) -> str | None:
    """What stands in the way of it, and what to do; None if nothing does."""
    package = _PACKAGES.get(destination.protocol)
    if package is None:
        return (
            f"{destination.signal} cannot be sent by OTLP as {destination.protocol!r}; "
            "set OTEL_EXPORTER_OTLP_PROTOCOL to grpc or http/protobuf"
        )
    if _is_installed(package):
        return None
    distribution = package.replace(".", "-")
    return str(ExtraMissing(feature=f"Sending {destination.signal} by OTLP", package=distribution, extra="otlp"))


def _is_wanted(signal: Signal, variables: Mapping[str, str]) -> bool:
    named = _named(signal, variables)
    if named:
        return not _NAMED.keys().isdisjoint(named)
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return any(variables.get(name, "").strip() for name in endpoints)


def _named(signal: Signal, variables: Mapping[str, str]) -> list[str]:
    names = variables.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(",")
    return [name.strip() for name in names if name.strip()]


def _destination(signal: Signal, variables: Mapping[str, str]) -> Destination:
    general = variables.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip()
    by_name = next(filter(None, map(_NAMED.get, _named(signal, variables))), None)
    protocol = by_name or variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "").strip() or general
    variable, default = _INTERVALS[signal]
    preference = variables.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    aggregation = variables.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "").strip().lower()
    metrics = signal == "metrics"
    return Destination(
        signal,
        protocol or "http/protobuf",
        _number(variables, variable, default) / 1000,
        int(_number(variables, _BATCHES.get(signal, ""), 512)),
        queue=int(_number(variables, _QUEUES.get(signal, ""), 0)),
        delta=metrics and preference in ("delta", "lowmemory"),
        explicit=metrics and aggregation == "explicit_bucket_histogram",
    )


def _number(variables: Mapping[str, str], name: str, default: float) -> float:
    """The number in a variable; what is none, or not positive, is warned of and is the default, as specified."""
    text = variables.get(name, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number < 1e9:
        guard.logger.warning("%s is %r, which is no positive number; it is taken as %g", name, text, default)
        return default
    return number


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
