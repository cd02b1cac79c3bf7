"""What is read from a spool is what was written, and what was not written to its end is not read."""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from math import inf

import pytest

from support.pipelines import line, process, trace
from watchglass.analysis.buckets import pack
from watchglass.exporters.backlog import Frozen
from watchglass.exporters.spool_records import _HEADER, Damaged, current, decode, encode, places
from watchglass.records import Batch, LogRecord, Point, Series, SpanRecord, Trace
from watchglass.store.text import storable_json

ME = process()
SERIES = Series("s", "histogram", "s", (("http.route", "/é\ud800"), ("a", "b")))
FULL = Batch(
    7,
    [
        Point(SERIES, 1_700_000_000, 3, 4.5, 0.1, inf, pack({-3: 2, 5: 1})),
        Point(Series("c", "counter", "1", ()), 10, 1, 2.0),
        Point(Series("g", "gauge", "1", ()), 10, 1, -inf, -inf, -inf),
    ],
    [line("one"), LogRecord(5, 17, "ERROR", "l", "tw\ud800o\x00", {"at": datetime.now(UTC), "n": {1, 2}}, None)],
    [trace(), Trace(SpanRecord(2**127, 2**63, None, "GET", "server", 1), [], "slow")],
)


def file_of(*batches: Batch, first: int | None = None) -> io.BytesIO:
    return io.BytesIO(b"".join(encode(ME, Frozen(batch, first or batch.sequence)) for batch in batches))


def test_a_batch_and_whose_it_is_come_back() -> None:
    instance, batch = decode(encode(ME, Frozen(FULL, 7)))
    assert instance == ME
    assert (batch.sequence, batch.points, batch.traces) == (7, FULL.points, FULL.traces)
    assert [series.series.id for series in batch.points] == [series.series.id for series in FULL.points]
    assert batch.logs[0] == FULL.logs[0]


def test_values_that_json_lacks_are_stored_as_they_would_have_been() -> None:
    _, batch = decode(encode(ME, Frozen(FULL, 7)))
    odd, stored = batch.logs[1], FULL.logs[1]
    assert storable_json(odd.fields) == storable_json(stored.fields)
    assert (odd.message, odd.severity, odd.trace_id) == ("tw\ud800o\x00", 17, None)


def test_the_group_of_an_error_comes_back_and_an_earlier_version_reads_the_rest() -> None:
    grouped = Batch(7, traces=[trace(), replace(trace(), error_group="00ff")])
    record = encode(ME, Frozen(grouped, 7))
    assert [one.error_group for one in decode(record)[1].traces] == [None, "00ff"]
    header, *lines = zlib.decompress(record[_HEADER.size :]).splitlines()
    _, _, _, traces = json.loads(header)[-4:]
    assert [len(json.loads(line)) for line in lines[:traces]] == [4, 4], "as the earlier version takes them apart"


def test_a_record_of_an_earlier_version_is_read() -> None:
    record = encode(ME, Frozen(Batch(7, traces=[trace()]), 7))
    assert len(zlib.decompress(record[_HEADER.size :]).splitlines()) == 2, "nothing is added where nothing is new"
    assert decode(record)[1].traces[0].error_group is None


def test_records_are_found_in_order() -> None:
    file = file_of(Batch(1), Batch(2), FULL)
    assert [(place.first, place.sequence) for place in places(file)] == [(1, 1), (2, 2), (7, 7)]


@pytest.mark.parametrize("missing", [1, 20, 50, 10_000])
def test_one_that_was_not_written_to_its_end_is_not_read(missing: int) -> None:
    whole = file_of(Batch(1), Batch(2)).getvalue()
    last = encode(ME, Frozen(FULL, 7))
    assert [place.sequence for place in places(io.BytesIO(whole + last[: max(0, len(last) - missing)]))] == [1, 2]


@pytest.mark.parametrize("offset", [0, 4, 9, 20, 25, 27, 35, 60])
def test_a_flipped_bit_is_noticed(offset: int) -> None:
    data = bytearray(file_of(FULL, Batch(8)).getvalue())
    data[offset] ^= 1
    found = []
    with pytest.raises(Damaged):
        for place in places(io.BytesIO(bytes(data))):
            found.append(place.sequence)
    assert found == []


def test_another_version_is_not_guessed_at() -> None:
    data = bytearray(file_of(FULL).getvalue())
    data[4] = 2
    with pytest.raises(Damaged, match="no record of version 1"):
        list(places(io.BytesIO(bytes(data))))


def test_what_was_merged_stands_in_place_of_its_parts() -> None:
    parts = b"".join(encode(ME, Frozen(Batch(n), n)) for n in range(1, 7))
    merged = encode(ME, Frozen(Batch(2), 1)) + encode(ME, Frozen(Batch(4), 3)) + encode(ME, Frozen(Batch(7), 7))
    found = current(places(io.BytesIO(parts + merged + encode(ME, Frozen(Batch(4), 1)))))
    assert [(place.first, place.sequence) for place in found] == [(1, 4), (5, 5), (6, 6), (7, 7)]


def test_it_is_json_without_code() -> None:
    body = zlib.decompress(encode(ME, Frozen(FULL, 7))[44:])
    assert [type(json.loads(text)) for text in body.splitlines()] == [list] * 8
