"""Which log lines are captured, each once: those of the standard library, and those of structlog that it never gets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from watchglass import guard
from watchglass.instrumentation.exceptions import error_of
from watchglass.instrumentation.log_records import Event, Ids, LogRecords, calling_module, level_name
from watchglass.records import LogRecord

NOTHING: Final = object()
_OWN_LOGGER: Final = guard.logger.name
_MAX_DEPTH: Final = 2
"""A line may be written while another is captured, by a `__str__` or a finalizer; but not without end."""


class Witness:
    """Whether a line about an exception, or any line where there is none, was captured in a block of code."""

    __slots__ = ("error", "outer", "told")

    def __init__(self, error: BaseException | None, outer: Witness | None) -> None:
        self.error = error
        self.outer = outer
        self.told = False

    def hear(self, exc_info: Any) -> None:
        """A line is captured that has this `exc_info`."""
        if self.error is None or (exc_info and error_of(exc_info) is self.error):
            self.told = True
        if self.outer is not None:
            self.outer.hear(exc_info)


class Thread:
    """What one thread is about: how deep in capturing, and the event that it hands to the standard library next.

    `rendered` is what the event became: its record is known by holding this very object. `exception` is a text of ours
    of an exception that structlog is about to format.
    """

    __slots__ = ("depth", "event", "exception", "rendered", "witness")

    def __init__(self) -> None:
        self.depth = 0
        self.event: Event | None = None
        self.rendered: object = NOTHING
        self.exception: str | None = None
        self.witness: Witness | None = None


class _Here(threading.local):
    def __init__(self) -> None:
        self.thread = Thread()


class LogCapture:
    """Offers lines of `threshold` and above as records. Safe from any thread, raises nothing, takes no lock.

    `offer` is called in the thread that logs, `offer_handled` if given in its place for lines that go to handlers of
    the standard library too. Lines of Watchglass's own work are left out. `here.thread` is what this thread is about.
    """

    __slots__ = ("_offer", "_offer_handled", "_records", "here", "threshold")

    def __init__(
        self,
        offer: Callable[[LogRecord], None],
        threshold: int,
        key: bytes | None = None,
        offer_handled: Callable[[LogRecord], None] | None = None,
    ) -> None:
        self._offer = offer
        self._offer_handled = offer_handled or offer
        self._records = LogRecords(key)
        self.threshold = threshold
        self.here = _Here()

    def wants(self, level: int) -> bool:
        """Whether a line of this level that is written here and now is captured."""
        return level >= self.threshold and not guard.own_work.get() and self.here.thread.depth < _MAX_DEPTH

    def record(self, record: logging.LogRecord, ids: Ids, event: Event | None = None) -> None:
        """Capture a record of the standard library; `event` is what it was rendered from."""
        thread = self.here.thread
        depth = thread.depth
        if record.levelno < self.threshold or depth >= _MAX_DEPTH or record.name == _OWN_LOGGER or guard.own_work.get():
            return
        thread.depth = depth + 1
        try:
            if thread.witness is not None:
                thread.witness.hear(record.exc_info)
            if event is None or record.stack_info:
                made = self._records.of_record(record, ids, event)
            else:
                made = self._records.of_event(event, record.created, record.levelno, record.levelname, record.name)
            self._offer_handled(made)
        except Exception:
            guard.caught("log capture")
        finally:
            thread.depth = depth

    def event(self, logger: Any, level: int, event: Event) -> None:
        """Capture an event of structlog that does not reach the standard library."""
        thread = self.here.thread
        thread.depth = depth = thread.depth + 1
        try:
            values = event[0]
            if thread.witness is not None:
                thread.witness.hear(values.get("exc_info"))
            name = str(values.get("logger") or getattr(logger, "name", None) or calling_module())
            self._offer(self._records.of_event(event, time.time(), level, level_name(level), name))
        except Exception:
            guard.caught("log capture")
        finally:
            thread.depth = depth - 1

    def tell(
        self, logger: str, level: int, message: str, fields: Mapping[str, Any], error: BaseException | None, ids: Ids
    ) -> None:
        """Capture what no logger was told."""
        if self.wants(level):
            values = {**fields, "event": message, "exc_info": error, "logger": logger}
            self.event(None, level, (values, ids, None))

    @contextmanager
    def witness(self, error: BaseException | None) -> Iterator[Witness]:
        """See whether this thread is about to log the exception, or anything if there is none."""
        thread = self.here.thread
        thread.witness = witness = Witness(error, thread.witness)
        try:
            yield witness
        finally:
            thread.witness = witness.outer

    def note_exception(self, exc_info: Any) -> None:
        """Make a text of an exception that structlog is about to format; None: there is none."""
        thread = self.here.thread
        if thread.witness is not None and exc_info:
            thread.witness.hear(exc_info)
        thread.exception = self._records.exception(exc_info) if exc_info else None

    def noted_exception(self) -> str | None:
        """The text that was noted last in this thread, once."""
        thread = self.here.thread
        text, thread.exception = thread.exception, None
        return text
