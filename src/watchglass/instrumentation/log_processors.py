"""Our processors of structlog. Each returns the event as it got it, but for the ids, and raises nothing."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final

from watchglass import guard
from watchglass.instrumentation.log_capture import NOTHING, LogCapture
from watchglass.instrumentation.log_records import Event, Ids, level_of

_MAPPINGS: Final = (dict, MutableMapping)


class Own:
    """A processor of ours."""

    __slots__ = ()

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        raise NotImplementedError


class BeforeRenderer(Own):
    """Adds the ids, and captures the event; with a `standard` logger it holds it for the record that it becomes.

    `formatted`: a processor before this one has made a text of exceptions.
    """

    __slots__ = ("_capture", "_current_ids", "_formatted", "_standard")

    def __init__(
        self, current_ids: Callable[[], Ids], capture: LogCapture | None, standard: bool, formatted: bool
    ) -> None:
        self._current_ids = current_ids
        self._capture = capture
        self._standard = standard
        self._formatted = formatted

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        try:
            if type(event) is dict or isinstance(event, MutableMapping):
                ids = self._current_ids()
                if ids[0] and "trace_id" not in event:
                    event["trace_id"], event["span_id"] = ids
                capture = self._capture
                if capture is not None:
                    exception = capture.noted_exception() if self._formatted else None
                    see = self._hold if self._standard else self._see
                    see(capture, logger, level_of(method), (event, ids, exception))
        except Exception:
            guard.caught("structlog")
        return event

    @staticmethod
    def _hold(capture: LogCapture, logger: Any, level: int, event: Event) -> None:
        """Keep it for the record that it becomes, by which is seen whether it is wanted."""
        thread = capture.here.thread
        thread.rendered = NOTHING
        wanted = level >= capture.threshold and logger.isEnabledFor(level)
        thread.event = (dict(event[0]), event[1], event[2]) if wanted else None

    @staticmethod
    def _see(capture: LogCapture, logger: Any, level: int, event: Event) -> None:
        if capture.wants(level):
            capture.event(logger, level, event)


class BeforeException(Own):
    """Makes a text of ours of the exception while it is there: the host's may show the variables of frames."""

    __slots__ = ("_capture",)

    def __init__(self, capture: LogCapture) -> None:
        self._capture = capture

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        try:
            exc_info = event.get("exc_info") if isinstance(event, _MAPPINGS) else None
            self._capture.note_exception(exc_info if exc_info and self._capture.wants(level_of(method)) else None)
        except Exception:
            guard.caught("structlog")
        return event


class AfterRenderer(Own):
    """Notes the message that the held event became: what the logger is called with."""

    __slots__ = ("_capture",)

    def __init__(self, capture: LogCapture) -> None:
        self._capture = capture

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        try:
            thread = self._capture.here.thread
            if thread.event is None:
                return event
            if isinstance(event, tuple):
                thread.rendered = event[0][0] if event and event[0] else None
            else:
                thread.rendered = event.get("msg") if isinstance(event, dict) else event
        except Exception:
            guard.caught("structlog")
        return event


def add_ids_of_record(logger: Any, method: str, event: Any) -> Any:
    """Give an event that structlog's formatter makes of a foreign record the ids of the record, if it has any."""
    try:
        record = event["_record"].__dict__
        if record.get("trace_id"):
            for name in ("trace_id", "span_id"):
                event.setdefault(name, record[name])
        elif event.get("trace_id") == "":  # copied from the record, where it is always set
            del event["trace_id"], event["span_id"]
    except Exception:
        guard.caught("structlog")
    return event
