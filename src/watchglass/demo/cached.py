"""Answers kept in Redis: a value per cache type and key, as JSON, for a while.

The three types are search_results, embeddings and graph_traversal. A Redis that is away costs the answer's making, not
the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

SECONDS = {"search_results": 30, "embeddings": 600, "graph_traversal": 60}

log = structlog.get_logger("codesearch.cache")


def client(url: str) -> Redis:
    """A client that gives up at once: a cache that is slow to fail costs more than it saves."""
    return Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))


class Cached:
    """A read-through cache in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, kind: str, subject: object, make: Callable[[], Awaitable[Any]]) -> Any:
        """What is kept for the subject, or what `make` returns, which is kept from now on."""
        key = f"{kind}:{hashlib.sha1(repr(subject).encode(), usedforsecurity=False).hexdigest()[:20]}"
        found = await self._read(key)
        if found is not None:
            return json.loads(found)
        made = await make()
        await self._keep(key, json.dumps(made), SECONDS[kind])
        return made

    async def _read(self, key: str) -> bytes | str | None:
        try:
            return await self._redis.get(key)
        except RedisError as error:
            log.warning("the cache does not answer", key=key, reason=str(error))
            return None

    async def _keep(self, key: str, value: str, seconds: int) -> None:
        try:
            await self._redis.set(key, value, ex=seconds)
        except RedisError as error:
            log.warning("the cache takes nothing", key=key, reason=str(error))
