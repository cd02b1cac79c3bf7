"""Which log lines are captured, each once: those of the standard library, and those of structlog that it never gets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from watchglass import guard
from watchglass.instrumentation.log_records import Event, Ids, LogRecords, calling_module
from watchglass.records import LogRecord

_MAX_DEPTH = 2
"""A line may be written while another is captured, by a `__str__` or a finalizer; but not without end."""


class _Here(threading.local):
    """What one thread is about: how deep in capturing, and the event that the standard library gets next."""

    depth = 0
    event: Event | None = None
    rendered: object = None
    exception: str | None = None


class LogCapture:
    """Offers lines of `threshold` and above as records. Safe from any thread, raises nothing, takes no lock.

    `offer` is called in the thread that logs. Lines of Watchglass's own work are left out.
    """

    def __init__(self, offer: Callable[[LogRecord], None], threshold: int, key: bytes | None = None) -> None:
        self._offer = offer
        self._threshold = threshold
        self._records = LogRecords(key)
        self._here = _Here()

    def wants(self, level: int) -> bool:
        """Whether a line of this level that is written here and now is captured."""
        return level >= self._threshold and not guard.own_work.get() and self._here.depth < _MAX_DEPTH

    def record(self, record: logging.LogRecord, ids: Ids) -> None:
        """Capture a record of the standard library, as the event that it was rendered from if it was one."""
        if record.levelno < self._threshold or record.name == guard.logger.name or not self.wants(record.levelno):
            return
        here = self._here
        here.depth = depth = here.depth + 1
        try:
            event = None
            if here.event is not None:
                event = here.event if here.rendered is record.msg else None
                here.event = here.rendered = None
            self._offer(self._records.of_record(record, ids, event))
        except Exception:
            guard.caught("log capture")
        finally:
            here.depth = depth - 1

    def event(self, logger: Any, method: str, event: Event, ids: Ids) -> None:
        """Capture an event of structlog that does not reach the standard library."""
        here = self._here
        here.depth = depth = here.depth + 1
        try:
            name = str(event.values.get("logger") or getattr(logger, "name", None) or calling_module())
            self._offer(self._records.of_event(event, ids, time.time(), method, name))
        except Exception:
            guard.caught("log capture")
        finally:
            here.depth = depth - 1

    def hold(self, event: Event | None) -> None:
        """Keep an event that this thread is about to hand to the standard library, rendered."""
        self._here.event, self._here.rendered = event, None

    def rendered(self, message: object) -> None:
        """What the event became. Its record is known by holding this very object."""
        if self._here.event is not None:
            self._here.rendered = message

    def note_exception(self, exc_info: Any) -> None:
        """Make a text of an exception that structlog is about to format; None: there is none."""
        self._here.exception = self._records.exception(exc_info) if exc_info else None

    def noted_exception(self) -> str | None:
        """The text that was noted last in this thread, once."""
        text, self._here.exception = self._here.exception, None
        return text
