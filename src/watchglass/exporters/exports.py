"""The ways out of the process, side by side: the store's pipeline and, where a collector is named, OTLP."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from watchglass.exporters.otlp.destinations import destinations
from watchglass.exporters.pipeline import Pipeline
from watchglass.exporters.status import PipelineStatus
from watchglass.exporters.waiting import Errors
from watchglass.records import Batch, Collect, Instance, LogRecord, State, Trace
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.exporters.otlp.export import OtlpExport


class Exports:
    """Takes each record once and has it leave by every way. Making it starts nothing, and without OTLP loads nothing.

    `collect`, `retire` and `overflowed` are the recorder's; `dropped` is told signal, reason and number of what OTLP
    lost. What the host sends by OTLP itself is not sent again: `host_sends` says whether that is so of traces,
    `host_sends_line` of a line that its logging handlers get, `sent_by_host` of which metrics. `take_errors` and
    `stored` are the pipeline's.
    """

    def __init__(
        self,
        settings: Settings,
        instance: Instance,
        collect: Collect,
        retire: Callable[[], Sequence[State]],
        *,
        overflowed: Callable[[], int] = int,
        dropped: Callable[[str, str, int], None] = lambda signal, reason, number: None,
        host_sends: Callable[[], bool] = bool,
        host_sends_line: Callable[[LogRecord], bool] = lambda record: False,
        sent_by_host: Callable[[], frozenset[str]] = frozenset,
        take_errors: Errors = tuple,
        stored: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        self._retire = retire
        self._host_sends = host_sends
        self._host_sends_line = host_sends_line
        self.pipeline = Pipeline(
            settings,
            instance,
            collect,
            retire=self.retire,
            overflowed=overflowed,
            take_errors=take_errors,
            stored=stored,
        )
        self.otlp = self._new_otlp(settings, retire, dropped, sent_by_host)

    def _new_otlp(
        self,
        settings: Settings,
        retire: Callable[[], Sequence[State]],
        dropped: Callable[[str, str, int], None],
        sent_by_host: Callable[[], frozenset[str]],
    ) -> OtlpExport | None:
        """The way to the collector, if one is named."""
        found = destinations(settings.opentelemetry)
        if not found:
            return None
        from watchglass.exporters.otlp.export import OtlpExport

        return OtlpExport(
            settings,
            found,
            lambda: self.pipeline.instance,
            self.pipeline.collect,
            retire=retire,
            dropped=dropped,
            sent_by_host=sent_by_host,
        )

    def offer_log(self, record: LogRecord) -> None:
        """Have the line leave. Any thread; never waits."""
        self.pipeline.offer_log(record)
        if self.otlp is not None:
            self.otlp.offer_log(record)

    def offer_handled_log(self, record: LogRecord) -> None:
        """Have a line leave that the host's logging handlers get too; by OTLP unless one of them sends it."""
        self.pipeline.offer_log(record)
        if self.otlp is not None and not self._host_sends_line(record):
            self.otlp.offer_log(record)

    def offer_trace(self, trace: Trace) -> None:
        """Have the trace leave; by OTLP if it is sampled and the host does not send it. Any thread; never waits."""
        self.pipeline.offer_trace(trace)
        if self.otlp is not None and trace.sampled and not self._host_sends():
            self.otlp.offer_trace(trace)

    def retire(self) -> Sequence[State]:
        """Let go of series that nobody uses."""
        return self.otlp.retire() if self.otlp is not None else self._retire()

    @property
    def status(self) -> PipelineStatus:
        """How every way is now. Any thread."""
        status = self.pipeline.status
        return status if self.otlp is None else replace(status, otlp=self.otlp.status)

    def start(self) -> None:
        """Begin to export; more than once is once."""
        self.pipeline.start()
        if self.otlp is not None:
            self.otlp.start()

    def stop(self) -> None:
        """Send what is left by every way at once, within the shutdown timeout."""
        if self.otlp is not None:
            self.otlp.end()
        self.pipeline.stop()
        if self.otlp is not None:
            self.otlp.join()


def instance_of(settings: Settings) -> Instance:
    """This process, as a resource of OpenTelemetry; its id is new, so that no two processes share one."""
    return Instance(
        service_name=settings.service,
        service_namespace=settings.resource.get("service.namespace", ""),
        service_version=settings.service_version,
        instance_id=str(uuid4()),
        host=settings.host_name,
        pid=os.getpid(),
        started_at=time.time(),
    )
