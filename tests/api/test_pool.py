"""The pools of every process are shown one by one, and together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from support.past import Process
from watchglass import meters
from watchglass.instrumentation.recorder import Recorder

POOL = "/performance/database/pool"
MAIN = "10.0.0.5:5432/shop"
HOUR = 3600.0

Start = Callable[..., Process]


def pool(recorder: Recorder, idle: int, used: int, waiting: int = 0, name: str = MAIN, most: int | None = 10) -> None:
    """As the instrumentation sets it."""
    recorder.gauge(meters.DB_CLIENT_CONNECTION_COUNT, (name, "idle")).set(idle)
    recorder.gauge(meters.DB_CLIENT_CONNECTION_COUNT, (name, "used")).set(used)
    recorder.gauge(meters.DB_CLIENT_CONNECTION_MAX, (name,)).set(most)
    recorder.gauge(meters.DB_CLIENT_CONNECTION_PENDING_REQUESTS, (name,)).set(waiting)


def acquired(recorder: Recorder, seconds: float, times: int = 1, name: str = MAIN) -> None:
    for _ in range(times):
        recorder.histogram(meters.DB_CLIENT_CONNECTION_WAIT_TIME, (name,)).record(seconds)


async def ask(api: httpx.AsyncClient, **query: Any) -> Any:
    answer = await api.get(POOL, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_service_without_a_pool_is_told_how_pools_are_seen(api: httpx.AsyncClient) -> None:
    answer = await ask(api)
    assert answer["pools"] == []
    assert answer["sentence"] == "No connection pool was used in this window."
    assert "asyncpg.create_pool()" in answer["missing"]["remedy"]
    assert answer["figures"]["used"]["value"] is None


async def test_each_process_has_its_pools_and_all_are_added_up(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    calm, busy = process(now - HOUR), process(now - HOUR)

    def at_ease(recorder: Recorder) -> None:
        pool(recorder, idle=4, used=1)
        acquired(recorder, 0.001, 10)

    def overrun(recorder: Recorder) -> None:
        pool(recorder, idle=0, used=10, waiting=7)
        acquired(recorder, 0.5, 10)
        recorder.counter(meters.DB_CLIENT_CONNECTION_TIMEOUTS, (MAIN,)).add()

    await calm.live(now - 600, now, at_ease)
    await busy.live(now - 600, now, overrun)
    answer = await ask(api)
    first, second = answer["pools"]
    assert (first["instance"], second["instance"]) == (busy.instance.instance_id, calm.instance.instance_id)
    assert (first["name"], first["size"], first["max"], first["idle"], first["used"]) == (MAIN, 10, 10, 0, 10)
    assert (first["waiting"], first["timeouts"], second["waiting"], second["timeouts"]) == (7, 10, 0, 0)
    assert 0.48 < first["wait_p95_seconds"] < 0.52
    assert second["wait_p95_seconds"] < 0.0011
    figures = {name: one["value"] for name, one in answer["figures"].items()}
    assert [figures[name] for name in ("used", "idle", "size", "max", "waiting", "timeouts")] == [11, 4, 15, 20, 7, 10]
    assert answer["figures"]["wait"]["samples"] == 200
    assert answer["sentence"].startswith("11 of 20 connections of 2 processes are in use; 7 requests wait for one;")


async def test_where_a_pool_has_no_limit_there_is_none_for_all(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    def connects_each_time(recorder: Recorder) -> None:
        pool(recorder, idle=0, used=3, name="pgbouncer:6432/shop", most=None)
        pool(recorder, idle=1, used=4)

    await process(now - HOUR).live(now - 600, now, connects_each_time)
    answer = await ask(api)
    assert {one["name"]: one["max"] for one in answer["pools"]} == {"pgbouncer:6432/shop": None, MAIN: 10}
    assert answer["figures"]["max"]["value"] is None
    assert answer["figures"]["max"]["reason"] == "A pool has no limit."
    assert answer["sentence"] == "7 connections of 1 process are in use."


async def test_a_process_that_ended_is_no_part_of_now_but_was_of_the_earlier_window(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    gone, here = process(now - 2 * HOUR), process(now - 2 * HOUR)
    await gone.live(now - 2 * HOUR, now - HOUR, lambda recorder: pool(recorder, idle=1, used=5))
    await here.live(now - 2 * HOUR, now, lambda recorder: pool(recorder, idle=1, used=2))
    answer = await ask(api, range="1h", compare="previous")
    assert [one["instance"] for one in answer["pools"]] == [here.instance.instance_id]
    assert answer["sentence"] == "2 of 10 connections of 1 process are in use."
    assert (answer["figures"]["used"]["value"], answer["figures"]["used"]["previous"]) == (2, 7)


async def test_a_pool_that_was_closed_is_gone(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - HOUR)
    await one.live(now - 1200, now - 600, lambda recorder: pool(recorder, idle=1, used=2))

    def closed(recorder: Recorder) -> None:
        for meter, values in (
            (meters.DB_CLIENT_CONNECTION_COUNT, (MAIN, "idle")),
            (meters.DB_CLIENT_CONNECTION_COUNT, (MAIN, "used")),
            (meters.DB_CLIENT_CONNECTION_MAX, (MAIN,)),
            (meters.DB_CLIENT_CONNECTION_PENDING_REQUESTS, (MAIN,)),
        ):
            recorder.gauge(meter, values).set(None)

    await one.live(now - 600, now, closed)
    assert (await ask(api))["pools"] == []
