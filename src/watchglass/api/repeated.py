"""How often a statement is called in one request of the endpoints that call it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from watchglass.api.answers import Statement
from watchglass.api.asking import Asked
from watchglass.api.components import COMPONENT, seconds_by
from watchglass.api.endpoint import METHOD, ROUTE
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION

IN_REQUESTS = 0.8
"""Share of a statement's time that was spent in requests, from which on its calls are theirs."""


async def calls_per_request(asked: Asked, statements: Iterable[Statement]) -> dict[str, tuple[int, int]]:
    """Calls and requests by the statement's text, of those that are called in requests only, or almost."""
    spent: dict[str, float] = defaultdict(float)
    callers = defaultdict(set)
    for key, seconds in (
        await seconds_by(asked, asked.window, (COMPONENT, METHOD, ROUTE, "db.query.text"), {})
    ).items():
        if key[3] and seconds > 0:
            spent[key[3]] += seconds
            callers[key[3]].add((key[1], key[2]))
    groups = await asked.reader.select(HTTP_SERVER_REQUEST_DURATION.name, asked.window, by=(METHOD, ROUTE))
    requests = {group.key: group.count for group in groups}
    return {
        one.text: (one.calls, sum(requests.get(caller, 0) for caller in callers[one.text]))
        for one in statements
        if one.text and spent[one.text] >= IN_REQUESTS * one.total_seconds
    }
