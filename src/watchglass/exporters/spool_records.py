"""Batches as records of a file: a header with version, length and checksum, then compressed lines of JSON.

The header is big-endian: the magic `wgsp`, the format's version, three zero bytes, the first and the last sequence that
the batch stands for (64 bits each), the body's length (32 bits) and BLAKE2b of 16 bytes over all of that and the body.
The body is zlib over lines of JSON: the instance with the numbers of points, logs and traces, then one line for each.
What later versions added to records comes behind those, in one more line, which earlier ones do not read.
Numbers that JSON lacks (infinity) are text; bytes are base64. Every version begins with the same header.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import lru_cache
from math import isfinite
from typing import Any, BinaryIO

from watchglass.exporters.backlog import Frozen
from watchglass.records import (
    Attributes,
    Batch,
    ErrorCount,
    Incident,
    Instance,
    LogRecord,
    Point,
    Series,
    SpanRecord,
    Trace,
)
from watchglass.store.text import storable_json

VERSION = 1
_MAGIC = b"wgsp"
_HEADER = struct.Struct(">4sB3xQQI16s")
_CHECKED = _HEADER.size - 16


class Damaged(Exception):
    """The file goes on with something that is no record, or one of another version."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file has a record, and for which sequences."""

    offset: int
    length: int
    first: int
    sequence: int


def encode(instance: Instance, frozen: Frozen) -> bytes:
    """The record of a batch of that process."""
    press = zlib.compressobj(1)  # line by line, so that no step of it holds the interpreter for long
    body = b"".join([press.compress(line.encode() + b"\n") for line in _lines(instance, frozen.batch)]) + press.flush()
    head = _HEADER.pack(_MAGIC, VERSION, frozen.first, frozen.sequence, len(body), b"")[:_CHECKED]
    return head + _digest(head, body) + body


def decode(record: bytes) -> tuple[Instance, Batch]:
    """The batch of a record, and whose it is. Raises `Damaged`."""
    try:
        lines = [json.loads(line) for line in zlib.decompress(record[_HEADER.size :]).splitlines()]
        *instance, sequence, points, logs, traces = lines[0]
        of_logs, of_traces = 1 + points, 1 + points + logs
        more = lines[of_traces + traces] if len(lines) > of_traces + traces else {}
        batch = Batch(
            sequence,
            [_to_point(line) for line in lines[1:of_logs]],
            [_to_log(line) for line in lines[of_logs:of_traces]],
            list(map(_to_trace, lines[of_traces : of_traces + traces], _error_groups(more, traces))),
            [ErrorCount(*line) for line in more.get("errors", ())],
            [Incident(*line) for line in more.get("incidents", ())],
        )
        return Instance(*instance), batch
    except (zlib.error, ValueError, TypeError, IndexError, AttributeError) as error:
        raise Damaged(str(error)) from error


def places(file: BinaryIO) -> Iterator[Place]:
    """The records of a file, in order. One that was not written to its end ends them; raises `Damaged`."""
    offset = file.seek(0)
    while len(header := file.read(_HEADER.size)) == _HEADER.size:
        magic, version, first, sequence, length, digest = _HEADER.unpack(header)
        if magic != _MAGIC or version != VERSION:
            raise Damaged(f"at byte {offset} is no record of version {VERSION}")
        body = file.read(length)
        if len(body) < length:
            if _MAGIC in body:
                raise Damaged(f"the length of the record at byte {offset} is wrong")
            return
        if _digest(header[:_CHECKED], body) != digest:
            raise Damaged(f"the checksum of the record at byte {offset} is wrong")
        yield Place(offset, _HEADER.size + length, first, sequence)
        offset += _HEADER.size + length


def current(found: Iterable[Place]) -> list[Place]:
    """Those in place of which no later record stands, by sequence."""
    kept: dict[int, Place] = {}
    for place in found:
        for sequence in range(place.first, place.sequence):
            kept.pop(sequence, None)
        kept[place.sequence] = place
    return sorted(kept.values(), key=lambda place: place.sequence)


def _digest(head: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(head + body, digest_size=16).digest()


def _lines(instance: Instance, batch: Batch) -> Iterator[str]:
    yield _json([*astuple(instance), batch.sequence, len(batch.points), len(batch.logs), len(batch.traces)])
    yield from (_json(_of_point(point)) for point in batch.points)
    yield from (_json(_of_log(log)) for log in batch.logs)
    yield from (_json(_of_trace(trace)) for trace in batch.traces)
    if more := _more(batch):
        yield _json(more)


def _more(batch: Batch) -> dict[str, Any]:
    """What later versions added, by name, where there is any."""
    more: dict[str, Any] = {}
    if any(trace.error_group for trace in batch.traces):
        more["error_groups"] = [trace.error_group for trace in batch.traces]
    if batch.errors:
        more["errors"] = [astuple(error) for error in batch.errors]
    if batch.incidents:
        more["incidents"] = [astuple(incident) for incident in batch.incidents]
    return more


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


def _of_point(point: Point) -> list[Any]:
    series = point.series
    numbers = (x if x is None or isfinite(x) else str(x) for x in (point.sum, point.min, point.max))
    buckets = None if point.buckets is None else base64.b64encode(point.buckets).decode()
    return [series.name, series.kind, series.unit, series.attributes, point.time, point.count, *numbers, buckets]


def _to_point(line: list[Any]) -> Point:
    name, kind, unit, attributes, time, count, *numbers, buckets = line
    series = _series(name, kind, unit, tuple((key, value) for key, value in attributes))
    total, low, high = (None if x is None else float(x) for x in numbers)
    packed = None if buckets is None else base64.b64decode(buckets)
    return Point(series, time, count, 0.0 if total is None else total, low, high, packed)


@lru_cache(maxsize=20_000)
def _series(name: str, kind: str, unit: str, attributes: Attributes) -> Series:
    return Series(name, kind, unit, attributes)


def _of_log(log: LogRecord) -> list[Any]:
    fields = storable_json(log.fields)
    texts = log.level, log.logger, log.message, fields, log.trace_id, log.span_id, log.exception
    return [log.time_ns, log.severity, *texts]


def _to_log(line: list[Any]) -> LogRecord:
    time_ns, severity, level, logger, message, fields, *rest = line
    return LogRecord(time_ns, severity, level, logger, message, json.loads(fields), *rest)


def _of_trace(trace: Trace) -> list[Any]:
    root = None if trace.spans and trace.spans[0] is trace.root else _of_span(trace.root)
    return [trace.reason, trace.dropped_spans, root, [_of_span(span) for span in trace.spans]]


def _to_trace(line: list[Any], error_group: str | None) -> Trace:
    reason, dropped, root, spans = line
    made = [_to_span(span) for span in spans]
    return Trace(made[0] if root is None else _to_span(root), made, reason, dropped, error_group)


def _error_groups(more: dict[str, Any], traces: int) -> list[str | None]:
    found: list[str | None] = more.get("error_groups", [])
    return found if len(found) == traces else [None] * traces


def _of_span(span: SpanRecord) -> list[Any]:
    ids = span.trace_id, span.span_id, span.parent_id
    return [*ids, span.name, span.kind, span.start_ns, span.end_ns, storable_json(span.attributes), span.error]


def _to_span(line: list[Any]) -> SpanRecord:
    trace_id, span_id, parent_id, name, kind, start_ns, end_ns, attributes, error = line
    return SpanRecord(trace_id, span_id, parent_id, name, kind, start_ns, end_ns, json.loads(attributes), error)
