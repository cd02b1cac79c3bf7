"""Logging: every line carries the ids of its trace, and is kept as a record; the service's own output stays as it was.

The standard library is entered where a logger filters its own records, not by a handler: none is added that would make
`basicConfig` do nothing or silence the last resort, none is lost to `dictConfig`, and loggers that do not propagate,
such as uvicorn's, are heard like all others. A record is complete there: ids set by a factory of records would make
`extra={"trace_id": ...}` an error.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection
from typing import Any

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.trace import Span
from opentelemetry.trace.propagation import _SPAN_KEY

from watchglass.guard import caught
from watchglass.instrumentation.exceptions import error_of, request_behind
from watchglass.instrumentation.log_capture import LogCapture
from watchglass.instrumentation.log_records import Ids, level_of
from watchglass.instrumentation.patching import Patches
from watchglass.instrumentation.propagation import CarriedSpan
from watchglass.instrumentation.request import current_request
from watchglass.instrumentation.structured_logs import StructuredLogs
from watchglass.instrumentation.unhandled import Unhandled
from watchglass.records import LogRecord

_NO_TRACE: Ids = ("", "")

_context_here: Callable[[], Context] = getattr(
    getattr(context, "_RUNTIME_CONTEXT", None), "get_current", context.get_current
)
"""The current context of OpenTelemetry, by one call less."""

OfferLog = Callable[[LogRecord], None]


class LoggingInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """`instrument(offer_log=..., level="INFO", key=None)`, `uninstrument()`. One object, however often it is made.

    `offer_log` takes the records of `level` and above, and must neither block nor raise; without it lines only carry
    ids. With `offer_handled` that takes those which logging handlers get. `key` marks e-mail and IP addresses.
    """

    _patches: Patches | None = None
    _structured: StructuredLogs | None = None
    _unhandled: Unhandled | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(
        self,
        offer_log: OfferLog | None = None,
        level: str = "INFO",
        key: bytes | None = None,
        offer_handled: OfferLog | None = None,
        **_: Any,
    ) -> None:
        capture = None if offer_log is None else LogCapture(offer_log, level_of(level.lower()), key, offer_handled)
        self._structured = StructuredLogs(current_ids, capture)
        self._structured.enter()
        self._patches = Patches()
        self._patches.replace(logging.Logger, "filter", functools.partial(_hearing, capture))
        self._unhandled = None if capture is None else Unhandled(capture, _ids_with)
        self.meet()

    def meet(self) -> None:
        """Hear of what nobody handles by the hooks that are set now; to be repeated after the host has set its own."""
        if self._unhandled is not None:
            self._unhandled.enter()

    def failed(self, error: BaseException) -> None:
        """Keep an exception that a request ended with, where no server will log it."""
        if self._unhandled is not None:
            self._unhandled.of_request(error)

    def _uninstrument(self, **_: Any) -> None:
        if self._patches and self._structured:
            self._patches.restore()
            self._structured.leave()
        if self._unhandled is not None:
            self._unhandled.leave()
        self._unhandled = None
        self._patches = self._structured = None


def current_ids() -> Ids:
    """The ids of the span, or else the request, that is being worked on here; empty outside of any."""
    span = _context_here().get(_SPAN_KEY)
    if span is not None and type(span) is not CarriedSpan and isinstance(span, Span):
        found = span.get_span_context()
        if found.trace_id:
            return f"{found.trace_id:032x}", f"{found.span_id:016x}"
    request = current_request()
    return _NO_TRACE if request is None else (request.trace_hex, request.span_hex)


def _hearing(capture: LogCapture | None, original: Callable[..., Any]) -> Callable[..., Any]:
    """`Logger.filter`, which every record passes once, complete, on its way to whatever handlers there are.

    It has returned when handlers are called: what they print of the stack shows nothing of it.
    """

    @functools.wraps(original)
    def filter(logger: logging.Logger, record: logging.LogRecord) -> Any:
        event, ids = None, _NO_TRACE
        try:
            if capture is not None:
                thread = capture.here.thread
                event = thread.event
                if event is not None:
                    thread.event = None
                    if thread.rendered is not record.msg:
                        event = None
            ids = _ids_of(record) if event is None else event[1]
            _put(ids, record.__dict__)
        except Exception:
            caught("logging")
        passed = original(logger, record)
        if capture is not None and passed:
            capture.record(passed if isinstance(passed, logging.LogRecord) else record, ids, event)
        return passed

    return filter


def _put(ids: Ids, values: dict[str, Any]) -> None:
    """Set the ids on a record, by our names and OpenTelemetry's, unless somebody else has.

    They are set on every record, because a format that names an attribute fails where it is missing.
    """
    values.setdefault("trace_id", ids[0])
    values.setdefault("span_id", ids[1])
    values.setdefault("otelTraceID", ids[0] or "0")
    values.setdefault("otelSpanID", ids[1] or "0")


def _ids_of(record: logging.LogRecord) -> Ids:
    ids = current_ids()
    return ids if ids[0] or not record.exc_info else _ids_of_error(record.exc_info)


def _ids_with(error: BaseException | None) -> Ids:
    ids = current_ids()
    return ids if ids[0] or error is None else _ids_of_error(error)


def _ids_of_error(exc_info: Any) -> Ids:
    """The ids of the request that ended with the exception: a server reports it when the request is over."""
    error = error_of(exc_info)
    request = None if error is None else request_behind(error)
    return _NO_TRACE if request is None else (request.trace_hex, request.span_hex)
