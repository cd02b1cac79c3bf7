"""Kinds of client operations: one look-up finds the histogram and the span attributes that all of a kind share."""

from __future__ import annotations

from typing import Any

from watchglass.instrumentation.budget import POSTGRESQL, Part, note, part_of
from watchglass.instrumentation.providers import record_client_work
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Flat, flat
from watchglass.meters import DB_CLIENT_OPERATION_DURATION

spans_elsewhere: set[str] = set()
"""Systems whose spans are made by contrib's instrumentors in place of ours; what they do is measured all the same."""


def error_type(error: BaseException) -> str:
    """`error.type`: PostgreSQL's SQLSTATE where there is one, else the class of the exception."""
    sqlstate = getattr(error, "sqlstate", None)
    return sqlstate if isinstance(sqlstate, str) else type(error).__qualname__


class Operation:
    """All operations of a database client that have the same attributes."""

    __slots__ = ("_clock", "_durations", "_recorder", "_values", "attributes", "flat", "part", "summary")

    def __init__(
        self,
        recorder: Recorder,
        system: str,
        operation: str,
        summary: str,
        text: str | None = None,
        cache_type: str | None = None,
    ) -> None:
        self.summary = summary
        self._recorder = recorder
        self._clock = recorder.clock
        self._values = (system, operation, summary, text, cache_type)
        self._durations = recorder.histogram(DB_CLIENT_OPERATION_DURATION, (*self._values, None))
        names = ("db.system.name", "db.operation.name", "db.query.summary", "db.query.text", "watchglass.cache.type")
        self.part: Part = part_of(system, cache_type=cache_type)
        if system == POSTGRESQL:
            self.part = part_of(system, summary, text)
        self.attributes: dict[str, Any] = {
            name: value for name, value in zip(names, self._values, strict=True) if value is not None
        }
        self.flat = flat(self.attributes)

    def ended(
        self,
        start: float,
        error: BaseException | None = None,
        attributes: dict[str, Any] | Flat | None = None,
        end: float | None = None,
        took: float | None = None,
    ) -> float:
        """Take note of one that began at `start` and ended at `end`, readings of the recorder's clock; now by default.

        `took` is given where less time was spent on it than passed, in seconds; what was waited for has been noted
        then. `attributes` are those of its span, if not those of all. Returns the seconds that it took.
        """
        if end is None:
            end = self._clock()
        durations, kind = self._durations, None
        if error is not None:
            kind = error_type(error)
            durations = self._recorder.histogram(DB_CLIENT_OPERATION_DURATION, (*self._values, kind))
        if took is None:
            took = end - start
            note(self.part, start, end)
        durations.record(took)
        if self._values[0] not in spans_elsewhere:
            record_client_work(self.summary, start, end, attributes or self.flat, kind, self._clock)
        return took
