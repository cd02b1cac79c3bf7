"""Each query of each shipped dashboard, answered with data by a real Prometheus that scraped the real demo."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.demo import Demo
from support.prometheus import Prometheus

DASHBOARDS = sorted((Path(__file__).parents[2] / "src/watchglass/grafana/dashboards").glob("*.json"))
SECONDS = 60
"""How long a query may wait for its data: snapshots of PostgreSQL and Redis come once in a while."""


def answered(prometheus: Prometheus, promql: str) -> list[dict[str, Any]]:
    """The series of the answer that have a number."""
    return [series for series in prometheus.query(promql) if not math.isnan(float(series["value"][1]))]


def without_data(prometheus: Prometheus, queries: dict[str, str]) -> dict[str, str]:
    """The queries that have no answer by the end of the time."""
    waiting, deadline = dict(queries), time.monotonic() + SECONDS
    while waiting and time.monotonic() < deadline:
        waiting = {name: promql for name, promql in waiting.items() if not answered(prometheus, promql)}
        time.sleep(0.5)
    return waiting


def as_grafana_sends(promql: str) -> str:
    """The query with Grafana's variables filled in: every instance, and a rate interval for quick scrapes."""
    filled = promql.replace("$__rate_interval", "20s").replace("$instance", ".+").replace("$service", ".+")
    assert "$" not in filled
    return filled


def queries_of(dashboard: dict[str, Any]) -> dict[str, str]:
    return {
        f"{panel['title']} {target['refId']}": as_grafana_sends(target["expr"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Demo() as started:
        yield started


@pytest.fixture
def scraped(demo: Demo, prometheus: Callable[..., Prometheus]) -> Prometheus:
    """A Prometheus that scrapes the demo, which has had an error lately."""
    started = prometheus(demo.urls["service"])
    for _ in range(5):
        httpx.get(f"{demo.urls['service']}/v1/code/search/lexical", params={"q": "parse & ("})
        time.sleep(1)
    return started


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_is_answered_with_data(path: Path, scraped: Prometheus) -> None:
    queries = queries_of(json.loads(path.read_text()))
    assert len(queries) > 20
    assert without_data(scraped, queries) == {}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_variable_has_values(path: Path, scraped: Prometheus) -> None:
    for variable in json.loads(path.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert {series["metric"][label] for series in scraped.wait_for(as_grafana_sends(metric))}
    assert {series["metric"]["service_name"] for series in scraped.query("target_info")} == {"code-search"}


def test_the_numbers_are_those_of_the_service(scraped: Prometheus, demo: Demo) -> None:
    """Known requests to a route that the traffic leaves alone are counted exactly."""
    for _ in range(7):
        httpx.get(f"{demo.urls['service']}/v1/code/documents/not-a-number")
    promql = 'http_server_request_duration_seconds_count{http_response_status_code="422",http_request_method="GET"}'
    deadline = time.monotonic() + SECONDS
    while (found := answered(scraped, promql)) == [] or float(found[0]["value"][1]) < 7:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert [(series["metric"]["http_route"], series["value"][1]) for series in found] == [
        ("/v1/code/documents/{document_id}", "7")
    ]
