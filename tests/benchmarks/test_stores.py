"""The stores that the benchmark compares: filled with the same traffic, they count the same requests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from bench import accuracy, seed
from bench.filling import Filling, tiers
from bench.history import fill
from bench.prometheus import Prometheus
from bench.questions import METHOD, ROUTE, questions
from bench.scrapes import DURATION
from bench.traffic import Traffic

from support.programs import need
from watchglass.analysis.windows import Window
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS
from watchglass.store.reader import Reader

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "store.py"
END = int(time.time()) // 60 * 60
START = END - 3 * 3600

Counts = dict[tuple[str | None, ...], int]


def sent(traffic: Traffic, start: float, end: float) -> Counts:
    counts: Counts = {}
    for part in traffic.between(start, end):
        for endpoint in part.endpoint.tolist():
            counts[traffic.keys[endpoint]] = counts.get(traffic.keys[endpoint], 0) + 1
    return counts


async def counted(dsn: str, start: float, end: float) -> list[Counts]:
    """Requests by endpoint, as the histograms and as the counters have them."""
    reader = Reader(dsn)
    try:
        durations = await reader.select(HTTP_SERVER_REQUEST_DURATION.name, Window(start, end), by=(METHOD, ROUTE))
        requests = await reader.select(HTTP_SERVER_REQUESTS.name, Window(start, end), by=(METHOD, ROUTE))
    finally:
        await reader.close()
    return [{one.key: one.count for one in durations}, {one.key: round(one.sum) for one in requests}]


async def test_the_store_has_every_request_whichever_way_it_was_filled(database_url: str) -> None:
    traffic = Traffic(endpoints=8, rate=5)
    await Filling(database_url, traffic, START, END, END - 3600).run()
    for since in (START, END - 3600, END - 600):
        expected = sent(traffic, since, END)
        assert await counted(database_url, since, END) == [expected, expected]
    held, whole = await tiers(database_url, START, END)
    assert all(tier.bytes > 0 for tier in held.values())
    assert sum(tier.bytes for tier in held.values()) < whole


async def test_what_was_copied_is_what_the_writer_writes(store_url: str, database_url: str) -> None:
    traffic = Traffic(endpoints=8, rate=5)
    rows = []
    for dsn, written in ((store_url, START), (database_url, END)):
        await Filling(dsn, traffic, START, END, written).run()
        connection = await asyncpg.connect(dsn)
        rows.append(
            await connection.fetch(
                "SELECT time, name, one.* FROM watchglass.metrics_10s,"
                " unnest(series_ids, counts, sums, mins, maxs, sizes) AS one ORDER BY time, name, one"
            )
        )
        await connection.close()
    assert len(rows[0]) > 1000
    assert rows[0] == rows[1]


async def test_percentiles_of_the_store_are_near_the_exact_ones(database_url: str) -> None:
    traffic = Traffic(endpoints=8, rate=20)
    await Filling(database_url, traffic, START, END, END).run()
    reader = Reader(database_url)
    found = await accuracy.of_store(reader, traffic, END - 3600, END)
    await reader.close()
    assert found.endpoints == 8
    assert found.worst < 2.3


async def test_every_question_is_answered_by_both(database_url: str, tmp_path: Path) -> None:
    need("promtool", package="prometheus")
    traffic = Traffic(endpoints=8, rate=5)
    await Filling(database_url, traffic, START, END, END).run()
    fill(tmp_path, traffic, START, END)
    reader = Reader(database_url)
    with Prometheus(tmp_path) as prometheus:
        for question in questions(traffic.keys[3]):
            assert await question.ours(reader, END) >= 1
            assert question.promql(prometheus, END, min(question.seconds, END - START)) >= 1
    await reader.close()


def test_prometheus_has_every_request(tmp_path: Path) -> None:
    need("promtool", package="prometheus")
    traffic = Traffic(endpoints=8, rate=5)
    assert fill(tmp_path, traffic, START, END) == 8 * 29 + 24
    with Prometheus(tmp_path) as prometheus:
        answer = prometheus.instant(f"increase({DURATION}_count[{END - START}s])", END)
        assert prometheus.bytes() > 0
    assert sum(float(row["value"][1]) for row in answer) == pytest.approx(sum(sent(traffic, START, END).values()))


async def test_a_row_per_request_is_filled_and_asked(database_url: str) -> None:
    traffic = Traffic(endpoints=8, rate=5)
    found = await seed.measure(database_url, traffic, START, END, rounds=2)
    assert found.rows == sum(sent(traffic, START, END).values())
    assert found.bytes / found.rows > 100
    assert len(found.hour_ms) == 2


@pytest.mark.slow
def test_the_benchmark_of_the_store_runs(promtool: Callable[..., object]) -> None:
    little = ["--days", "0.1", "--prometheus-days", "0.1", "--seed-hours", "0.2", "--endpoints", "8", "--rate", "5"]
    command = [sys.executable, str(BENCHMARK), "--quick", *little, "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    for part in ("MB for 30 days", "heatmap", "points/s", "default buckets", "| goal |"):
        assert part in done.stdout
