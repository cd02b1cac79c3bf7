"""Logging: every line carries the ids of its trace, and is kept as a record; the service's own output stays as it was.

The standard library is entered where a logger hands a record to its handlers, not by a handler: none is added that
would make `basicConfig` do nothing or silence the last resort, none is lost to `dictConfig`, and loggers that do not
propagate, such as uvicorn's, are heard like all others. structlog gets a processor right before its renderer.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Collection, MutableMapping
from typing import Any

import structlog
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from structlog import BoundLoggerBase

from watchglass.guard import caught, own_work
from watchglass.instrumentation.log_records import LEVELS, Ids, current_ids, of_stdlib, of_structlog
from watchglass.instrumentation.patching import Patches
from watchglass.records import LogRecord

_PLACE = "instrumentation.logs"
_NO_TRACE = ("", "")
_OWN_LOGGER = "watchglass"
_SAME_LINE_NS = 1_000_000_000
_MAX_CHAINS = 100

OfferLog = Callable[[LogRecord], object]
Chain = list[Callable[..., Any]]


class LoggingInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """`instrument(offer_log=..., level="INFO", key=None)`, `uninstrument()`. One object, however often it is made.

    `offer_log` takes the records of `level` and above, and must neither block nor raise; without it lines only carry
    ids. `key` marks e-mail and IP addresses.
    """

    _patches: Patches | None = None
    _lines: Lines | None = None
    _chains: Chains | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(
        self, offer_log: OfferLog | None = None, level: str = "INFO", key: bytes | None = None, **_: Any
    ) -> None:
        self._lines = Lines(offer_log, LEVELS[level.lower()], key)
        self._chains = Chains(Processor(self._lines))
        self._patches = Patches()
        self._patches.replace(logging.Logger, "callHandlers", self._lines.handed_over)
        self._patches.replace(BoundLoggerBase, "__init__", self._chains.initialised)
        self._chains.enter_default()

    def _uninstrument(self, **_: Any) -> None:
        if self._patches and self._chains and self._lines:
            self._patches.restore()
            self._chains.leave()
            self._lines.active = False
        self._patches = self._chains = self._lines = None


class Lines:
    """Takes note of what is logged."""

    def __init__(self, offer_log: OfferLog | None, level: int, key: bytes | None) -> None:
        self.active = True
        self._offer = offer_log
        self._level = level
        self._key = key
        self._announced = threading.local()

    def handed_over(self, call_handlers: Callable[..., None]) -> Callable[..., None]:
        """`Logger.callHandlers`, which every record passes once, whatever its logger's handlers are."""

        @functools.wraps(call_handlers)
        def callHandlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            try:
                if self.active:
                    self._heard(record)
            except Exception:
                caught(_PLACE)
            call_handlers(logger, record)

        return callHandlers

    def _heard(self, record: logging.LogRecord) -> None:
        ids = current_ids()
        values = vars(record)
        trace_id, span_id = ids or _NO_TRACE
        values.setdefault("trace_id", trace_id)
        values.setdefault("span_id", span_id)
        values.setdefault("otelTraceID", trace_id or "0")
        values.setdefault("otelSpanID", span_id or "0")
        announced = self._take_announced(record)
        if self._is_kept(record.levelno) and record.name != _OWN_LOGGER and self._offer is not None:
            self._offer(announced or of_stdlib(record, ids, self._key))

    def event(self, logger: Any, method: str, event: MutableMapping[str, Any], ids: Ids | None) -> None:
        """Keep a structlog event that is about to be rendered; announce it if it goes on to the standard library."""
        level = LEVELS.get(method, logging.INFO)
        if self._offer is None or not self._is_kept(level):
            return
        if not isinstance(logger, logging.Logger):
            self._offer(of_structlog(logger, method, event, ids, self._key))
        elif logger.isEnabledFor(level):
            self._announced.line = (logger.name, level, of_structlog(logger, method, event, ids, self._key))

    def _take_announced(self, record: logging.LogRecord) -> LogRecord | None:
        """What structlog announced on this thread a moment ago, if this is it."""
        line = getattr(self._announced, "line", None)
        if line is None:
            return None
        self._announced.line = None
        name, level, announced = line
        same = name == record.name and level == record.levelno
        recent = abs(record.created * 1e9 - announced.time_ns) < _SAME_LINE_NS
        return announced if same and recent else None

    def _is_kept(self, level: int) -> bool:
        return self.active and level >= self._level and not own_work.get()


class Processor:
    """A structlog processor: adds `trace_id` and `span_id` where there is a trace, and takes note of the event."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        try:
            if self._lines.active:
                ids = current_ids()
                self._lines.event(logger, method, event, ids)
                if ids is not None:
                    event.setdefault("trace_id", ids[0])
                    event.setdefault("span_id", ids[1])
        except Exception:
            caught(_PLACE)
        return event


class Chains:
    """Puts the processor before the last one of structlog's chains, once."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._entered: list[Chain] = []

    def initialised(self, initialise: Callable[..., None]) -> Callable[..., None]:
        """`BoundLoggerBase.__init__`: however and whenever structlog is configured, loggers are made by it."""

        @functools.wraps(initialise)
        def __init__(bound: Any, *args: Any, **kwargs: Any) -> None:
            initialise(bound, *args, **kwargs)
            try:
                chain = bound._processors
                if len(chain) < 2 or chain[-2] is not self._processor:
                    bound._processors = self._enter(chain)
            except Exception:
                caught(_PLACE)

        return __init__

    def enter_default(self) -> None:
        """Enter the chain that structlog is configured with, which loggers that exist already share."""
        self._enter(structlog.get_config()["processors"])

    def leave(self) -> None:
        """Leave the chains of structlog's configurations as they were."""
        for chain in self._entered:
            while self._processor in chain:
                chain.remove(self._processor)
        self._entered.clear()

    def _enter(self, chain: Any) -> Any:
        """The chain with the processor: the configured one itself, of any other a copy, which is the logger's own."""
        if self._processor in chain:
            return chain
        is_default = isinstance(chain, list) and chain is structlog.get_config()["processors"]
        if is_default and any(entered is chain for entered in self._entered):
            pass  # it was emptied, as `capture_logs` does
        elif is_default and len(self._entered) < _MAX_CHAINS:
            self._entered.append(chain)
        else:
            chain = list(chain)
        chain.insert(max(len(chain) - 1, 0), self._processor)
        return chain
