"""How the way of one signal to the collector is, in a sentence."""

from __future__ import annotations

from typing import Any

from watchglass.exporters.otlp.records import Records
from watchglass.exporters.otlp.sender import Sender
from watchglass.exporters.status import OtlpStatus


def status_of(signal: str, sender: Sender | None, records: Records[Any] | None) -> OtlpStatus:
    """`sender` is None before the start; metrics have no `records`."""
    queued, dropped = (0, 0) if records is None else (records.waiting, records.lost)
    if sender is not None and sender.failures:
        times = "once" if sender.failures == 1 else f"{sender.failures} times in a row"
        message = f"The collector did not take {signal} {times}; OpenTelemetry's exporter says why in the log."
        return OtlpStatus("unavailable", message, sender.last_sent, queued, dropped)
    if sender is None or sender.last_sent is None:
        return OtlpStatus("starting", f"No {signal} were sent by OTLP yet.", None, queued, dropped)
    return OtlpStatus("ok", f"The collector takes {signal}.", sender.last_sent, queued, dropped)
