"""Where an endpoint's time goes adds up to what its requests took, beside what it was an hour ago."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from support.past import Process, ask, request
from watchglass import meters
from watchglass.instrumentation.budget import LAG, POOL, Budget, Part, part_of
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Request

HOUR = 3600.0
Start = Callable[..., Process]

STATEMENT = part_of("postgresql", "SELECT books", "SELECT * FROM books WHERE id = $1")
OTHER = part_of("postgresql", "SELECT books", "SELECT count(*) FROM books")
CACHE = part_of("redis", cache_type="search")


async def ask_budget(api: httpx.AsyncClient, label: str = "GET /search", **query: Any) -> Any:
    rows = (await ask(api, "/api/monitoring/api/endpoints", **query))["endpoints"]
    [found] = [row["endpoint_id"] for row in rows if row["label"] == label]
    return await ask(api, f"/api/monitoring/api/endpoints/{found}/budget", **query)


def served(recorder: Recorder, route: str | None, seconds: float, spent: dict[Part, float], times: int = 1) -> None:
    """As the instrumentation records a request, its budget too."""
    request(recorder, route, seconds, times=times)
    one = Request(1, 2, None, True, 0.0, "GET")
    one.route = route
    for _ in range(times):
        Budget(recorder).record(one, seconds, dict(spent))


def slow(recorder: Recorder) -> None:
    served(recorder, "/search", 0.4, {STATEMENT: 0.2, OTHER: 0.04, CACHE: 0.04, POOL: 0.02, LAG: 0.02}, 10)
    served(recorder, "/books", 0.1, {CACHE: 0.05}, 5)
    served(recorder, None, 0.001, {})


def quick(recorder: Recorder) -> None:
    served(recorder, "/search", 0.1, {STATEMENT: 0.05}, 20)


async def test_components_and_details_add_up_and_are_compared(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - 2 * HOUR)
    await one.live(now - 2 * HOUR, now - HOUR, quick)
    await one.live(now - HOUR, now, slow)
    answer = await ask_budget(api)

    assert (answer["requests"], answer["seconds"]) == (600, pytest.approx(240))
    assert answer["duration"]["value"] == pytest.approx(0.4)
    assert answer["duration"]["previous"] == pytest.approx(0.1)
    found = {row["component"]: row for row in answer["components"]}
    shares = {"own_code": 0.2, "postgresql": 0.6, "redis": 0.1, "pool_wait": 0.05, "loop_lag": 0.05}
    assert list(found) == list(shares)
    for component, share in shares.items():
        assert found[component]["share"] == pytest.approx(share), component
        assert found[component]["mean"]["value"] == pytest.approx(share * 0.4)
        assert found[component]["mean"]["samples"] == 600
    assert sum(row["seconds"] for row in found.values()) == pytest.approx(answer["seconds"])
    assert found["postgresql"]["mean"]["previous"] == pytest.approx(0.05)
    assert found["postgresql"]["mean"]["change"]["verdict"] == "worse"
    assert found["redis"]["mean"]["previous"] == 0
    assert {row["mean"]["basis"] for name, row in found.items() if name != "loop_lag"} == {"measured"}
    assert found["loop_lag"]["mean"]["basis"] == "estimated" and found["loop_lag"]["mean"]["reason"]

    details = [(row["component"], row["text"], row["cache_type"]) for row in answer["details"]]
    assert details[0] == ("postgresql", STATEMENT[2], None)
    assert set(details) == {details[0], ("postgresql", OTHER[2], None), ("redis", None, "search")}
    assert answer["details"][0]["share"] == pytest.approx(0.5)
    assert answer["details"][0]["mean"] == pytest.approx(0.2)
    assert answer["sentence"].startswith("A request of GET /search takes 400 ms on average: 60 % PostgreSQL, 20 % own")


async def test_the_list_of_endpoints_has_each_ones_components_and_those_of_all(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    one = process(now - HOUR)
    await one.live(now - HOUR, now, slow)
    answer = await ask(api, "/api/monitoring/api/endpoints")
    rows = {row["label"]: row["budget"] for row in [*answer["endpoints"], answer["total"]]}
    assert [part["component"] for part in rows["GET /books"]] == ["own_code", "redis"]
    assert [part["share"] for part in rows["GET /books"]] == pytest.approx([0.5, 0.5])
    assert [part["component"] for part in rows["unmatched paths"]] == ["own_code"]
    whole = {part["component"]: part["seconds"] for part in rows["all requests"]}
    assert whole["redis"] == pytest.approx(60 * (0.4 + 0.25))
    assert sum(whole.values()) == pytest.approx(60 * (4 + 0.5 + 0.001))


async def test_where_only_some_requests_have_a_budget_the_means_are_estimated_and_say_from_how_many(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    old, new = process(now - HOUR), process(now - HOUR)
    await old.live(now - HOUR, now, lambda recorder: request(recorder, "/search", 0.1, times=10))
    await new.live(now - HOUR, now, quick)
    answer = await ask_budget(api)
    for row in answer["components"]:
        assert row["mean"]["value"] == pytest.approx(0.05)
        assert row["mean"]["basis"] == "estimated"
        assert row["mean"]["reason"] == "From the 67 % of the requests' time that was recorded with a budget."


async def test_no_requests_and_no_budgets_are_told_apart(api: httpx.AsyncClient, process: Start, now: float) -> None:
    one = process(now - HOUR)
    await one.live(now - HOUR, now, lambda recorder: request(recorder, "/search", 0.1))
    answer = await ask_budget(api)
    assert answer["components"] == [] and answer["duration"]["value"] == pytest.approx(0.1)
    assert answer["missing"]["reason"] == "The requests of this window were recorded without a budget."
    nobody = await ask(api, f"/api/monitoring/api/endpoints/{answer['endpoint_id']}x/budget")
    assert nobody["duration"]["value"] is None
    assert nobody["missing"]["reason"] == "No requests in this window."
    refused = await api.get("/api/monitoring/api/endpoints/~/budget")
    assert refused.status_code == 404


def test_every_component_has_its_attributes_in_the_order_of_the_meter() -> None:
    names = meters.HTTP_SERVER_BUDGET.attributes[2:]
    assert dict(zip(names, STATEMENT, strict=True)) == {
        "watchglass.budget.component": "postgresql",
        "db.query.summary": "SELECT books",
        "db.query.text": "SELECT * FROM books WHERE id = $1",
        "watchglass.cache.type": None,
        "server.address": None,
    }
