"""What a card is: its name, the question it asks, its parameters. The page and custom dashboards are made of these.

`ui` gives each a view and a template of the same name; `GET /api/monitoring/cards/{name}` answers any of them as JSON.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from watchglass.api import endpoints, footprint, latency, postgresql, redis, requests, setup, slow_statements, system
from watchglass.api.asking import Asked, Parameters
from watchglass.api.context import Context
from watchglass.api.models import Answer

Question = Callable[[Asked, Any], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Card:
    """A card. `columns` of the twelve of a wide page is how wide it wants to be; `live` whether it is polled."""

    name: str
    title: str
    about: str
    question: Question
    columns: int
    parameters: type[Parameters] = Parameters
    live: bool = True

    async def answer(self, asked: Asked, query: Mapping[str, str]) -> Answer:
        """Ask the question with the parameters the query holds. Raises pydantic's `ValidationError`."""
        return await self.question(asked, self.parameters.model_validate(dict(query)))

    def described(self) -> dict[str, Any]:
        """What a dashboard needs to know to offer the card; parameters as JSON Schema."""
        parameters = self.parameters.model_json_schema().get("properties", {})
        return {
            "name": self.name,
            "title": self.title,
            "about": self.about,
            "columns": self.columns,
            "live": self.live,
            "parameters": parameters,
        }


_ALL = (
    Card("tile_api", "API", "P95, requests/s and errors of all requests.", requests.tile, 3),
    Card("tile_redis", "Redis", "Hit rate, memory and evictions.", redis.tile, 3),
    Card("tile_postgresql", "PostgreSQL", "Connections, cache hits, slow statements, size.", postgresql.tile, 3),
    Card("tile_system", "System", "CPU, memory and disk.", system.tile, 3),
    Card(
        "latency",
        "Latency",
        "P50, P95 and P99 over time, of all requests and of the endpoints that take the most time.",
        latency.latency,
        12,
        latency.LatencyParameters,
    ),
    Card(
        "endpoints",
        "Endpoints",
        "Latency, throughput and errors of each endpoint.",
        endpoints.endpoints,
        12,
        endpoints.EndpointsParameters,
    ),
    Card("redis_memory", "Redis memory", "Memory used beside its limit.", redis.memory, 4),
    Card("redis", "Redis by cache type", "Hits and misses of each cache type.", redis.detailed, 5),
    Card(
        "slow_statements",
        "Slow statements",
        "The SQL statements that take the most time.",
        slow_statements.slow_statements,
        8,
        slow_statements.SlowStatementsParameters,
    ),
    Card("setup", "Setup", "What was detected and what is missing.", setup.setup, 12, live=False),
    Card("footprint", "Watchglass", "What Watchglass itself costs.", footprint.footprint, 12),
)

CARDS: Mapping[str, Card] = {card.name: card for card in _ALL}
"""Every card by name, in the order of the page."""

TILES = tuple(name for name in CARDS if name.startswith("tile_"))


async def answer(context: Context, name: str, query: Mapping[str, str]) -> Answer:
    """The answer of a card to a query as in a URL: range or start and end, compare, and the card's own parameters.

    Raises `KeyError` for an unknown card, `InvalidRange`, pydantic's `ValidationError`, and the errors of the store.
    """
    return await CARDS[name].answer(Asked.of(context, query), query)
