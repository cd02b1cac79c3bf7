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

_NOTHING: Final = object()
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


class _Here(threading.local):
    """What one thread is about: how deep in capturing, and the event that the standard library gets next."""

    depth = 0
    witness: Witness | None = None
    event: Event | None = None
    rendered: object = _NOTHING
    exception: str | None = None


class LogCapture:
    """Offers lines of `threshold` and above as records. Safe from any thread, raises nothing, takes no lock.

    `offer` is called in the thread that logs, `offer_handled` if given in its place for lines that go to handlers of
    the standard library too. Lines of Watchglass's own work are left out.
    """

    def __init__(
        self,
        offer: Callable[[LogRecord], None],
        threshold: int,
        key: bytes | None = None,
        offer_handled: Callable[[LogRecord], None] | None = None,
    ) -> None:
        self._offer = offer
        self._offer_handled = offer_handled or offer
        self._threshold = threshold
        self._records = LogRecords(key)
        self._here = _Here()

    def wants(self, level: int) -> bool:
        """Whether a line of this level that is written here and now is captured."""
        return level >= self._threshold and not guard.own_work.get() and self._here.depth < _MAX_DEPTH

    def record(self, record: logging.LogRecord, ids: Ids, event: Event | None = None) -> None:
        """Capture a record of the standard library; `event` is what it was rendered from."""
        if record.levelno < self._threshold or record.name == _OWN_LOGGER or not self.wants(record.levelno):
            return
        here = self._here
        here.depth = depth = here.depth + 1
        try:
            if here.witness is not None:
                here.witness.hear(record.exc_info)
            self._offer_handled(self._records.of_record(record, ids, event))
        except Exception:
            guard.caught("log capture")
        finally:
            here.depth = depth - 1

    def event(self, logger: Any, level: int, event: Event) -> None:
        """Capture an event of structlog that does not reach the standard library."""
        here = self._here
        here.depth = depth = here.depth + 1
        try:
            if here.witness is not None:
                here.witness.hear(event.values.get("exc_info"))
            name = str(event.values.get("logger") or getattr(logger, "name", None) or calling_module())
            self._offer(self._records.of_event(event, time.time(), level, level_name(level), name))
        except Exception:
            guard.caught("log capture")
        finally:
            here.depth = depth - 1

    def tell(
        self, logger: str, level: int, message: str, fields: Mapping[str, Any], error: BaseException | None, ids: Ids
    ) -> None:
        """Capture what no logger was told."""
        if self.wants(level):
            event = Event({**fields, "event": message, "exc_info": error, "logger": logger}, ids)
            self.event(None, level, event)

    @contextmanager
    def witness(self, error: BaseException | None) -> Iterator[Witness]:
        """See whether this thread is about to log the exception, or anything if there is none."""
        here = self._here
        here.witness = witness = Witness(error, here.witness)
        try:
            yield witness
        finally:
            here.witness = witness.outer

    def hold(self, event: Event | None) -> None:
        """Keep an event that this thread is about to hand to the standard library, rendered."""
        here = self._here
        here.event, here.rendered = event, _NOTHING

    def rendered(self, message: object) -> None:
        """What the event became. Its record is known by holding this very object."""
        here = self._here
        if here.event is not None:
            here.rendered = message

    def taken(self, message: object) -> Event | None:
        """The event that was rendered into this message, if any was; from now on none is held."""
        here = self._here
        event = here.event
        if event is None:
            return None
        here.event = None
        return event if here.rendered is message else None

    def note_exception(self, exc_info: Any) -> None:
        """Make a text of an exception that structlog is about to format; None: there is none."""
        if self._here.witness is not None and exc_info:
            self._here.witness.hear(exc_info)
        self._here.exception = self._records.exception(exc_info) if exc_info else None

    def noted_exception(self) -> str | None:
        """The text that was noted last in this thread, once."""
        text, self._here.exception = self._here.exception, None
        return text
