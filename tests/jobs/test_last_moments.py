"""A real service under uvicorn: what it says of requests that hang, of errors, and of its own end, however it ends."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from support.pipelines import fetch, select, until
from support.service import Service
from watchglass.exporters.prometheus import OPENMETRICS
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION
from watchglass.store.incidents import unpacked

APP = "support.failing_service:app"


@pytest.fixture
def service(store_url: str, tmp_path: Path) -> Iterator[Service]:
    with Service(store_url, tmp_path, app=APP) as service:
        yield service


def background(url: str) -> threading.Thread:
    """A client that waits for the answer, or for the end of whoever should give it."""

    def ask() -> None:
        with suppress(httpx.HTTPError):
            httpx.get(url, timeout=120)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


def pending(store_url: str) -> list[dict[str, Any]]:
    return [{**row, "spans": json.loads(row["spans"])} for row in fetch(store_url, "SELECT * FROM watchglass.pending")]


def incidents(store_url: str) -> list[dict[str, Any]]:
    rows = fetch(store_url, "SELECT * FROM watchglass.incidents ORDER BY time")
    return [{**row, "content": json.loads(row["content"])} for row in rows]


def answered(store_url: str, route: str) -> int:
    """Requests of the route that are in the store."""
    return sum(group.count for group in select(store_url, HTTP_SERVER_REQUEST_DURATION, where={"http.route": route}))


def fail(service: Service, word: str, times: int) -> None:
    for _ in range(times):  # each on a connection of its own: uvicorn ends one on which it has failed
        assert httpx.get(f"{service.url}/fails/{word}", timeout=30).status_code == 500


def test_what_runs_is_known_until_it_ends(service: Service, store_url: str) -> None:
    streaming = background(f"{service.url}/flows")
    waiting = background(f"{service.url}/waits/12")
    until(lambda: len(pending(store_url)) == 1 and len(pending(store_url)[0]["spans"]) > 1)
    [row] = pending(store_url)
    assert (row["name"], row["route"]) == ("GET /waits/{seconds}", "/waits/{seconds}")
    assert row["spans"][0]["attributes"]["url.path"] == "/waits/12"
    root, *children = row["spans"]
    assert (root["kind"], root["span_id"], root["parent_id"]) == ("server", row["span_id"].hex(), None)
    assert root["duration_ns"] >= 2_000_000_000
    assert [child for child in children if child["name"].startswith("SELECT") and child["parent_id"] == root["span_id"]]
    first = row["seen_at"]
    until(lambda: [one["seen_at"] for one in pending(store_url)] != [first])
    waiting.join(60)
    until(lambda: pending(store_url) == [])
    assert streaming.is_alive(), "and a stream that flows was never waited for"


def test_what_never_ended_stays_when_its_process_is_killed(service: Service, store_url: str) -> None:
    background(f"{service.url}/waits/60")
    until(lambda: len(pending(store_url)) == 1)
    service.kill()
    service.start()
    service.flush()
    background(f"{service.url}/waits/60")
    until(lambda: len(pending(store_url)) == 2)
    assert len({row["instance_id"] for row in pending(store_url)}) == 2, "the next process leaves it alone"
    assert incidents(store_url) == [], "who is killed has no last words"


def test_an_orderly_end_leaves_nothing_running_and_its_last_minutes(service: Service, store_url: str) -> None:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        for number in range(5):
            client.get(f"/items/{number}")
        trace_id = client.get("/fails/word").headers.get("x-trace-id")
    waiting = background(f"{service.url}/waits/4")
    until(lambda: len(pending(store_url)) == 1)
    service.stop()
    waiting.join(30)
    assert pending(store_url) == []
    [incident] = incidents(store_url)
    assert (incident["reason"], incident["service_name"]) == ("sigterm", "shop")
    content = incident["content"]
    requests, logs = unpacked(content)
    assert [request["route"] for request in requests] == ["/fails/{word}", *["/items/{item}"] * 5]
    assert requests[0]["trace_id"] == trace_id
    assert (requests[0]["error_type"], requests[0]["path"]) == ("LookupError", "/fails/word")
    assert [span["kind"] for span in requests[0]["spans"]] == ["server"]
    assert {line["message"] for line in logs} >= {"request 3", "about to fail over word"}
    assert [one["name"] for one in content["open"]] == ["GET /waits/{seconds}"], (
        "the signal was heard before the request had ended"
    )
    frames = {stack["thread"]: " ".join(stack["frames"]) for stack in content["stacks"]}
    assert "uvicorn" in frames["MainThread"]
    assert content["process"]["pid"] == service.pid


def test_once_told_to_end_nothing_waits_for_its_interval(store_url: str, tmp_path: Path) -> None:
    """A stream holds the server up until it is killed, as by a supervisor that has waited long enough."""
    with Service(store_url, tmp_path, app=APP, flush_interval=300) as service:
        streaming = background(f"{service.url}/flows")
        background(f"{service.url}/waits/4")
        until(lambda: len(pending(store_url)) == 1)
        service.signal(signal.SIGTERM)
        until(lambda: answered(store_url, "/waits/{seconds}") == 1)
        assert streaming.is_alive(), "what ended after the signal is stored while the server still waits"


def test_a_server_that_tells_nobody_of_its_end_has_stored_what_there_was(store_url: str, tmp_path: Path) -> None:
    """uvicorn without a lifespan ends by the signal itself."""
    with Service(store_url, tmp_path, app=APP, flush_interval=300) as service:
        service.kill()
        service.start("--lifespan", "off")
        for number in range(6):
            httpx.get(f"{service.url}/items/{number}")
        waiting = background(f"{service.url}/waits/4")
        until(lambda: len(pending(store_url)) == 1)
        service.stop()
        waiting.join(30)
    assert answered(store_url, "/items/{item}") == 6


def test_errors_are_counted_all_while_few_of_their_traces_are_kept(service: Service, store_url: str) -> None:
    fail(service, "a", 40)
    service.kill()  # what was counted is in the store, or on disk, or was of the last second
    service.start()
    service.flush()
    [before] = fetch(store_url, "SELECT count FROM watchglass.error_groups") or [{"count": 0}]
    fail(service, "b", 15)
    service.flush()
    [group] = fetch(store_url, "SELECT *, encode(trace_id, 'hex') AS example FROM watchglass.error_groups")
    assert group["count"] == before["count"] + 15
    assert (group["error_type"], group["frame"]) == ("LookupError", "support.failing_service:fails")
    assert group["message"] == "no such word b", "the newest"
    assert "in fails" in group["stack"]
    assert group["first_seen"] < group["last_seen"]
    kept = fetch(store_url, "SELECT encode(trace_id, 'hex') AS id, error_group, instance_id FROM watchglass.traces")
    failed = [row for row in kept if row["error_group"]]
    assert {row["error_group"] for row in failed} == {group["id"]}
    assert group["example"] in {row["id"] for row in failed}
    newest = max(row["instance_id"] for row in failed)
    assert len([row for row in failed if row["instance_id"] == newest]) == 10, "a twentieth of the minute"


def test_a_burst_of_errors_freezes_the_box_once(service: Service, store_url: str) -> None:
    for number in range(10):
        httpx.get(f"{service.url}/items/{number}")
    fail(service, "a", 25)
    until(lambda: len(incidents(store_url)) == 1)
    fail(service, "b", 30)
    service.flush()
    [incident] = incidents(store_url)
    assert incident["reason"] == "error_burst"
    assert incident["title"].endswith("requests failed within a minute.")
    requests, logs = unpacked(incident["content"])
    assert len([request for request in requests if request["error_type"]]) >= 20
    assert len([request for request in requests if not request["error_type"]]) == 10, "kept or not"
    assert len(logs) >= 30
    assert incident["content"]["statements"] == []
    service.stop()
    assert [one["reason"] for one in incidents(store_url)] == ["error_burst", "sigterm"]


def test_what_the_database_does_is_in_the_box(service: Service, store_url: str) -> None:
    import asyncio

    import asyncpg

    async def hold() -> None:
        connection = await asyncpg.connect(store_url)
        try:
            await connection.execute("SELECT pg_sleep(8), 'a secret'")
        finally:
            await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()), daemon=True)
    thread.start()
    fail(service, "a", 25)
    until(lambda: len(incidents(store_url)) == 1)
    [statement] = incidents(store_url)[0]["content"]["statements"]
    assert statement["query"].startswith("SELECT pg_sleep(")
    assert "secret" not in json.dumps(statement)
    assert statement["seconds"] > 0
    thread.join(30)


def test_each_exemplar_points_to_a_trace_that_is_there(service: Service, store_url: str) -> None:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        for number in range(30):
            client.get(f"/items/{number}")
        client.get("/waits/0")
    fail(service, "a", 3)
    service.flush()
    text = httpx.get(f"{service.url}/metrics", headers={"accept": OPENMETRICS}, timeout=30).text
    samples = [sample for family in parse_openmetrics(text) for sample in family.samples if sample.exemplar]
    assert {sample.labels["http_route"] for sample in samples if "http_route" in sample.labels} >= {
        "/items/{item}",
        "/fails/{word}",
        "/waits/{seconds}",
    }
    assert any(sample.name == "db_client_operation_duration_seconds_bucket" for sample in samples)
    stored = {row["id"] for row in fetch(store_url, "SELECT encode(trace_id, 'hex') AS id FROM watchglass.traces")}
    assert {sample.exemplar.labels["trace_id"] for sample in samples} <= stored
