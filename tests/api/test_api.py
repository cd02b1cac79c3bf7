"""What every answer has in common: its window, its errors, its headers, and what stays when the store is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.trace import TracerProvider

from support.past import Process, browser, log_in, request
from watchglass import guard
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.health import Health
from watchglass.api.ranges import earlier_of, window_of
from watchglass.errors import InvalidRange
from watchglass.exporters.status import OtlpStatus, PipelineStatus
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import SYSTEM_FILESYSTEM_UTILIZATION
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.store.reader import Reader

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()
TILE = "/api/monitoring/cards/tile_api"


@pytest.mark.parametrize(
    ("query", "seconds"),
    [({}, 3600), ({"range": "15m"}, 900), ({"range": "30d"}, 2_592_000), ({"range": ""}, 3600)],
)
def test_a_named_range_ends_now(query: dict[str, str], seconds: int) -> None:
    window = window_of(query, NOW)
    assert (window.end, window.seconds) == (NOW, seconds)


@pytest.mark.parametrize(
    "query",
    [
        {"start": "2026-11-24T10:00:00Z", "end": "2026-11-24T11:00:00Z"},
        {"start": "2026-11-24T11:00:00+01:00", "end": "2026-11-24T12:00:00+01:00"},
        {"start": "2026-11-24T15:30:00 05:30", "end": "2026-11-24T16:30:00+05:30", "range": "7d"},
    ],
)
def test_start_and_end_are_taken_in_any_zone_and_go_before_the_range(query: dict[str, str]) -> None:
    window = window_of(query, NOW)
    assert (NOW - window.start, NOW - window.end) == (7200, 3600)


def test_an_end_in_the_future_is_now() -> None:
    window = window_of({"start": "2026-11-24T11:00:00Z", "end": "2030-01-01T00:00:00Z"}, NOW)
    assert window.end == NOW


@pytest.mark.parametrize(
    "query",
    [
        {"range": "2h"},
        {"range": "-1h"},
        {"range": "1h; DROP TABLE"},
        {"start": "2026-11-24T10:00:00"},
        {"start": "yesterday"},
        {"start": "2026-11-24T12:00:00Z", "end": "2026-11-24T10:00:00Z"},
        {"start": "2026-11-24T11:59:30Z"},
        {"start": "2020-01-01T00:00:00Z"},
        {"start": "0001-01-01T00:00:00+14:00"},
        {"start": "9999-12-31T23:59:59Z"},
        {"end": "2026-11-24T10:00:00Z"},
        {"start": "1e309"},
        {"start": "\x00"},
    ],
)
def test_what_is_no_range_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRange):
        window_of(query, NOW)


def test_compare_names_the_earlier_window() -> None:
    window = window_of({"range": "15m"}, NOW)
    starts = {name: earlier_of({"compare": name}, window) for name in ("previous", "1h", "1d", "1w", "none")}
    assert [NOW - found.end if found else None for found in starts.values()] == [900, 3600, 86_400, 604_800, None]
    assert earlier_of({}, window) == starts["1h"]
    with pytest.raises(InvalidRange):
        earlier_of({"compare": "2h"}, window)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (TILE + "?range=2h", "2h"),
        (TILE + "?start=now", "now"),
        (TILE + "?compare=x", "x"),
        ("/api/monitoring/api/endpoints?limit=0", "limit"),
        ("/api/monitoring/api/endpoints?sort=name", "sort"),
        ("/api/monitoring/cards/endpoints?limit=many", "limit"),
        ("/api/monitoring/api/latency?top=99", "top"),
    ],
)
async def test_a_wrong_question_is_422_with_a_sentence(api: httpx.AsyncClient, path: str, names: str) -> None:
    answer = await api.get(path)
    assert answer.status_code == 422
    assert names in answer.json()["error"] and answer.json()["error"].endswith(".")


async def test_an_unknown_card_or_path_is_404_with_a_sentence(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/monitoring/cards/nothing")
    assert answer.status_code == 404 and "tile_api" in answer.json()["error"]
    answer = await api.get("/api/monitoring/nothing")
    assert answer.status_code == 404 and answer.json()["error"] == "There is nothing at this path."
    token = (await api.get("/api/monitoring/session")).json()["csrf_token"]
    answer = await api.post("/api/monitoring/status", headers={"x-csrf-token": token})
    assert answer.status_code == 405 and "error" in answer.json()


async def test_no_answer_is_kept_by_anyone(api: httpx.AsyncClient) -> None:
    for path in (TILE, "/health", "/api/monitoring/nothing", "/metrics", "/ui/monitoring/login"):
        answer = await api.get(path)
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_every_route_is_described_for_who_is_logged_in(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/monitoring/openapi.json")
    assert answer.status_code == 200
    assert "/api/monitoring/api/endpoints" in answer.json()["paths"]
    parameters = answer.json()["paths"]["/api/monitoring/api/endpoints"]["get"]["parameters"]
    assert {"range", "start", "end", "compare", "sort", "limit", "endpoint"} == {one["name"] for one in parameters}


async def test_every_figure_says_its_window_and_how_it_was_got(
    api: httpx.AsyncClient, process: Callable[..., Process], now: float
) -> None:
    one = process(now - 600)
    await one.live(now - 600, now, lambda recorder: request(recorder, "/a", 0.1))
    answer = (await api.get(TILE, params={"range": "15m", "compare": "previous"})).json()
    start, end = (datetime.fromisoformat(answer["window"][edge]) for edge in ("start", "end"))
    assert (end - start).total_seconds() == 900 and end.timestamp() == now
    assert datetime.fromisoformat(answer["compared_with"]["end"]) == start
    for figure in answer["figures"].values():
        assert figure["window"] == answer["window"]
        assert figure["basis"] == "measured" and figure["samples"] == 10 and figure["statistic"]


@pytest.fixture
def without_store(free_port: int) -> Context:
    """A process whose store does not answer; what it has in memory is there."""
    away = f"postgresql://app@127.0.0.1:{free_port}/app"
    recorder = Recorder()
    return Context(
        Settings(service_name="shop", database_url=away),
        Reader(away),
        Access(away),
        render_metrics=lambda accept: (b"up 1\n", "text/plain; version=0.0.4"),
        collect=recorder.collect,
    )


async def test_without_the_store_calls_say_so_and_what_to_do_while_memory_answers(without_store: Context) -> None:
    async with browser(create_app(without_store)) as client:
        await log_in(client, without_store)
        for path in ("/api/monitoring/advanced/summary", TILE, "/api/monitoring/api/endpoints", "/performance/system"):
            answer = await client.get(path)
            assert answer.status_code == 503, path
            assert "does not answer" in answer.json()["error"] and "watchglass doctor" in answer.json()["remedy"]
        assert (await client.get("/metrics")).text == "up 1\n"
        assert (await client.get("/health")).status_code == 200
        status = await client.get("/api/monitoring/status")
        assert status.status_code == 200
        assert status.json()["instances"] is None and "does not answer" in status.json()["reason"]
        setup = await client.get("/api/monitoring/cards/setup")
        assert setup.status_code == 200 and setup.json()["missing"]["command"] == "watchglass doctor"


async def test_the_status_tells_of_every_way_out_of_the_process() -> None:
    sent = OtlpStatus("ok", "The collector takes logs.", 1_700_000_000.0, 3, 7)
    status = PipelineStatus(
        "unavailable", "away", None, {"logs": 2}, {"logs": 1}, 4, 5, 600, 700, "The disk is full.", 8, 9, {"logs": sent}
    )
    context = Context(Settings(service_name="shop"), status=lambda: status)
    async with browser(create_app(context)) as client:
        await log_in(client, context)
        answer = (await client.get("/api/monitoring/status")).json()
    assert answer["storage"] == {
        "state": "unavailable",
        "message": "away",
        "last_flush": None,
        "queued": {"logs": 2},
        "dropped": {"logs": 1},
        "clamped": 4,
        "backlog": 5,
        "backlog_bytes": 600,
        "spooled_bytes": 700,
        "spool_problem": "The disk is full.",
        "set_aside": 8,
        "overflowed": 9,
    }
    assert answer["otlp"]["logs"] == {
        "state": "ok",
        "message": "The collector takes logs.",
        "last_sent": "2023-11-14T22:13:20Z",
        "queued": 3,
        "dropped": 7,
    }


async def test_without_a_database_the_answer_names_the_setting() -> None:
    context = Context(Settings(service_name="shop"))
    async with browser(create_app(context)) as client:
        await log_in(client, context)
        answer = await client.get(TILE)
        assert answer.status_code == 503 and "DATABASE_URL" in answer.json()["error"]
        assert (await client.get("/metrics")).status_code == 404


async def test_an_error_of_ours_is_500_and_tells_nothing(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    made = context()

    def broken(accept: str) -> tuple[bytes, str]:
        raise RuntimeError("a secret reason")

    made.render_metrics = broken
    transport = httpx.ASGITransport(create_app(made), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.json() == {"error": "Watchglass failed to answer. The service is not affected."}


async def test_our_own_routes_are_not_observed_by_fastapi(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastAPI observes itself where a global provider is set; not so ours."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(metrics, "get_meter_provider", metrics.NoOpMeterProvider)
    await api.get("/api/monitoring/session")
    assert spans.get_finished_spans() == ()


async def health_of(context: Context) -> tuple[int, Any]:
    async with browser(create_app(context)) as client:
        answer = await client.get("/health")
        return answer.status_code, answer.json()


async def test_a_well_service_is_operational_and_names_no_versions_or_figures(store_url: str, redis_url: str) -> None:
    settings = Settings(service_name="shop", app_database_url=store_url, redis_url=redis_url)
    status, answer = await health_of(Context(settings, collect=Recorder().collect))
    assert status == 200
    assert answer == {
        "status": "operational",
        "components": {"api": "operational", "postgresql": "operational", "redis": "operational"},
    }


async def test_without_its_redis_a_service_is_degraded_and_without_its_postgresql_critical(
    store_url: str, free_port: int
) -> None:
    no_redis = Settings(service_name="shop", app_database_url=store_url, redis_url=f"redis://127.0.0.1:{free_port}/0")
    status, answer = await health_of(Context(no_redis))
    assert (status, answer["status"], answer["components"]["redis"]) == (200, "degraded", "degraded")
    no_postgresql = Settings(service_name="shop", app_database_url=f"postgresql://app@127.0.0.1:{free_port}/app")
    context = Context(no_postgresql)
    status, answer = await health_of(context)
    assert (status, answer["status"]) == (503, "critical")
    async with browser(create_app(context)) as client:
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).json() == {"status": "alive"}


async def test_a_host_that_does_not_answer_holds_health_up_for_two_seconds_and_once() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    context = Context(Settings(service_name="shop", app_database_url=f"postgresql://app@127.0.0.1:{port}/app"))
    async with browser(create_app(context)) as client:
        begun = time.perf_counter()
        answers = await asyncio.gather(*(client.get("/health") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {503}
        assert time.perf_counter() - begun < 3
        begun = time.perf_counter()
        await client.get("/health")
        assert time.perf_counter() - begun < 0.2
    server.close()
    await asyncio.sleep(0.05)


async def test_failing_requests_show_in_the_health_and_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, clock = Recorder(), [1000.0]
    context = Context(Settings(service_name="shop"), collect=recorder.collect, clock=lambda: clock[0])
    health = Health(context)

    async def after(seconds: float, good: int, bad: int) -> str:
        request(recorder, "/a", 0.01, times=good)
        request(recorder, "/a", 0.01, "500", "KeyError", times=bad)
        clock[0] += seconds
        return (await health.now()).status

    assert await after(0, 0, 0) == "operational"
    assert await after(10, 5, 5) == "operational"
    assert await after(10, 190, 10) == "degraded"
    assert await after(10, 0, 300) == "critical"
    assert await after(60, 1000, 0) == "operational"


async def test_a_full_disk_degrades() -> None:
    recorder = Recorder()
    recorder.gauge(SYSTEM_FILESYSTEM_UTILIZATION, ("/",)).set(0.95)
    status, answer = await health_of(Context(Settings(service_name="shop"), collect=recorder.collect))
    assert (status, answer["components"]["disk"]) == (200, "degraded")
