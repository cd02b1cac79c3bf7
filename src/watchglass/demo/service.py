"""The demo service: code search in the spirit of MnemoLite, on PostgreSQL and Redis.

It knows Watchglass by its public names only, as any service would: one line observes it.
`python -m watchglass.demo.service` serves it on the PostgreSQL and Redis that DATABASE_URL and REDIS_URL name.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import FastAPI

import watchglass
from watchglass.demo import library, logs
from watchglass.demo.cached import SECONDS, Cached, client
from watchglass.demo.routes import router
from watchglass.demo.search import Search
from watchglass.errors import DatabaseNotConfigured


def create_app(settings: watchglass.Settings | None = None) -> FastAPI:
    """The service, observed. It takes its database and Redis from `settings`, by default from the environment.

    Raises `DatabaseNotConfigured`.
    """
    settings = settings or watchglass.Settings()
    if settings.application_dsn is None:
        raise DatabaseNotConfigured
    logs.configure()
    app = FastAPI(title="Code search", lifespan=_lifespan)
    app.state.database_url = settings.application_dsn
    app.state.redis_url = settings.redis_dsn or "redis://127.0.0.1:6379/0"
    app.include_router(router)
    for cache_type in SECONDS:
        watchglass.cache(cache_type)
    observed: FastAPI = watchglass.observe(app, settings)
    return observed


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold a pool of PostgreSQL connections and a Redis client while the service runs."""
    redis = client(app.state.redis_url)
    async with asyncpg.create_pool(app.state.database_url, min_size=2, max_size=8, command_timeout=20) as pool:
        async with pool.acquire() as connection:
            await library.fill(connection)
        app.state.search = Search(pool, Cached(redis))
        try:
            yield
        finally:
            await redis.aclose()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m watchglass.demo.service", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on (default 8000)")
    options = parser.parse_args(arguments)
    uvicorn.run(create_app(), host=options.host, port=options.port, log_config=None, timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
