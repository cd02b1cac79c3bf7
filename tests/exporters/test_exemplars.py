"""An exemplar is of a trace that the store has, in the bucket that its measurement is counted in, on every worker."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from support.pipelines import answer, fetch, process
from watchglass import guard
from watchglass.exporters.exemplars import MOST, OLDEST, KeptExemplars
from watchglass.exporters.pipeline import Pipeline
from watchglass.exporters.prometheus import OPENMETRICS, TEXT, write
from watchglass.exporters.workers.accounts import Accounts
from watchglass.exporters.workers.past import folded
from watchglass.exporters.workers.sheets import Sheet, across, decode, encode
from watchglass.exporters.workers.totals import Exemplar, Totals
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import DB_CLIENT_OPERATION_DURATION
from watchglass.records import Batch, SpanRecord, Trace
from watchglass.settings import Settings

NAME = "http_server_request_duration_seconds"


def kept(seconds: float, number: int = 1, at: float | None = None) -> Trace:
    """The trace of a request as `answer` records it."""
    end = int((at or time.time()) * 1e9)
    attributes = {
        "http.request.method": "GET",
        "http.route": "/a",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }
    root = SpanRecord(number, 7, None, "GET /a", "server", end - int(seconds * 1e9), end, attributes)
    return Trace(root, [root], "random", measured=seconds)


def exemplars(totals: Totals, accept: str = OPENMETRICS, name: str = NAME) -> dict[str, Any]:
    """By bucket the exemplar, as a parser of OpenMetrics reads it."""
    text, _ = write(totals, accept)
    [family] = [one for one in parse_openmetrics(text.decode()) if one.name == name]
    return {sample.labels["le"]: sample.exemplar for sample in family.samples if sample.exemplar}


def shown(recorder: Recorder, found: KeptExemplars) -> Totals:
    return Accounts(recorder.collect, 1000, found.now).totals()


def test_each_bucket_shows_its_newest_trace(recorder: Recorder) -> None:
    found = KeptExemplars()
    for number, seconds in enumerate((0.1, 0.11, 3.0, 40.0), 1):
        answer(recorder, seconds=seconds)
        found.stored(Batch(number, traces=[kept(seconds, number)]))
    seen = exemplars(shown(recorder, found))
    assert {le: (int(one.labels["trace_id"], 16), one.value) for le, one in seen.items()} == {
        "0.125": (2, 0.11),
        "4.0": (3, 3.0),
        "+Inf": (4, 40.0),
    }
    [sample] = [one for one in seen.values() if one.value == 3.0]
    assert sample.labels == {"trace_id": f"{3:032x}", "span_id": f"{7:016x}"}
    assert abs(float(sample.timestamp) - time.time()) < 60


def test_statements_have_them_too(recorder: Recorder) -> None:
    values = ("postgresql", "SELECT", "SELECT items", "SELECT ?", None, None)
    recorder.histogram(DB_CLIENT_OPERATION_DURATION, values).record(0.02)
    names = DB_CLIENT_OPERATION_DURATION.attributes
    attributes = {name: value for name, value in zip(names, values, strict=True) if value}
    one = kept(0.1)
    child = SpanRecord(1, 9, 7, "SELECT items", "client", one.root.end_ns - 20_000_000, one.root.end_ns, attributes)
    found = KeptExemplars()
    found.stored(Batch(1, traces=[replace(one, spans=[one.root, child])]))
    seen = exemplars(shown(recorder, found), name="db_client_operation_duration_seconds")
    assert [one.labels["span_id"] for one in seen.values()] == [f"{9:016x}"]


def test_the_text_format_is_as_it_was(recorder: Recorder) -> None:
    answer(recorder)
    found = KeptExemplars()
    found.stored(Batch(1, traces=[kept(0.1)]))
    assert write(shown(recorder, found), TEXT) == write(shown(recorder, KeptExemplars()), TEXT)


def test_a_bucket_that_counted_nothing_shows_none(recorder: Recorder) -> None:
    answer(recorder, seconds=0.1)
    found = KeptExemplars()
    found.stored(Batch(1, traces=[kept(2.0), replace(kept(0.1), measured=None)]))
    assert exemplars(shown(recorder, found)) == {}


def test_they_disappear_in_time_and_are_bounded() -> None:
    now = [1_000_000.0]
    found = KeptExemplars(clock=lambda: now[0])
    found.stored(Batch(1, traces=[kept(0.1, at=now[0]), kept(3.0, at=now[0] + 100)]))
    assert [len(one) for one in found.now().values()] == [2]
    now[0] += OLDEST + 50
    assert [[one.value for one in of_series.values()] for of_series in found.now().values()] == [[3.0]]
    now[0] += OLDEST
    assert found.now() == {}
    for number in range(MOST + 10):
        one = kept(0.1, at=now[0])
        one.root.attributes["http.route"] = f"/{number}"
        found.stored(Batch(1, traces=[one]))
    assert len(found.now()) == MOST


def test_every_worker_shows_the_newest_of_all(recorder: Recorder) -> None:
    sheets = []
    for number, at in ((1, 1_000_000.0), (2, 2_000_000.0), (3, 1_500_000.0)):
        answer(recorder)
        found = KeptExemplars(clock=lambda at=at: at)  # type: ignore[misc]
        found.stored(Batch(1, traces=[kept(0.1, number, at)]))
        sheet = Sheet(id=str(number), life="a", pid=number, written=at, totals=shown(recorder, found))
        read = decode(encode(sheet))
        assert read == sheet, "and it comes back from the sheet as it was"
        sheets.append(read)
    seen = exemplars(across(sheets, []))
    assert [int(one.labels["trace_id"], 16) for one in seen.values()] == [2]
    dead = folded(Sheet(id="past", life="a"), sheets, 1000)
    assert {total.exemplars for total in dead.totals.values()} == {None}, "the dead leave none"
    assert exemplars(across(sheets[:1], [dead])) != {}


def test_what_was_left_out_at_the_start_has_no_say_in_them(recorder: Recorder) -> None:
    answer(recorder)
    found = KeptExemplars()
    accounts = Accounts(recorder.collect, 1000, found.now)
    accounts.skip()
    answer(recorder)
    found.stored(Batch(1, traces=[kept(0.1)]))
    assert len(exemplars(accounts.totals())) == 1


def test_none_points_to_a_trace_that_the_store_does_not_have(recorder: Recorder, store_url: str) -> None:
    found = KeptExemplars()
    settings = Settings(app_database_url=store_url, flush_interval=300, records_interval=60)
    pipeline = Pipeline(settings, process(), recorder.collect, stored=found.stored)
    answer(recorder)
    pipeline.offer_trace(kept(0.1, 5))
    assert found.now() == {}, "it is on its way"
    pipeline.start()
    try:
        pipeline.flush_now()
        [stored] = fetch(store_url, "SELECT encode(trace_id, 'hex') AS id FROM watchglass.traces")
        [one] = exemplars(shown(recorder, found)).values()
        assert one.labels["trace_id"] == stored["id"]
    finally:
        pipeline.stop()
    assert [type(one) for of_series in found.now().values() for one in of_series.values()] == [Exemplar]


def test_a_trace_that_the_store_refuses_is_no_exemplar(
    recorder: Recorder, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    found = KeptExemplars()
    settings = Settings(app_database_url=store_url, flush_interval=300, records_interval=60)
    pipeline = Pipeline(settings, process(), recorder.collect, stored=found.stored)
    answer(recorder)
    bad = kept(0.1)
    pipeline.offer_trace(replace(bad, dropped_spans=2**70))
    pipeline.start()
    try:
        pipeline.flush_now()
        assert pipeline.status.dropped["traces"] == 1
        assert found.now() == {}
    finally:
        pipeline.stop()
