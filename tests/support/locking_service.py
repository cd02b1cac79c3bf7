"""A service whose requests lock rows, and hold them until they are told to let go.

`uvicorn support.locking_service:app` runs it as a process of its own. The controls are left out of what is recorded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import BackgroundTasks, FastAPI

import watchglass
from support.controls import add_controls

SET = "UPDATE orders SET n = n + 1 WHERE id = $1"


class State:
    pool: asyncpg.Pool[asyncpg.Record]
    released: asyncio.Event
    left: list[Any]
    tasks: list[Any]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    State.released, State.left, State.tasks = asyncio.Event(), [], []
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=1, max_size=5, statement_cache_size=0
    ) as State.pool:
        yield
        State.released.set()


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{order}")
async def hold(order: int) -> str:
    """Lock a row, and hold it."""
    async with State.pool.acquire() as connection, connection.transaction():
        await connection.execute(SET, order)
        await State.released.wait()
    return "held"


@app.post("/moves/{first}/{second}")
async def move(first: int, second: int) -> str:
    """Lock a row, and then another."""
    async with State.pool.acquire() as connection, connection.transaction():
        await connection.execute(SET, first)
        await connection.execute(SET, second)
    return "moved"


@app.put("/orders/{order}")
async def change(order: int) -> str:
    """Lock a row for the time of a statement."""
    await State.pool.execute("UPDATE orders SET n = n + 1 WHERE id = $1 AND note <> 'swordfish'", order)
    return "changed"


@app.post("/left/{order}")
async def leave(order: int) -> str:
    """Lock a row, and never end the transaction."""
    connection = await State.pool.acquire()
    State.left.append(connection)
    await connection.execute("BEGIN")
    await connection.execute(SET, order)
    return "left"


@app.post("/later/{order}")
async def later(order: int, tasks: BackgroundTasks) -> str:
    """Lock a row after the response."""
    tasks.add_task(hold, order)
    return "later"


@app.post("/control/unasked/{order}")
async def unasked(order: int) -> None:
    """Lock a row for no request."""
    State.tasks.append(asyncio.create_task(hold(order)))


@app.post("/control/release")
async def release() -> None:
    State.released.set()
    for connection in State.left:
        await connection.execute("ROLLBACK")
        await State.pool.release(connection)
    State.left.clear()


add_controls(app)
app = watchglass.observe(app)
