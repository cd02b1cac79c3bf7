"""One view per card, of the same name: it turns the card's answer into what its template shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from watchglass.api.ranges import comparison_of
from watchglass.settings import Settings
from watchglass.ui.cards import endpoints, footprint, latency, redis, redis_memory, setup, slow_statements, tile

Query = Mapping[str, str]
View = Callable[[Any, Query, Settings], object]


def _tile(answer: Any, query: Query, _: Settings) -> tile.TileView:
    return tile.view(answer, comparison_of(query))


VIEWS: Mapping[str, tuple[View, str]] = {
    **dict.fromkeys(tile.SHOWN, (_tile, "cards/tile.html")),
    "latency": (lambda answer, query, _: latency.view(answer, query), "cards/latency.html"),
    "endpoints": (
        lambda answer, query, settings: endpoints.view(answer, query, settings.slow_request_seconds),
        "cards/endpoints.html",
    ),
    "redis": (lambda answer, *_: redis.view(answer), "cards/redis.html"),
    "redis_memory": (lambda answer, *_: redis_memory.view(answer), "cards/redis_memory.html"),
    "slow_statements": (lambda answer, *_: slow_statements.view(answer), "cards/slow_statements.html"),
    "setup": (lambda answer, *_: setup.view(answer), "cards/setup.html"),
    "footprint": (lambda answer, *_: footprint.view(answer), "cards/footprint.html"),
}
"""The view and the template of each card by name."""

PARAMETERS: Mapping[str, Callable[[Query], Query]] = {"endpoints": endpoints.parameters}
"""What of the page's address a card's question takes, beside the range; the others take nothing."""
