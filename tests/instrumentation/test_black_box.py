"""The black box holds the last minutes, within its memory, and shows no more than may be kept."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from pydantic import SecretStr

from watchglass.instrumentation.black_box import A_CHILD, A_REQUEST, BlackBox, stacks
from watchglass.instrumentation.documents import MOST_SPANS, described, running
from watchglass.instrumentation.request import Request
from watchglass.records import LogRecord
from watchglass.settings import Settings

STORE = SecretStr("postgresql://shop@127.0.0.1/shop")


class Unknown:
    def known(self) -> dict[str, Any]:
        return {"url.path": "/items/1"}


def ended(number: int = 1, at: float | None = None, children: int = 0) -> Request:
    request = Request(number, number, None, True, 100.0, "GET")
    request.start_ns = int((at or time.time()) * 1e9)
    request.end, request.route, request.status, request.path = 100.25, "/items/{item}", 200, "/items/1"
    for index in range(children):
        request.add_child(f"SELECT {index}", 100.1, 100.2, {"db.system.name": "postgresql"})
    return request


def line(message: str = "m", at: float | None = None, **fields: Any) -> LogRecord:
    return LogRecord(int((at or time.time()) * 1e9), 9, "INFO", "shop", message, fields)


def test_requests_are_told_newest_first_with_their_spans() -> None:
    box = BlackBox(Settings())
    for number in (1, 2):
        box.request(ended(number, children=number))
    newest, oldest = box.requests()
    assert (newest["trace_id"], oldest["trace_id"]) == (f"{2:032x}", f"{1:032x}")
    assert (newest["name"], newest["path"], newest["status"]) == ("GET /items/{item}", "/items/1", 200)
    assert newest["duration"] == 0.25
    root, first, _ = newest["spans"]
    assert (root["kind"], root["start_ns"], root["duration_ns"]) == ("server", 0, 250_000_000)
    assert (first["name"], first["parent_id"]) == ("SELECT 0", root["span_id"])
    assert round(first["start_ns"], -6) == 100_000_000
    json.dumps([newest, oldest])


def test_the_oldest_leave_when_the_memory_is_full() -> None:
    box = BlackBox(Settings(black_box_bytes=2**20))
    room = int(2**20 * 0.75 / (A_REQUEST + 4 * A_CHILD))
    for number in range(3_000):
        box.request(ended(number + 1, children=4))
    assert len(list(box.requests())) == int(2**20 * 0.75 / A_REQUEST), "at once, whatever was done for them"
    box.trim()
    held = [int(request["trace_id"], 16) for request in box.requests()]
    assert held == list(range(3_000, 3_000 - room, -1))
    for number in range(2_000):
        box.log(line(f"{number} " + "x" * 1_000))
    lines = list(box.logs())
    assert 100 < len(lines) < 2**20 * 0.25 / 1_600 + 1
    assert lines[0]["message"].startswith("1999 ")


def test_what_is_too_old_leaves() -> None:
    now = [1_000_000.0]
    box = BlackBox(Settings(black_box_seconds=180), clock=lambda: now[0])
    for at in (now[0] - 200, now[0] - 100, now[0] - 1):
        box.request(ended(int(at), at))
        box.log(line(str(at), at))
    box.trim()
    assert (len(list(box.requests())), len(list(box.logs()))) == (2, 2)
    now[0] += 1_000
    box.trim()
    assert (list(box.requests()), list(box.logs())) == ([], [])
    assert box._weight_of_logs == 0


def test_nothing_secret_is_in_a_path() -> None:
    box = BlackBox(Settings())
    request = ended()
    request.path = "/login/Bearer abcdefghijklmnop1234567890"
    box.request(request)
    [told] = box.requests()
    assert "abcdefghijklmnop" not in told["path"]


def test_a_request_that_runs_is_described_until_now() -> None:
    request = ended(children=1)
    request.end = 0.0

    told = running(request, Unknown(), 107.0)
    assert told["spans"][0]["duration_ns"] == 7_000_000_000
    assert told["spans"][0]["attributes"]["url.path"] == "/items/1"
    assert described(request, 107.0)["spans"][0]["attributes"]["http.route"] == "/items/{item}"


def test_stacks_say_what_each_thread_does_and_no_variable() -> None:
    ending = threading.Event()

    def waits_for_the_test(secret: str) -> None:
        ending.wait(60)

    thread = threading.Thread(target=waits_for_the_test, args=("hunter2",), name="waiting")
    thread.start()
    try:
        found = {stack["thread"]: stack["frames"] for stack in stacks()}
    finally:
        ending.set()
        thread.join()
    assert any("waits_for_the_test" in frame for frame in found["waiting"])
    assert "hunter2" not in json.dumps(found)
    assert threading.current_thread().name not in found


def test_it_can_be_left_out() -> None:
    assert not BlackBox(Settings(black_box_seconds=0, database_url=STORE)).active


def test_nothing_is_held_where_no_store_could_have_it() -> None:
    assert not BlackBox(Settings()).active
    assert BlackBox(Settings(database_url=STORE)).active


def test_what_runs_is_told_with_the_work_that_was_done_last() -> None:
    request = ended(children=3 * MOST_SPANS)
    request.end = 0.0
    told = running(request, Unknown(), 107.0)
    root, *others = told["spans"]
    assert root["kind"] == "server"
    assert [span["name"] for span in others] == [f"SELECT {number}" for number in range(2 * MOST_SPANS, 3 * MOST_SPANS)]
    assert told["dropped_spans"] == 2 * MOST_SPANS
