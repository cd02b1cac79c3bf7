"""Incidents and pending requests as JSON: what is shown, who may freeze, and what a stranger gets."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.past import browser, log_in
from support.pipelines import fetch
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.black_box import BlackBox
from watchglass.instrumentation.error_groups import ErrorGroups
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Request
from watchglass.jobs.black_box import Freezer
from watchglass.records import Instance, LogRecord
from watchglass.settings import Settings

HOSTILE = "<script>alert(1)</script>\x1b[31m\x00\ud800"


class Process:
    """A process of the service, with a black box, that writes to the test's store."""

    def __init__(self, store_url: str, **settings: Any) -> None:
        self.settings = Settings(
            service_name="shop", app_database_url=store_url, flush_interval=300, records_interval=60, **settings
        )
        self.recorder = Recorder()
        self.box = BlackBox(self.settings)
        self.pipeline = Pipeline(
            self.settings, Instance("shop", "", "1.0", "i-1", "host-a", 7, time.time()), self.recorder.collect
        )
        errors = ErrorGroups()
        self.freezer = Freezer(self.settings, self.box, errors, self.pipeline, self.recorder, dict)
        self.pipeline.start()

    def handles(self, number: int, seconds: float, error: str | None = None) -> None:
        request = Request(number, number, None, True, 100.0, "GET")
        request.end, request.route, request.status, request.path = 100.0 + seconds, f"/{number}", 200, HOSTILE
        request.error = error
        self.box.request(request)
        fields = {"text": HOSTILE}
        self.box.log(LogRecord(time.time_ns(), 9, "INFO", "shop", f"{number} {HOSTILE}", fields, request.trace_hex))


@pytest.fixture
def process(store_url: str) -> Any:
    process = Process(store_url)
    yield process
    process.pipeline.stop(5.0)


@pytest_asyncio.fixture
async def client(context: Callable[..., Context], process: Process) -> AsyncIterator[httpx.AsyncClient]:
    made = context()
    made.clock = time.time
    made.freeze = process.freezer.freeze
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        yield client


async def guarded(client: httpx.AsyncClient) -> dict[str, str]:
    return {"x-csrf-token": (await client.get("/api/monitoring/session")).json()["csrf_token"]}


async def test_an_admin_freezes_by_hand_and_reads_it(
    client: httpx.AsyncClient, process: Process, store_url: str
) -> None:
    for number, seconds in ((1, 0.1), (2, 3.0), (3, 0.2)):
        process.handles(number, seconds, "ValueError" if number == 3 else None)
    asked = await client.post(
        "/api/monitoring/incidents", json={"title": f"odd {HOSTILE[:25]}"}, headers=await guarded(client)
    )
    assert asked.status_code == 202, asked.text
    frozen = asked.json()
    assert frozen["link"] == f"/ui/monitoring/incidents/{frozen['id']}"
    process.pipeline.flush_now()

    listed = (await client.get("/api/monitoring/incidents")).json()
    [line] = listed["incidents"]
    assert (line["id"], line["reason"], line["service"], line["host"]) == (frozen["id"], "by_hand", "shop", "host-a")
    assert listed["sentence"] == "1 incident; the newest because somebody asked for it."

    one = (await client.get(f"/api/monitoring/incidents/{frozen['id']}")).json()
    assert [request["route"] for request in one["requests"]] == ["/3", "/2", "/1"]
    assert one["requests_held"] == {"held": 3, "left_out": 0, "shown": 3}
    assert one["logs"][0]["fields"] == {"text": "<script>alert(1)</script>\x1b[31m\\ud800"}
    assert one["process"]["instance"] == "i-1"
    assert any("MainThread" in stack["thread"] for stack in one["stacks"])
    assert isinstance(one["statements"], list)

    slowest = (await client.get(f"/api/monitoring/incidents/{frozen['id']}?sort=slowest&limit=1&log_limit=0")).json()
    assert ([request["route"] for request in slowest["requests"]], slowest["logs"]) == (["/2"], [])
    failed = (await client.get(f"/api/monitoring/incidents/{frozen['id']}?sort=failed")).json()
    assert [request["route"] for request in failed["requests"]] == ["/3"]
    [audited] = fetch(store_url, "SELECT actor, target FROM watchglass.audit WHERE action = 'freeze black box'")
    assert audited["target"] == frozen["id"]


