"""Records as rows: the columns of each table, and a tuple for each record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any

from watchglass.analysis.buckets import PAIR_BYTES
from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.tiers import CHUNKS, MINUTE
from watchglass.records import Batch, LogRecord, Point, Series, SpanRecord, Trace
from watchglass.store.partitions import Bounds
from watchglass.store.text import MOST_ITEMS, storable, storable_json

Row = tuple[Any, ...]

LATE_SECONDS = 40.0
"""A point this old may miss the roll-up of its half hour, which begins a minute after its end."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MICROSECOND = 253_402_300_799_000_000

BLOCKS = ("time", "name", "instance_id", "series_ids", "counts", "sums", "mins", "maxs", "sizes", "buckets")
LOGS = (
    "time",
    "sequence",
    "instance_id",
    "position",
    "severity",
    "level",
    "logger",
    "message",
    "fields",
    "trace_id",
    "span_id",
    "exception",
)
TRACES = (
    "time",
    "sequence",
    "duration",
    "instance_id",
    "position",
    "status",
    "dropped_spans",
    "trace_id",
    "span_id",
    "name",
    "route",
    "method",
    "error_type",
    "reason",
    "spans",
    "error_group",
    "statements",
)


class Rows:
    """The rows of one batch of one instance, for a database of these bounds."""

    def __init__(self, batch: Batch, instance_id: int, bounds: Bounds) -> None:
        self.clamped = 0
        self._instance_id = instance_id
        self._sequence = batch.sequence
        self._bounds = bounds
        self._encoding = bounds.encoding
        self.series = {point.series.id: point.series for point in batch.points}
        self.blocks = self._blocks(batch.points)
        self.logs = [self._log(position, record) for position, record in enumerate(batch.logs)]
        self.traces = [self._trace(position, trace) for position, trace in enumerate(batch.traces)]

    @property
    def reach(self) -> datetime | None:
        """The time of the newest point."""
        return max((row[0] for row in self.blocks), default=None)

    @property
    def late(self) -> list[float]:
        """The chunks, by their start, that may have been rolled up without these points."""
        settled = self._bounds.now - timedelta(seconds=LATE_SECONDS)
        chunk = CHUNKS[MINUTE]
        return sorted({row[0].timestamp() // chunk * chunk for row in self.blocks if row[0] < settled})

    def of_series(self, series: Series) -> Row:
        """The row of a series, for those that the store does not know."""
        attributes = storable_json(dict(series.attributes), self._encoding)
        return series.id, storable(series.name, self._encoding), series.kind, series.unit, attributes

    def _time(self, table: str, nanoseconds: int, records: int = 1) -> datetime:
        time = _moment(nanoseconds)
        within = self._bounds.within(table, time)
        self.clamped += records * (within != time)
        return within

    def _blocks(self, points: Iterable[Point]) -> list[Row]:
        """A row for all points of a metric at one time, a column of arrays per value."""
        alike: dict[tuple[int, str, bool], list[Point]] = {}
        for point in points:
            alike.setdefault((point.time, point.series.name, point.buckets is not None), []).append(point)
        return [
            (
                self._time("metrics_10s", time * 1_000_000_000, len(some)),
                storable(name, self._encoding),
                self._instance_id,
                *_columns(some, histogram=histogram),
            )
            for (time, name, histogram), some in alike.items()
        ]

    def _log(self, position: int, record: LogRecord) -> Row:
        return (
            self._time("logs", record.time_ns),
            self._sequence,
            self._instance_id,
            position,
            min(max(record.severity, 0), 24),
            self._text(record.level),
            self._text(record.logger),
            self._text(record.message),
            storable_json(record.fields, self._encoding),
            _id(record.trace_id),
            _id(record.span_id),
            self._optional(record.exception),
        )

    def _trace(self, position: int, trace: Trace) -> Row:
        root = trace.root
        status = root.attributes.get("http.response.status_code")
        return (
            self._time("traces", root.start_ns),
            self._sequence,
            max(root.end_ns - root.start_ns, 0) / 1e9,
            self._instance_id,
            position,
            status if isinstance(status, int) and 0 <= status < 1000 else None,
            trace.dropped_spans + max(len(trace.spans) - MOST_ITEMS, 0),
            (root.trace_id % 2**128).to_bytes(16, "big"),
            (root.span_id % 2**64).to_bytes(8, "big"),
            self._text(root.name),
            self._optional(root.attributes.get("http.route")),
            self._optional(root.attributes.get("http.request.method")),
            self._optional(root.attributes.get("error.type") or root.error),
            self._text(trace.reason),
            storable_json([_span(span, root.start_ns) for span in trace.spans[:MOST_ITEMS]], self._encoding),
            self._optional(trace.error_group and trace.error_group[:64]),
            _statements(trace.spans),
        )

    def _text(self, value: object) -> str:
        return storable(str(value), self._encoding)

    def _optional(self, value: object) -> str | None:
        return self._text(value) if value else None


def _columns(points: Sequence[Point], *, histogram: bool) -> tuple[Any, ...]:
    """Of amounts and states there is but one value each."""
    ids, sums = [point.series.id for point in points], [point.sum for point in points]
    if not histogram:
        return ids, None, sums, None, None, None, None
    return (
        ids,
        [point.count for point in points],
        sums,
        [nan if point.min is None else point.min for point in points],
        [nan if point.max is None else point.max for point in points],
        [len(point.buckets or b"") // PAIR_BYTES for point in points],
        b"".join(point.buckets or b"" for point in points),
    )


def _moment(nanoseconds: int) -> datetime:
    """A unix time as PostgreSQL has it, in microseconds; times before 1970 or after 9999 are cut."""
    return _EPOCH + timedelta(microseconds=min(max(nanoseconds // 1000, 0), _LAST_MICROSECOND))


def _id(text: str | None) -> bytes | None:
    """An id from hexadecimal; what is none is left out, so that one odd line does not cost its batch."""
    try:
        return bytes.fromhex(text) if text else None
    except ValueError:
        return None


def _statements(spans: Iterable[SpanRecord]) -> list[str] | None:
    """The fingerprints of all statements of a trace, each once; None without any."""
    texts = {text for span in spans if isinstance(text := span.attributes.get("db.query.text"), str) and text}
    return sorted({of_statement(text) for text in texts}) or None


def _span(span: SpanRecord, origin_ns: int) -> dict[str, Any]:
    """A span of the document: times in nanoseconds after the root's start, ids in hexadecimal."""
    return {
        "span_id": f"{span.span_id:016x}",
        "parent_id": f"{span.parent_id:016x}" if span.parent_id else None,
        "name": span.name,
        "kind": span.kind,
        "start_ns": span.start_ns - origin_ns,
        "duration_ns": max(span.end_ns - span.start_ns, 0),
        "attributes": span.attributes,
        "error": span.error,
    }
