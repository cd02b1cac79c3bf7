"""What a frozen black box shows: the list, its timeline, threads, statements; and who may freeze one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from support.past import browser, log_in
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.incident_answers import Held, IncidentAnswer, IncidentLine
from watchglass.api.models import TimeWindow
from watchglass.records import Incident
from watchglass.ui import black_box, stacks
from watchglass.ui.app import add_pages

END = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
INCIDENTS = "/ui/monitoring/incidents"


def at(seconds: float) -> float:
    """A time before the end of the box."""
    return END.timestamp() - seconds


def request(seconds: float, **more: Any) -> dict[str, Any]:
    return {"trace_id": "ab" * 16, "time": at(seconds), "name": "GET /a", "duration": 0.1, "status": 200, **more}


def line(seconds: float, severity: int = 9) -> dict[str, Any]:
    return {"time": at(seconds), "severity": severity, "level": "INFO", "logger": "shop", "message": f"{seconds:g} s"}


def incident(requests: list[dict[str, Any]], logs: list[dict[str, Any]], held: int = 0, **more: Any) -> IncidentAnswer:
    window = TimeWindow(start=END - timedelta(minutes=3), end=END)
    head = IncidentLine(
        id="i1",
        time=END,
        reason="error_burst",
        title="12 errors in 5 s",
        service="shop",
        instance="i-1",
        host="host-a",
        pid=7,
        window=window,
        bytes=2048,
        link=f"{INCIDENTS}/i1",
    )
    given: dict[str, Any] = {"process": {}, "open": [], "stacks": [], "statements": [], **more}
    return IncidentAnswer(
        card="incident",
        title=head.title,
        sentence="Frozen because errors burst.",
        window=window,
        incident=head,
        requests_held=Held(held=held or len(requests), left_out=0, shown=len(requests)),
        logs_held=Held(held=len(logs), left_out=0, shown=len(logs)),
        requests=requests,
        logs=logs,
        **given,
    )


def order(view: black_box.IncidentView) -> list[str]:
    return [event.request.name if event.request else event.log.message if event.log else "" for event in view.events]


def test_requests_and_lines_are_one_timeline_newest_first() -> None:
    view = black_box.view(incident([request(1), request(5)], [line(3), line(9)]), {})
    assert order(view) == ["GET /a", "3 s", "GET /a", "9 s"]
    assert view.row.level == "critical" and view.more == ""


def test_it_reaches_no_further_back_than_there_are_both() -> None:
    view = black_box.view(incident([request(1), request(5)], [line(3), line(60)], held=90), {})
    assert order(view) == ["GET /a", "3 s", "GET /a"]
    assert view.since == END - timedelta(seconds=5)
    assert "90 requests" in view.more


def test_other_orders_are_of_requests_alone() -> None:
    answer = incident([request(5, duration=2.0), request(1)], [line(3)])
    assert order(black_box.view(answer, {"sort": "slowest"})) == ["GET /a", "GET /a"]


def test_what_failed_and_what_warned_is_marked_on_the_axis() -> None:
    requests = [request(10), request(5, status=503), request(1, error_type="ValueError", status=200)]
    view = black_box.view(incident(requests, [line(9), line(2, 17), line(4, 13)]), {})
    assert [bar.name for bar in view.axis] == ["bar", "critical", "critical"]
    assert [finding for _, finding in view.marks] == ["", "warning", "critical"]
    assert all(0 <= bar.start <= bar.start + bar.width <= 100.001 for bar in view.axis)


def test_the_thread_of_the_loop_comes_first_and_ours_last() -> None:
    names = ("watchglass-export", "worker", "MainThread")
    found = stacks.rows([{"thread": name, "frames": ["/app/a.py:1 outer", "/app/b.py:2 inner"]} for name in names])
    assert [one.thread for one in found] == ["MainThread", "worker", "watchglass-export"]
    assert found[0].innermost == "b.py:2 inner"


@pytest.mark.parametrize("broken", [{}, {"time": "x", "spans": 7, "status": []}, {"spans": [None, {}]}])
def test_what_is_damaged_is_shown_as_far_as_it_goes(broken: dict[str, Any]) -> None:
    answer = incident([broken], [broken], open=[broken], stacks=[{"frames": 3}], statements=[broken])
    view = black_box.view(answer, {"sort": "nothing"})
    assert len(view.events) == 2 and len(view.open) == len(view.stacks) == len(view.statements) == 1


async def test_without_any_it_says_so(client: httpx.AsyncClient) -> None:
    text = (await client.get("/ui/monitoring/parts/incidents")).text
    assert "No black box was frozen in this window." in text


async def test_one_that_is_not_there_may_be_on_its_way(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ui/monitoring/parts/incidents/nothing")
    assert answer.status_code == 200
    assert "There is no such incident" in answer.text and "data-still" not in answer.text


async def csrf_of(client: httpx.AsyncClient) -> str:
    return str((await client.get("/api/monitoring/session")).json()["csrf_token"])


async def test_an_admin_freezes_one_and_is_led_to_it(context: Context) -> None:
    titles: list[str] = []

    async def freeze(reason: str, title: str) -> Incident:
        titles.append(f"{reason}: {title}")
        return Incident("f00d", at(0), "by_hand", title, at(60), at(0), {})

    context.freeze = freeze
    async with browser(create_app(context, add_pages)) as client:
        await log_in(client, context)
        assert "Freeze now" in (await client.get(INCIDENTS)).text
        form = {"csrf_token": await csrf_of(client), "title": "  why is it slow  "}
        answer = await client.post(INCIDENTS, data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{INCIDENTS}/f00d")
        assert titles == ["by_hand: why is it slow"]
        assert (await client.post(INCIDENTS, data={"title": "x"})).status_code == 403
        assert len(titles) == 1


async def test_a_viewer_sees_no_button_and_may_not(context: Context) -> None:
    async def freeze(reason: str, title: str) -> Incident:
        raise AssertionError

    context.freeze = freeze
    async with browser(create_app(context, add_pages)) as client:
        await log_in(client, context, "viewer")
        assert "Freeze now" not in (await client.get(INCIDENTS)).text
        answer = await client.post(INCIDENTS, data={"csrf_token": await csrf_of(client)})
        assert answer.status_code == 403 and "needs the role admin" in answer.text
