"""The OTLP of one process, pointed at a receiver."""

from __future__ import annotations

import pytest

from support.collector import GRPCCollector, HTTPCollector
from support.pipelines import process
from watchglass.exporters.otlp.destinations import destinations
from watchglass.exporters.otlp.export import OtlpExport
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings


def point_at(collector: HTTPCollector | GRPCCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the standard variables; what there is goes within 0.1 s."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", collector.protocol)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


class Sending:
    """The OTLP of one process with a recorder; ended by the test."""

    def __init__(self, **settings: object) -> None:
        self.settings = Settings(resource_attributes="deployment.environment.name=test", **settings)  # type: ignore[arg-type]
        self.recorder = Recorder(idle_seconds=0)
        self.instance = process(7)
        self.dropped: list[tuple[str, str, int]] = []
        self.otlp = OtlpExport(
            self.settings,
            destinations(self.settings.opentelemetry),
            lambda: self.instance,
            self.recorder.collect,
            retire=self.recorder.retire,
            dropped=lambda *what: self.dropped.append(what),
        )

    def end(self) -> None:
        self.otlp.end(5)
        self.otlp.join()
