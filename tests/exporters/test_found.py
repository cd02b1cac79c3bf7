"""Errors are counted once whatever happens on the way, and incidents are stored once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from support.lost_answers import LostAnswers
from support.pipelines import fetch, process, trace
from watchglass import guard
from watchglass.errors import DatabaseUnavailable
from watchglass.exporters import errors, incidents
from watchglass.exporters.backlog import Backlog, Frozen
from watchglass.exporters.errors import merged
from watchglass.exporters.pipeline import Pipeline
from watchglass.exporters.spool_records import decode, encode
from watchglass.exporters.waiting import Waiting
from watchglass.instrumentation.recorder import Recorder
from watchglass.records import Batch, ErrorCount, Incident
from watchglass.settings import Settings

NOW = time.time()


def error(
    group: str = "a" * 16, count: int = 1, at: float = NOW, stack: str = "stack", message: str = "m"
) -> ErrorCount:
    return ErrorCount(group, "ValueError", "shop:place", message, stack, at - 1, at, count)


def incident(id: str = "one", packed: str = "QUJD") -> Incident:
    content = {"format": 1, "stacks": [{"frames": ["a\x00b\ud800"]}], "packed": packed}
    return Incident(id, NOW, "by_hand", "A title\x00", NOW - 180, NOW, content)


class Errors:
    """What is taken with the next flush."""

    def __init__(self) -> None:
        self.waiting: list[ErrorCount] = []

    def take(self) -> list[ErrorCount]:
        taken, self.waiting = self.waiting, []
        return taken


@pytest.fixture
def found() -> Errors:
    return Errors()


@pytest.fixture
def lossy(store_url: str) -> Iterator[LostAnswers]:
    network = LostAnswers(store_url)
    yield network
    network.close()


@pytest.fixture
def pipeline(lossy: LostAnswers, recorder: Recorder, found: Errors) -> Iterator[Pipeline]:
    settings = Settings(app_database_url=lossy.url, flush_interval=300, records_interval=60)
    pipeline = Pipeline(settings, process(), recorder.collect, take_errors=found.take)
    pipeline.start()
    yield pipeline
    pipeline.stop(5.0)


def groups(store_url: str) -> list[dict[str, object]]:
    return [dict(row) for row in fetch(store_url, "SELECT * FROM watchglass.error_groups ORDER BY id")]


def test_a_batch_whose_answer_was_lost_counts_its_errors_once(
    pipeline: Pipeline, lossy: LostAnswers, found: Errors, store_url: str
) -> None:
    pipeline.flush_now()
    for number in range(1, 4):
        found.waiting = [error(count=10), error("b" * 16, count=1)]
        pipeline.offer_incident(incident(str(number)))
        lossy.losses = 1
        with pytest.raises(DatabaseUnavailable):
            pipeline.flush_now()
        pipeline.flush_now()
        assert [row["count"] for row in groups(store_url)] == [10 * number, number]
    assert len(fetch(store_url, "SELECT FROM watchglass.incidents")) == 3


def test_a_group_knows_when_it_was_seen_and_the_newest_text(pipeline: Pipeline, found: Errors, store_url: str) -> None:
    for count, at, stack, message in ((2, NOW - 50, "old", "m1"), (3, NOW, "new", "m2"), (1, NOW - 100, "", "")):
        found.waiting = [error(count=count, at=at, stack=stack, message=message)]
        pipeline.flush_now()
    [group] = groups(store_url)
    assert (group["count"], group["stack"], group["message"]) == (6, "new", "m2")
    assert abs(group["first_seen"].timestamp() - (NOW - 101)) < 0.01  # type: ignore[attr-defined]
    assert abs(group["last_seen"].timestamp() - NOW) < 0.01  # type: ignore[attr-defined]
    assert group["service_name"] == "shop"


def test_a_clock_that_is_ahead_says_now(pipeline: Pipeline, found: Errors, store_url: str) -> None:
    found.waiting = [error(at=NOW + 1e9), error("c" * 16, at=float("inf"))]
    pipeline.flush_now()
    assert all(row["last_seen"].timestamp() < time.time() + 5 for row in groups(store_url))  # type: ignore[attr-defined]


def test_the_example_is_a_trace_that_is_kept(pipeline: Pipeline, found: Errors, store_url: str) -> None:
    found.waiting = [error()]
    pipeline.flush_now()
    assert [row["trace_id"] for row in groups(store_url)] == [None]
    found.waiting = [error()]
    pipeline.offer_trace(replace(trace(), error_group="a" * 16))
    pipeline.flush_now()
    assert [row["trace_id"] for row in groups(store_url)] == [(1 << 100).to_bytes(16, "big")]


def test_an_incident_is_stored_as_it_is(pipeline: Pipeline, store_url: str) -> None:
    long = "A" * 300_000
    pipeline.offer_incident(incident(packed=long))
    pipeline.flush_now()
    [row] = fetch(
        store_url, "SELECT *, extract(epoch FROM window_end - window_start) AS seconds FROM watchglass.incidents"
    )
    assert (row["id"], row["reason"], row["title"], row["service_name"]) == ("one", "by_hand", "A title", "shop")
    assert (row["window_end"] - row["window_start"]).total_seconds() == 180
    content = json.loads(row["content"])
    assert content["packed"] == long
    assert content["stacks"][0]["frames"] == ["ab\\ud800"]


def test_what_the_store_refuses_is_counted(
    pipeline: Pipeline, found: Errors, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    found.waiting = [error(count=2**80)]
    pipeline.offer_incident(incident())
    pipeline.flush_now()
    dropped = pipeline.status.dropped
    assert (dropped["errors"], dropped["incidents"]) == (1, 1)
    assert groups(store_url) == []


def test_while_the_store_is_away_they_wait_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "MOST_BYTES", 5_000)
    monkeypatch.setattr(incidents, "MOST_BYTES", 50_000)
    waiting = Backlog(1_000)
    for sequence in range(1, 60):
        waiting.add(Batch(sequence, errors=[error(stack="x" * 500)], incidents=[incident(str(sequence), "A" * 10_000)]))
    assert 0 < waiting.weights["errors"] <= 5_000
    assert 0 < waiting.weights["incidents"] <= 50_000
    assert waiting.dropped["errors"] > 0
    left = [one.id for frozen in waiting for one in frozen.batch.incidents]
    assert left == [str(number) for number in range(60 - len(left), 60)], "the newest"


def test_neighbours_that_are_merged_add_their_errors_up() -> None:
    one, other = error(count=2, stack="old"), error(count=3, at=NOW + 5, stack="", message="")
    [summed] = merged([one, other])
    assert (summed.count, summed.stack, summed.first_seen, summed.last_seen) == (5, "old", NOW - 1, NOW + 5)
    waiting = Backlog(1_000, most_batches=4)
    for sequence in range(1, 20):
        waiting.add(Batch(sequence, errors=[error()]))
    counted = [one.count for frozen in waiting for one in frozen.batch.errors]
    assert sum(counted) == 19
    assert len(counted) <= 4
    assert waiting.merged > 0


def test_what_is_read_from_a_spool_is_what_was_found() -> None:
    batch = Batch(5, errors=[error(count=4)], incidents=[incident()], traces=[replace(trace(), error_group="a" * 16)])
    _, back = decode(encode(process(), Frozen(batch, 5)))
    assert back.errors == batch.errors
    assert back.incidents == batch.incidents
    assert [one.error_group for one in back.traces] == ["a" * 16]


def test_errors_do_not_make_a_flush_of_their_own() -> None:
    found = Errors()
    found.waiting = [error()]
    waiting = Waiting(10, found.take)
    assert not waiting
    assert waiting.take()["errors"] == [error()]
