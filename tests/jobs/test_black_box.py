"""A box is frozen once at the end, in a bounded size, and without waiting for whoever is asked meanwhile."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections import deque
from collections.abc import Iterator

import pytest

from support.pipelines import fetch, process, until
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.black_box import BlackBox, Held
from watchglass.instrumentation.error_groups import ErrorGroups
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Request
from watchglass.jobs.black_box import MOST_PACKED, Freezer, pack, running_statements
from watchglass.meters import INCIDENTS
from watchglass.records import LogRecord
from watchglass.settings import Settings
from watchglass.store.incidents import unpacked


class Made:
    def __init__(self, dsn: str | None) -> None:
        self.settings = Settings(app_database_url=dsn, flush_interval=300, records_interval=0.1)  # type: ignore[arg-type]
        self.recorder = Recorder()
        self.box = BlackBox(self.settings)
        self.pipeline = Pipeline(self.settings, process(), self.recorder.collect)
        self.freezer = Freezer(self.settings, self.box, ErrorGroups(), self.pipeline, self.recorder, dict)

    def holds(self, number: int, children: int, text: int) -> None:
        for index in range(number):
            request = Request(index + 1, 1, None, True, 100.0, "GET")
            request.end, request.route, request.path = 100.1, "/a", "/a"
            for _ in range(children):
                request.add_child("SELECT", 100.0, 100.1, {"noise": os.urandom(40).hex()})
            self.box.request(request)
            noise = os.urandom(text // 2).hex()
            self.box.log(LogRecord(time.time_ns(), 9, "INFO", "shop", noise, {}))


@pytest.fixture
def made(store_url: str) -> Iterator[Made]:
    made = Made(store_url)
    made.pipeline.start()
    yield made
    made.pipeline.stop(5.0)


def stored(store_url: str) -> list[str]:
    return [row["title"] for row in fetch(store_url, "SELECT title FROM watchglass.incidents ORDER BY time")]


def test_the_end_is_frozen_once_whoever_tells_of_it(made: Made, store_url: str) -> None:
    made.freezer.told_to_end()
    made.freezer.told_to_end()
    made.freezer.ended()
    made.pipeline.flush_now()
    assert stored(store_url) == ["The process was told to end."]
    made.freezer.begin()
    made.freezer.ended()
    made.pipeline.flush_now()
    assert stored(store_url) == ["The process was told to end.", "The process ended in order."]
    [counted] = [state.sum for state in made.recorder.collect() if state.meter is INCIDENTS]
    assert counted == 2


def test_what_does_not_fit_is_left_out_and_counted(made: Made, store_url: str) -> None:
    made.holds(3_000, children=20, text=600)
    incident = made.freezer.freeze_now("by_hand", "A large one.")
    assert incident is not None
    content = incident.content
    assert len(content["packed"]) < MOST_PACKED * 4 / 3 + 100_000
    requests, logs = unpacked(content)
    assert len(requests) == content["requests"]["held"] < content["requests"]["held"] + content["requests"]["left_out"]
    assert len(logs) == content["logs"]["held"]
    assert requests[0]["trace_id"] == f"{3_000:032x}", "the newest are there"
    assert len(requests) > 300
    made.pipeline.flush_now(60)
    [row] = fetch(store_url, "SELECT pg_column_size(content) AS size FROM watchglass.incidents")
    assert row["size"] < 3.5 * 2**20


def test_what_cannot_be_packed_in_time_is_left_out_and_counted() -> None:
    def slowly(number: int) -> dict[str, int]:
        time.sleep(0.01)
        return {"number": number}

    packed, counts = pack(Held(deque(range(5_000)), slowly), MOST_PACKED, time.monotonic() + 0.1)
    assert 0 < counts["held"] < 5_000
    assert counts["held"] + counts["left_out"] == 5_000
    assert json.loads(zlib.decompress(packed).split()[0]) == {"number": 4_999}


def test_it_waits_for_a_store_that_is_away(store_url: str) -> None:
    made = Made(store_url)
    incident = made.freezer.freeze_now("alert", "Something fired.")
    made.pipeline.start()
    try:
        until(lambda: stored(store_url) == ["Something fired."])
    finally:
        made.pipeline.stop(5.0)
    assert incident is not None


async def test_a_database_that_does_not_answer_keeps_nobody() -> None:
    assert await running_statements(Settings(app_database_url="postgresql://nobody@127.0.0.1:1/nothing")) == []  # type: ignore[arg-type]
    assert await running_statements(Settings()) == []


def test_a_secret_in_a_title_is_none_when_it_is_stored(made: Made) -> None:
    incident = made.freezer.freeze_now("by_hand", "Bearer abcdefghijklmnop1234567890 " + "x" * 1_000)
    assert incident is not None
    assert "abcdefghijklmnop" not in incident.title
    assert len(incident.title) < 350