async def test_freezing_is_for_an_admin_with_the_token_of_the_page(
    client: httpx.AsyncClient, context: Callable[..., Context], process: Process
) -> None:
    assert (await client.post("/api/monitoring/incidents", json={})).status_code == 403
    made = context()
    made.freeze = process.freezer.freeze
    async with browser(create_app(made)) as viewer:
        token = await made.tokens.new("eve", "viewer")
        await viewer.post("/ui/monitoring/login", data={"token": token.text})
        assert (await viewer.get("/api/monitoring/incidents")).status_code == 200
        answer = await viewer.post("/api/monitoring/incidents", json={}, headers=await guarded(viewer))
        assert (answer.status_code, "admin" in answer.text) == (403, True)
    async with browser(create_app(made)) as stranger:
        for path in ("/api/monitoring/incidents", "/api/monitoring/incidents/x", "/api/monitoring/traces/pending"):
            assert (await stranger.get(path)).status_code == 401


async def test_what_is_not_there_is_said(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/monitoring/incidents/nothing")
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        "There is no such incident, or it is not kept any more.",
    )
    empty = (await client.get("/api/monitoring/incidents")).json()
    assert (empty["incidents"], empty["missing"]["reason"]) == ([], "No black box was frozen in this window.")
    assert (await client.get("/api/monitoring/incidents/x?limit=100000")).status_code == 422


async def test_a_process_without_a_box_says_why(context: Callable[..., Context], store_url: str) -> None:
    process = Process(store_url, black_box_seconds=0)
    try:
        made = context()
        async with browser(create_app(made)) as client:
            await log_in(client, made)
            headers = await guarded(client)
            assert (await client.post("/api/monitoring/incidents", json={}, headers=headers)).status_code == 503
            made.freeze = process.freezer.freeze
            answer = await client.post("/api/monitoring/incidents", json={}, headers=headers)
            assert (answer.status_code, "BLACK_BOX_SECONDS" in answer.text) == (409, True)
    finally:
        process.pipeline.stop(5.0)


async def test_another_services_incidents_are_not_shown(
    client: httpx.AsyncClient, process: Process, store_url: str
) -> None:
    import asyncpg

    incident = process.freezer.freeze_now("alert", "it fired")
    assert incident is not None
    process.pipeline.flush_now()
    connection = await asyncpg.connect(store_url)
    await connection.execute("UPDATE watchglass.incidents SET service_name = 'other'")
    await connection.close()
    assert (await client.get("/api/monitoring/incidents")).json()["incidents"] == []
    assert (await client.get(f"/api/monitoring/incidents/{incident.id}")).status_code == 404


async def test_damaged_content_is_shown_as_far_as_it_can_be_read(
    client: httpx.AsyncClient, process: Process, store_url: str
) -> None:
    import asyncpg

    process.handles(1, 0.1)
    incident = process.freezer.freeze_now("alert", "it fired")
    assert incident is not None
    process.pipeline.flush_now()
    connection = await asyncpg.connect(store_url)
    for content in ({"packed": "eJw* not base64"}, {"packed": 7, "requests": [], "stacks": "no", "process": None}, {}):
        await connection.execute("UPDATE watchglass.incidents SET content = $1", json.dumps(content))
        answer = await client.get(f"/api/monitoring/incidents/{incident.id}")
        assert answer.status_code == 200, answer.text
        assert (answer.json()["requests"], answer.json()["stacks"]) == ([], [])
    await connection.close()


async def test_what_runs_and_what_never_ended_is_told_apart(
    client: httpx.AsyncClient, process: Process, store_url: str
) -> None:
    import asyncpg

    from watchglass.jobs.pending import note

    process.pipeline.flush_now()
    assert (await client.get("/api/monitoring/traces/pending")).json()["missing"] is not None

    class Exchange:
        def known(self) -> dict[str, Any]:
            return {"url.path": HOSTILE}

    requests = []
    for number in (1, 2):
        request = Request(number, number, None, True, 0.0, "GET")
        request.route = f"/{number}"
        requests.append((request, Exchange()))
    connection = await asyncpg.connect(store_url)
    await note(connection, "i-1", requests, 4.0)
    await connection.execute(
        "UPDATE watchglass.pending SET seen_at = seen_at - interval '1 minute', started_at = started_at"
        " - interval '1 hour' WHERE route = '/2'"
    )
    answer = (await client.get("/api/monitoring/traces/pending")).json()
    assert [(one["state"], one["name"], one["spans"], one["pid"]) for one in answer["requests"]] == [
        ("never_ended", "GET /2", 1, 7),
        ("running", "GET /1", 1, 7),
    ]
    assert answer["requests"][0]["seconds"] > 3_500
    assert "1 request that never ended" in answer["sentence"]
    await note(connection, "i-1", requests[:1], 4.0)
    assert len((await client.get("/api/monitoring/traces/pending")).json()["requests"]) == 1
    await connection.close()
