"""Endpoints over time: each cell is its own percentile, and earlier windows say how many requests they rest on."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from support.past import Process, ask, request
from watchglass.analysis.windows import Window
from watchglass.api import history
from watchglass.api.context import Context
from watchglass.instrumentation.recorder import Recorder
from watchglass.store import questions

HOUR = 3600.0
Start = Callable[..., Process]


def at(seconds: float, times: int = 5) -> Callable[[Recorder], None]:
    def act(recorder: Recorder) -> None:
        request(recorder, "/a", seconds, times=times)
        request(recorder, "/b", 2 * seconds)

    return act


async def test_the_heatmap_has_a_percentile_for_each_endpoint_and_slot(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - 4 * HOUR)
    await one.live(now - 3 * HOUR, now - HOUR, at(0.1), every=600)
    await one.live(now - HOUR, now, at(0.4), every=600)
    found = await ask(api, "/api/monitoring/api/heatmap", range="6h")
    assert [row["label"] for row in found["endpoints"]] == ["GET /a", "GET /b"]
    busiest = found["endpoints"][0]
    known = {time: value for time, value in zip(found["times"], busiest["values"], strict=True) if value is not None}
    assert len(found["times"]) <= 49 and found["resolution"] == 600
    assert all(value == pytest.approx(0.1) for time, value in known.items() if time + 600 <= now - HOUR)
    assert all(value == pytest.approx(0.4) for time, value in known.items() if time >= now - HOUR)
    assert 17 <= len(known) <= 19
    assert busiest["values"][0] is None and busiest["samples"][0] == 0
    assert sum(busiest["samples"]) == busiest["requests"] == 90 and found["samples"] == 108


async def test_trends_stand_beside_an_hour_ago_with_the_samples_of_both(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - 2 * HOUR + 600)
    await one.live(now - 2 * HOUR + 600, now - HOUR, at(0.1, times=10), every=600)
    await one.live(now - HOUR + 600, now, at(0.4), every=600)
    found = await ask(api, "/api/monitoring/trends", range="1h")
    against = found["endpoints"][0]["against"]
    assert list(against) == ["1h", "1d", "1w"]
    p95 = against["1h"]["p95"]
    assert (p95["value"], p95["previous"]) == (pytest.approx(0.4), pytest.approx(0.1))
    assert (p95["samples"], p95["previous_samples"]) == (25, 50)
    assert p95["change"]["verdict"] == "worse"
    assert against["1h"]["rate"]["change"]["relative"] == pytest.approx(-0.5)
    assert against["1w"]["p95"]["previous"] is None and against["1w"]["p95"]["change"] is None


async def test_a_trend_says_its_windows_its_resolution_and_its_sample_size(
    context: Callable[..., Context], process: Start, now: float
) -> None:
    one = process(now - 2 * HOUR)
    await one.live(now - 2 * HOUR, now, at(0.1), every=600)
    reader = context().reader
    assert reader is not None
    window = Window(now - HOUR, now)
    found = await questions.trend(reader, history.DURATION, window, before=[3600, 86_400], by=("http.route",))
    assert (found.window, found.resolution, found.samples) == (window, None, 36)
    assert found.earlier == {3600: Window(now - 2 * HOUR, now - HOUR), 86_400: window.earlier(86_400)}
    rows = {(row.key, row.seconds): (row.samples, row.previous_samples) for row in found.rows}
    assert rows == {
        (("/a",), 3600): (30, 30),
        (("/b",), 3600): (6, 6),
        (("/a",), 86_400): (30, 0),
        (("/b",), 86_400): (6, 0),
    }


async def test_without_requests_both_say_so(api: httpx.AsyncClient) -> None:
    for path in ("/api/monitoring/api/heatmap", "/api/monitoring/trends"):
        found = await ask(api, path)
        assert found["endpoints"] == [] and found["missing"]["reason"] == "No requests in this window."


async def test_a_percentile_that_is_none_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/monitoring/api/heatmap", params={"percentile": "p42"})
    assert answer.status_code == 422 and "percentile" in answer.json()["error"]
