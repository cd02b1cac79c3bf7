"""The demo service: code search in the spirit of MnemoLite, on PostgreSQL and Redis.

It knows Watchglass by its public names only, as any service would: one line observes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI
from redis.asyncio import Redis

import watchglass
from watchglass.demo import library, logs
from watchglass.demo.cached import SECONDS, Cached
from watchglass.demo.routes import router
from watchglass.demo.search import Search


def create_app(settings: watchglass.Settings | None = None) -> FastAPI:
    """The service, observed. It takes its database and Redis from `settings`, by default from the environment."""
    settings = settings or watchglass.Settings()
    logs.configure()
    app = FastAPI(title="Code search", lifespan=_lifespan)
    app.state.database_url = settings.application_dsn
    app.state.redis_url = settings.redis_dsn
    app.include_router(router)
    for cache_type in SECONDS:
        watchglass.cache(cache_type, prefix=f"{cache_type}:")
    watchglass.observe(app, settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold a pool of PostgreSQL connections and a Redis client while the service runs."""
    redis = Redis.from_url(app.state.redis_url, socket_timeout=2)
    async with asyncpg.create_pool(app.state.database_url, min_size=2, max_size=8, command_timeout=20) as pool:
        async with pool.acquire() as connection:
            await library.fill(connection)
        app.state.search = Search(pool, Cached(redis))
        try:
            yield
        finally:
            await redis.aclose()
