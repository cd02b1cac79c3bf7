"""What the store says was sent."""

from __future__ import annotations

import time
from collections import Counter

from support.databases import run
from support.pipelines import fetch
from support.traffic import Key
from watchglass.analysis.windows import Window
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS, Meter
from watchglass.store.reader import Group, Reader


def _select(dsn: str, meter: Meter, *by: str) -> list[Group]:
    async def ask() -> list[Group]:
        reader = Reader(dsn, service="shop")
        try:
            return await reader.select(meter.name, Window(time.time() - 1800, time.time() + 60), by=by)
        finally:
            await reader.close()

    return run(ask())


def stored_requests(dsn: str) -> Counter[Key]:
    """Requests by method, route and status."""
    groups = _select(dsn, HTTP_SERVER_REQUESTS, "http.request.method", "http.route", "http.response.status_code")
    return Counter({Key(*(str(value) for value in group.key)): int(group.sum) for group in groups})


def stored_durations(dsn: str) -> Counter[tuple[str, str]]:
    """Durations by method and route."""
    groups = _select(dsn, HTTP_SERVER_REQUEST_DURATION, "http.request.method", "http.route")
    return Counter({(str(group.key[0]), str(group.key[1])): group.count for group in groups})


def stored_lines(dsn: str) -> Counter[int]:
    """The log lines of requests, by the request's number."""
    rows = fetch(dsn, "SELECT substr(message, 9)::integer FROM watchglass.logs WHERE message ~ '^request [0-9]+$'")
    return Counter(row[0] for row in rows)
