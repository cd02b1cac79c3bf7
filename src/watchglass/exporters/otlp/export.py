"""All that a process sends by OTLP: what its senders send, and when they begin and end.

It is a second consumer beside the store's pipeline and holds the same records, no copies. It works without a store.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from opentelemetry.sdk.resources import Resource

from watchglass import guard
from watchglass.exporters.exemplars import KeptExemplars
from watchglass.exporters.logs import log_queue
from watchglass.exporters.otlp.destinations import Destination, Signal
from watchglass.exporters.otlp.logs import logs_of
from watchglass.exporters.otlp.metrics import Samples
from watchglass.exporters.otlp.points import metrics_data
from watchglass.exporters.otlp.records import Records
from watchglass.exporters.otlp.resource import resource_of
from watchglass.exporters.otlp.sender import Export, Sender
from watchglass.exporters.otlp.spans import spans_of
from watchglass.exporters.otlp.state import status_of
from watchglass.exporters.status import OtlpStatus
from watchglass.exporters.traces import trace_queue
from watchglass.records import Collect, Instance, LogRecord, State, Trace
from watchglass.settings import Settings
from watchglass.store.forks import abandon


class OtlpExport:
    """Exports one process to these destinations; in a forked child it is a fresh one, not started.

    `instance` gives the process's identity of now, `retire` lets go of series nobody uses, and `dropped` is told the
    signal, the reason and the number of records that are lost. `sent_by_host` names metrics that leave without us.
    """

    def __init__(
        self,
        settings: Settings,
        destinations: Sequence[Destination],
        instance: Callable[[], Instance],
        collect: Collect,
        *,
        retire: Callable[[], Sequence[State]] = tuple,
        dropped: Callable[[str, str, int], None] = lambda signal, reason, number: None,
        sent_by_host: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._settings = settings
        self._destinations = {destination.signal: destination for destination in destinations}
        self._instance = instance
        self._collect_all = collect
        self._sent_by_host = sent_by_host
        self._retire = retire
        self._dropped = dropped
        self._forked = False
        self._fresh()
        _all.add(self)

    def _fresh(self) -> None:
        self._lock = threading.Lock()
        self._senders: list[Sender] = []
        metrics, exemplars = self._destinations.get("metrics"), KeptExemplars()
        delta = metrics is not None and metrics.delta
        self._samples = Samples(self._collect, time.time_ns(), delta=delta, exemplars=exemplars)
        self._retire_and_remember = self._samples.retiring(self._retire)
        self._logs = Records(
            log_queue(self._most("logs")),
            self._batch("logs"),
            lambda some: logs_of(some, self._resource),
            lambda reason, number: self._dropped("logs", reason, number),
        )
        self._traces = Records(
            trace_queue(self._most("traces")),
            self._batch("traces"),
            lambda some: spans_of(some, self._resource),
            lambda reason, number: self._dropped("traces", reason, number),
            exemplars.keep if metrics is not None else lambda traces: None,
        )

    def _collect(self) -> list[State]:
        """What the host does not send itself."""
        states, elsewhere = self._collect_all(), self._sent_by_host()
        return [state for state in states if state.meter.name not in elsewhere] if elsewhere else list(states)

    def offer_log(self, record: LogRecord) -> None:
        """Have the line sent, if logs are. Any thread; never waits."""
        if "logs" in self._destinations:
            self._logs.put(record)

    def offer_trace(self, trace: Trace) -> None:
        """Have the trace sent, if traces are. Any thread; never waits."""
        if "traces" in self._destinations:
            self._traces.put(trace)

    def retire(self) -> Sequence[State]:
        """The recorder's `retire`, for whoever calls it: what leaves is remembered here where it is still needed."""
        return self._retire_and_remember() if "metrics" in self._destinations else self._retire()

    def start(self) -> None:
        """Begin to send; more than once is once. No I/O here, nor the import of what does it."""
        with self._lock:
            if self._senders:
                return
            if self._forked:
                self._forked = False
                self._samples.skip(time.time_ns())
            self._senders = [self._sender(destination) for destination in self._destinations.values()]
            for sender in self._senders:
                sender.start()

    def end(self, timeout: float | None = None) -> None:
        """Begin to end within `timeout` seconds (default: the setting), without waiting for it."""
        seconds = self._settings.shutdown_timeout if timeout is None else timeout
        for sender in self._senders:
            sender.end(time.monotonic() + seconds)

    def join(self) -> None:
        """Wait for the end that has begun, no longer than it was given."""
        with self._lock:
            for sender in self._senders:
                sender.join()
            left = {"log lines": self._logs.waiting, "traces": self._traces.waiting} if self._senders else {}
            self._senders = []
        for what, number in left.items():
            if number:
                guard.logger.warning("OTLP: at the end %d %s had not arrived at the collector", number, what)

    @property
    def status(self) -> Mapping[str, OtlpStatus]:
        """How things are now, by signal. Any thread."""
        senders: dict[str, Sender] = {sender.signal: sender for sender in list(self._senders)}
        records: dict[str, Records[Any]] = {"logs": self._logs, "traces": self._traces}
        return {signal: status_of(signal, senders.get(signal), records.get(signal)) for signal in self._destinations}

    def after_fork(self) -> None:
        """In the child: nothing of the parent's is used, closed or sent again."""
        abandon((self._lock, self._senders, self._samples, self._logs, self._traces))
        self._fresh()
        self._forked = True

    def _sender(self, destination: Destination) -> Sender:
        if destination.signal == "metrics":
            return Sender(destination, self._send_metrics)
        records = self._logs if destination.signal == "logs" else self._traces
        poll = self._settings.records_interval
        return Sender(destination, records.turn, poll=poll, is_due=lambda: records.is_due)

    def _send_metrics(self, export: Export) -> bool:
        """One request after another until one does not arrive; without a store, nobody else lets go of series."""
        destination = self._destinations["metrics"]
        requests = self._samples.take(time.time_ns())
        if not self._settings.store_dsn:
            self._retire_and_remember()
        for samples in requests:
            if not export(
                metrics_data(samples, self._resource, delta=destination.delta, explicit=destination.explicit)
            ):
                return False
            self._samples.arrived(samples)
        return True

    @property
    def _resource(self) -> Resource:
        return resource_of(self._instance(), self._settings.resource)

    def _most(self, signal: Signal) -> int:
        """Records that may wait."""
        destination = self._destinations.get(signal)
        return destination.queue if destination and destination.queue else self._settings.queue_size

    def _batch(self, signal: Signal) -> int:
        destination = self._destinations.get(signal)
        return destination.batch if destination else 512


_all: WeakSet[OtlpExport] = WeakSet()


def _after_fork_in_child() -> None:
    for export in list(_all):
        with guard.protected("exporters.fork"):
            export.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
