"""The service that faults hit, with requests that take their time and one that fails where one can see it."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
from fastapi.responses import StreamingResponse

from faults.service import app
from watchglass import wiring

logger = logging.getLogger("shop")


@app.get("/waits/{seconds}")
async def waits(seconds: float) -> float:
    """Ask the database, and then wait for so long."""
    dsn = wiring.house().settings.store_dsn  # type: ignore[union-attr]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.fetchval("SELECT 41 + 1")
    finally:
        await connection.close()
    await asyncio.sleep(seconds)
    return seconds


@app.get("/flows")
async def flows() -> StreamingResponse:
    async def lines():  # type: ignore[no-untyped-def]
        for _ in range(300):
            yield "more\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(lines(), media_type="text/event-stream")


@app.get("/fails/{word}")
async def fails(word: str) -> None:
    logger.warning("about to fail over %s", word)
    raise LookupError(f"no such word {word}")
