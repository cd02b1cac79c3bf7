"""The figures are those of the requests that were made, over one window, with one denominator."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import httpx
import pytest

from support.past import Process, ask, request
from watchglass import meters
from watchglass.instrumentation.recorder import Recorder

HOUR = 3600.0
Start = Callable[..., Process]


async def test_the_api_tile_has_p95_rate_and_errors_with_their_change_against_an_hour_ago(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - 2 * HOUR)

    def calm(recorder: Recorder) -> None:
        request(recorder, "/search", 0.1, times=19)
        request(recorder, "/search", 0.1, "500", "500")

    def busy(recorder: Recorder) -> None:
        request(recorder, "/search", 0.2, times=36)
        request(recorder, "/search", 0.2, "500", "KeyError", times=4)

    await one.live(now - 2 * HOUR, now - HOUR, calm)
    await one.live(now - HOUR, now, busy)
    tile = (await ask(api, "/api/monitoring/cards/tile_api"))["figures"]

    assert tile["p95"]["value"] == pytest.approx(0.2, rel=1e-9)
    assert tile["p95"]["previous"] == pytest.approx(0.1, rel=1e-9)
    assert tile["p95"]["samples"] == 2400 and tile["p95"]["previous_samples"] == 1200
    assert tile["p95"]["change"] == {
        "absolute": pytest.approx(0.1),
        "relative": pytest.approx(1),
        "direction": "up",
        "verdict": "worse",
    }
    assert tile["rate"]["value"] == pytest.approx(40 / 60) and tile["rate"]["previous"] == pytest.approx(20 / 60)
    assert tile["rate"]["change"]["verdict"] is None
    assert tile["errors"]["value"] == pytest.approx(0.1) and tile["errors"]["previous"] == pytest.approx(0.05)
    assert {figure["basis"] for figure in tile.values()} == {"measured"}
    assert len(tile["rate"]["spark"]) == 30
    assert all(point == pytest.approx(40 / 60) for point in tile["rate"]["spark"])


async def test_no_data_is_null_with_a_reason_never_zero(api: httpx.AsyncClient) -> None:
    summary = await ask(api, "/api/monitoring/advanced/summary")
    assert list(summary["tiles"]) == ["tile_api", "tile_redis", "tile_postgresql", "tile_system"]
    for tile in summary["tiles"].values():
        for figure in tile["figures"].values():
            assert figure["value"] is None and figure["basis"] == "unavailable"
            assert figure["reason"].endswith(".")
            assert figure["change"] is None


async def test_no_requests_while_the_service_ran_is_a_measured_rate_of_zero_and_no_latency(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)
    await one.live(now - HOUR, now, lambda recorder: recorder.gauge(meters.SYSTEM_CPU_UTILIZATION).set(0.1))
    tile = (await ask(api, "/api/monitoring/cards/tile_api"))["figures"]
    assert tile["rate"]["value"] == 0 and tile["rate"]["basis"] == "measured"
    assert tile["p95"]["value"] is None and tile["p95"]["reason"] == "No requests in this window."
    assert tile["errors"]["value"] is None


async def test_a_rate_is_not_diluted_by_the_time_before_the_service_started(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - 300)
    await one.live(now - 300, now, lambda recorder: request(recorder, "/a", 0.01, times=180))
    for range_ in ("15m", "1h", "24h", "30d"):
        tile = (await ask(api, "/api/monitoring/cards/tile_api", range=range_))["figures"]
        assert tile["rate"]["value"] == pytest.approx(3), range_
        assert tile["rate"]["previous"] is None, range_


async def test_time_in_which_no_process_ran_does_not_count(api: httpx.AsyncClient, process: Start, now: float) -> None:
    first, second = process(now - HOUR), process(now - 600)
    await first.live(now - HOUR, now - 3000, lambda recorder: request(recorder, "/a", 0.01, times=60))
    await second.live(now - 600, now, lambda recorder: request(recorder, "/a", 0.01, times=60))
    tile = (await ask(api, "/api/monitoring/cards/tile_api"))["figures"]
    assert tile["rate"]["value"] == pytest.approx(1, rel=0.1)
    assert None in tile["rate"]["spark"]


async def test_two_processes_add_up(api: httpx.AsyncClient, process: Start, now: float) -> None:
    for share in (3, 5):
        one = process(now - HOUR)
        await one.live(now - HOUR, now, lambda recorder, n=share: request(recorder, "/a", 0.01 * n, times=n))  # type: ignore[misc]
    tile = (await ask(api, "/api/monitoring/cards/tile_api"))["figures"]
    assert tile["rate"]["value"] == pytest.approx(8 / 60)
    assert tile["p95"]["samples"] == 480


async def test_another_service_on_the_same_store_is_another_matter(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    other = process(now - HOUR, "bank")
    await other.live(now - HOUR, now, lambda recorder: request(recorder, "/a", 0.01))
    tile = (await ask(api, "/api/monitoring/cards/tile_api"))["figures"]
    assert tile["rate"]["value"] is None


async def test_endpoints_have_percentiles_counts_per_status_and_errors_of_one_denominator(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    source = random.Random(2)
    latencies: list[float] = []
    one = process(now - HOUR)

    def act(recorder: Recorder) -> None:
        for _ in range(30):
            latencies.append(source.lognormvariate(-3, 1))
            request(recorder, "/search/{q}", latencies[-1])
        request(recorder, "/search/{q}", 0.001, "422")
        request(recorder, "/search/{q}", 0.001, "503", "503", times=2)
        request(recorder, "/upload", 0.5, "200", "ClientDisconnect", method="POST")
        request(recorder, None, 0.002, "404", times=3)
        request(recorder, None, 0.002, "404", method="PROPFIND")

    await one.live(now - HOUR, now, act)
    answer = await ask(api, "/api/monitoring/api/endpoints")
    rows = {row["label"]: row for row in answer["endpoints"]}
    assert set(rows) == {"GET /search/{q}", "POST /upload", "unmatched paths"}

    search = rows["GET /search/{q}"]
    values = sorted([*latencies, *[0.001] * 180])
    for name, quantile in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        exact = values[math.ceil(quantile * len(values)) - 1]
        assert search[name]["value"] == pytest.approx(exact, rel=0.022)
        assert search[name]["samples"] == 1980
    assert search["requests"] == 1980
    assert search["statuses"] == {"200": 1800, "422": 60, "503": 120}
    assert search["error_count"] == 120 and search["errors"]["value"] == pytest.approx(120 / 1980)
    assert search["errors"]["samples"] == search["requests"]
    assert search["rate"]["value"] == pytest.approx(1980 / HOUR)

    assert rows["POST /upload"]["error_count"] == 60
    unmatched = rows["unmatched paths"]
    assert (unmatched["method"], unmatched["route"], unmatched["requests"]) == (None, None, 240)

    total = answer["total"]
    assert total["requests"] == sum(row["requests"] for row in rows.values()) == 2280
    assert total["error_count"] == 180
    assert sum(row["impact"] for row in rows.values()) == pytest.approx(1)
    assert answer["more"] == 0


async def test_endpoints_come_in_the_order_asked_for_and_say_how_many_are_left_out(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)

    def act(recorder: Recorder) -> None:
        request(recorder, "/often", 0.001, times=50)
        request(recorder, "/slow", 3.0)
        request(recorder, "/broken", 0.001, "500", "500", times=2)

    await one.live(now - HOUR, now, act, every=600)
    for sort, first in (("impact", "/slow"), ("p95", "/slow"), ("requests", "/often"), ("errors", "/broken")):
        answer = await ask(api, "/api/monitoring/api/endpoints", sort=sort, limit=1)
        assert [row["route"] for row in answer["endpoints"]] == [first]
        assert answer["more"] == 2


async def test_series_beyond_the_limit_are_one_row_and_not_unmatched_paths(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)
    one.recorder.max_series = 3

    def act(recorder: Recorder) -> None:
        for number in range(9):
            request(recorder, f"/{number}", 0.01)

    await one.live(now - HOUR, now, act, every=1800)
    rows = {row["label"]: row["requests"] for row in (await ask(api, "/api/monitoring/api/endpoints"))["endpoints"]}
    assert rows == {"GET /0": 2, "GET /1": 2, "GET /2": 2, "endpoints beyond the limit of series": 12}


async def test_latency_over_time_is_that_of_each_slot_of_all_and_of_the_top_five(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)

    def act(recorder: Recorder) -> None:
        for rank in range(8):
            request(recorder, f"/r{rank}", 0.1 * (rank + 1))
        request(recorder, None, 50.0, "404")

    await one.live(now - HOUR, now - 1800, act)
    await one.live(now - 1800, now - 1200, lambda recorder: None)
    await one.live(now - 1200, now, lambda recorder: request(recorder, "/r0", 2.0))
    answer = await ask(api, "/api/monitoring/api/latency")
    assert answer["resolution"] == 120 and len(answer["times"]) == 30
    assert [line["label"] for line in answer["endpoints"]] == [f"GET /r{rank}" for rank in (0, 7, 6, 5, 4)]
    everything = answer["all"]
    assert everything["samples"][:15] == [18] * 15
    assert everything["p50"][0] == pytest.approx(0.5, rel=0.022)
    assert everything["p95"][0] == pytest.approx(50, rel=0.022)
    assert everything["p95"][15:20] == [None] * 5
    assert everything["p95"][-1] == pytest.approx(2.0, rel=0.022)
    alone = await ask(api, f"/api/monitoring/api/endpoints/{answer['endpoints'][1]['endpoint_id']}/latency")
    assert alone["title"] == "GET /r7" and alone["all"]["samples"] == answer["endpoints"][1]["samples"]
    for strange in ("x", "%00", "bm90aGluZw", "a" * 300):
        answered = await api.get(f"/api/monitoring/api/endpoints/{strange}/latency")
        assert answered.status_code in (200, 404)
        assert answered.status_code == 404 or answered.json()["all"]["samples"] == [0] * 30
    first = answer["endpoints"][0]
    assert first["p95"][0] == pytest.approx(0.1, rel=0.022) and first["p95"][-1] == pytest.approx(2.0, rel=0.022)


async def test_slow_statements_are_the_services_own_with_calls_time_errors_and_those_over_the_threshold(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)

    def act(recorder: Recorder) -> None:
        def call(text: str, seconds: float, error: str | None = None, system: str = "postgresql") -> None:
            values = (system, "SELECT", "SELECT " + text.rsplit(maxsplit=1)[-1], text, None, error)
            recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(seconds)

        for _ in range(20):
            call("SELECT * FROM small", 0.001)
        call("SELECT * FROM large", 1.0)
        call("SELECT * FROM large", 2.5)
        call("SELECT * FROM large", 3.0, "QueryCanceledError")
        call("GET", 60.0, system="redis")

    await one.live(now - HOUR, now, act)
    answer = await ask(api, "/performance/database/slow-queries")
    large, small = answer["statements"]
    assert (large["text"], small["text"]) == ("SELECT * FROM large", "SELECT * FROM small")
    assert (large["calls"], large["errors"], large["over_threshold"]) == (180, 60, 120)
    assert large["total_seconds"] == pytest.approx(390) and large["max"] == 3.0
    assert large["p95"]["value"] == pytest.approx(3.0, rel=0.022)
    assert small["over_threshold"] == 0 and small["calls"] == 1200
    assert (answer["calls"], answer["slow_calls"], answer["threshold"]) == (1380, 120, 1.0)
    tile = (await ask(api, "/api/monitoring/cards/tile_postgresql"))["figures"]
    assert tile["slow_statements"]["value"] == pytest.approx(120)


async def test_the_postgresql_tile(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - HOUR)

    def act(recorder: Recorder) -> None:
        recorder.gauge(meters.POSTGRESQL_BACKENDS, ("active",)).set(3)
        recorder.gauge(meters.POSTGRESQL_BACKENDS, ("idle",)).set(9)
        recorder.gauge(meters.POSTGRESQL_CONNECTION_MAX).set(100)
        recorder.gauge(meters.POSTGRESQL_DB_SIZE).set(5_000_000)
        recorder.counter(meters.POSTGRESQL_BLKS_HIT).add(980)
        recorder.counter(meters.POSTGRESQL_BLKS_READ).add(20)

    recorder = one.recorder
    recorder.gauge(meters.POSTGRESQL_BACKENDS, ("idle in transaction",)).set(50)
    await one.live(now - HOUR, now - 1800, act)
    recorder.gauge(meters.POSTGRESQL_BACKENDS, ("idle in transaction",)).set(None)
    await one.live(now - 1800, now, act)
    tile = (await ask(api, "/api/monitoring/cards/tile_postgresql"))["figures"]
    assert tile["connections"]["value"] == 12
    assert tile["connections"]["spark"][0] == 62
    assert tile["connections_max"]["value"] == 100
    assert tile["cache_hit_ratio"]["value"] == pytest.approx(0.98)
    assert tile["cache_hit_ratio"]["samples"] == 60_000
    assert tile["size"]["value"] == 5_000_000


async def test_a_gauge_that_is_read_no_more_is_not_shown_as_now(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)
    await one.live(now - HOUR, now - 1800, lambda recorder: recorder.gauge(meters.REDIS_MEMORY_USED).set(123))
    used = (await ask(api, "/api/monitoring/cards/redis_memory"))["used"]
    assert used["value"] is None and used["reason"].startswith("Last read before ")
    assert used["spark"][0] == 123


async def test_redis_by_cache_type_from_the_clients_count(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - HOUR)

    def act(recorder: Recorder) -> None:
        for cache, hits, misses in (("search_results", 8, 2), ("embeddings", 1, 9)):
            recorder.counter(meters.CACHE_LOOKUPS, (cache, "hit")).add(hits)
            recorder.counter(meters.CACHE_LOOKUPS, (cache, "miss")).add(misses)
        recorder.counter(meters.REDIS_KEYSPACE_HITS).add(1000)
        recorder.counter(meters.REDIS_KEYS_EVICTED).add(2)
        recorder.gauge(meters.REDIS_MEMORY_USED).set(30)
        recorder.gauge(meters.REDIS_MEMORY_MAX).set(120)

    await one.live(now - HOUR, now, act)
    answer = await ask(api, "/api/monitoring/redis/detailed")
    figures = answer["figures"]
    assert figures["hit_rate"]["value"] == pytest.approx(9 / 20) and figures["hit_rate"]["basis"] == "measured"
    assert figures["evictions"]["value"] == pytest.approx(120)
    types = {one["cache_type"]: one for one in answer["cache_types"]}
    assert types["search_results"]["hit_rate"]["value"] == pytest.approx(0.8)
    assert (types["embeddings"]["hits"], types["embeddings"]["misses"]) == (60, 540)
    memory = await ask(api, "/api/monitoring/cards/redis_memory")
    assert memory["used_share"] == pytest.approx(0.25)


async def test_without_the_clients_count_the_servers_hits_are_an_estimate(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)

    def act(recorder: Recorder) -> None:
        recorder.counter(meters.REDIS_KEYSPACE_HITS).add(3)
        recorder.counter(meters.REDIS_KEYSPACE_MISSES).add(1)
        recorder.gauge(meters.REDIS_MEMORY_USED).set(30)
        recorder.gauge(meters.REDIS_MEMORY_MAX).set(0)

    await one.live(now - HOUR, now, act)
    tile = (await ask(api, "/api/monitoring/cards/tile_redis"))["figures"]
    assert tile["hit_rate"]["value"] == pytest.approx(0.75)
    assert tile["hit_rate"]["basis"] == "estimated" and "server" in tile["hit_rate"]["reason"]
    assert tile["evictions"]["value"] == 0 and tile["evictions"]["basis"] == "measured"
    assert tile["memory_max"]["value"] is None and "no maxmemory" in tile["memory_max"]["reason"]


async def test_the_system_tile_has_the_mean_cpu_and_the_fullest_disk(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)
    readings = iter([0.2, 0.6] * 30)

    def act(recorder: Recorder) -> None:
        recorder.gauge(meters.SYSTEM_CPU_UTILIZATION).set(next(readings))
        recorder.gauge(meters.SYSTEM_MEMORY_UTILIZATION).set(0.5)
        recorder.gauge(meters.SYSTEM_FILESYSTEM_UTILIZATION, ("/",)).set(0.3)
        recorder.gauge(meters.SYSTEM_FILESYSTEM_UTILIZATION, ("/data",)).set(0.9)
        recorder.histogram(meters.EVENT_LOOP_LAG).record(0.004)

    await one.live(now - HOUR, now, act)
    answer = await ask(api, "/performance/system")
    figures = answer["figures"]
    assert figures["cpu"]["value"] == pytest.approx(0.4) and figures["cpu"]["statistic"] == "mean"
    assert figures["memory"]["value"] == 0.5
    assert figures["disk"]["value"] == 0.9
    assert figures["loop_lag"]["value"] == pytest.approx(0.004)


async def test_every_meter_with_data_is_in_performance_metrics(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)

    def act(recorder: Recorder) -> None:
        request(recorder, "/a", 0.25, times=4)
        recorder.counter(meters.CACHE_LOOKUPS, ("x", "hit")).add(6)
        recorder.gauge(meters.PROCESS_MEMORY_USAGE).set(1000)

    await one.live(now - HOUR, now, act)
    answer = await ask(api, "/performance/metrics")
    timer = answer["timers"]["http.server.request.duration"]
    assert timer["count"] == 240 and timer["total"] == pytest.approx(60) and timer["p95"] == pytest.approx(0.25)
    assert answer["counters"]["watchglass.cache.lookups"]["rate"] == pytest.approx(0.1)
    assert answer["counters"]["watchglass.http.server.requests"]["total"] == 240
    assert answer["gauges"]["process.memory.usage"]["last"] == 1000


async def test_every_card_answers_for_every_range(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - 600)
    await one.live(now - 600, now, lambda recorder: request(recorder, "/a", 0.1))
    cards = await ask(api, "/api/monitoring/cards")
    assert [card["name"] for card in cards][:4] == ["tile_api", "tile_redis", "tile_postgresql", "tile_system"]
    for card in cards:
        for range_ in ("15m", "1h", "6h", "24h", "7d", "30d"):
            answer = await ask(api, f"/api/monitoring/cards/{card['name']}", range=range_)
            assert answer["card"] == card["name"] and answer["title"] == card["title"]
            assert answer["sentence"].endswith(".") and "None" not in answer["sentence"]


async def test_the_footprint_says_what_is_stored(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - 600)

    def act(recorder: Recorder) -> None:
        recorder.counter(meters.WATCHGLASS_ROWS_WRITTEN, ("metrics",)).add(600)
        recorder.gauge(meters.WATCHGLASS_SERIES).set(17)

    await one.live(now - 600, now, act)
    figures = (await ask(api, "/api/monitoring/cards/footprint", range="15m"))["figures"]
    assert figures["rows"]["value"] == pytest.approx(10)
    assert figures["series"]["value"] == 17
    assert figures["stored"]["value"] > 8192
    assert figures["dropped"]["value"] == 0


async def test_the_status_names_the_processes(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - 600)
    await one.live(now - 600, now, lambda recorder: request(recorder, "/a", 0.1))
    answer = await ask(api, "/api/monitoring/status")
    assert answer["service"] == "shop"
    assert [seen["instance_id"] for seen in answer["instances"]] == [one.instance.instance_id]
    assert answer["instances"][0]["service_version"] == "1.0"
    main = await ask(api, "/api/monitoring/metrics")
    assert main["figures"]["rate"]["value"] == pytest.approx(1 / 60)
