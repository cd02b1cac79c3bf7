"""What a process tells of its own requests while its store does not answer."""

from __future__ import annotations

import pytest

from support.past import request
from watchglass.api.aside import Aside
from watchglass.api.context import Context, Running
from watchglass.api.health import Health
from watchglass.api.here import here
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings

ORDERS, SEARCH = "POST /orders/{order}", "GET /search"


def process(*running: Running) -> tuple[Context, Recorder, list[float]]:
    """One that runs these requests, its recorder, and its clock, which stands until it is set."""
    recorder, now = Recorder(), [1_000.0]
    settings = Settings(service_name="shop")
    context = Context(settings, collect=recorder.collect, running=lambda: running, clock=lambda: now[0])
    return context, recorder, now


@pytest.mark.parametrize(
    ("running", "said"),
    [
        ((), "no request is running"),
        ((Running(ORDERS, 41.0),), f"1 request is running, for 41 s: {ORDERS}"),
        ((Running(ORDERS, 41.0),) * 2, f"2 requests are running, the longest for 41 s: {ORDERS}"),
        (
            (Running(SEARCH, 0.5), *[Running(ORDERS, float(age)) for age in range(9)], Running("GET /a", 1.0)),
            f"11 requests are running, the longest for 8 s: 9 {ORDERS}, 1 {SEARCH}, 1 GET /a",
        ),
        (
            tuple(Running(f"GET /{letter}", 2.0) for letter in "aabbccde"),
            "8 requests are running, the longest for 2 s: 2 GET /a, 2 GET /b, 2 GET /c, 2 others",
        ),
    ],
)
def test_the_requests_that_run_are_counted_by_endpoint(running: tuple[Running, ...], said: str) -> None:
    context, *_ = process(*running)
    assert here(context, Health(context)) == f"In this process alone, {said}."


def test_those_that_ended_are_told_once_somebody_has_looked_for_a_while() -> None:
    context, recorder, now = process()
    health = Health(context)
    assert here(context, health) == "In this process alone, no request is running."
    request(recorder, "/search", 0.1, times=75)
    request(recorder, "/search", 0.1, "500", "TimeoutError", times=25)
    now[0] += 10
    assert here(context, health) == (
        "In this process alone, no request is running; 100 requests ended in the last 10 s, 25 % of them failed."
    )
    now[0] += 100
    here(context, health)
    request(recorder, "/search", 0.1, times=3)
    now[0] += 10
    told = here(context, health) or ""
    assert told.endswith("; 3 requests ended in the last 1.8 min, none failed."), "nobody looked between"


def test_beside_the_service_nothing_is_known_of_it() -> None:
    context = Context(Settings(service_name="shop"), aside=True)
    assert here(context, Aside(context)) is None
