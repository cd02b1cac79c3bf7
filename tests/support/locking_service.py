"""A service whose requests lock rows, and hold them until they are told to let go.

`uvicorn support.locking_service:app` runs it as a process of its own. The controls are left out of what is recorded.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import BackgroundTasks, FastAPI, Response

import watchglass
from watchglass import wiring
from watchglass.exporters.pipeline import Pipeline

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


@app.post("/control/flush")
async def flush(response: Response) -> str:
    """Have everything in the store, or say what stands in the way."""
    try:
        await asyncio.to_thread(_pipeline().flush_now, 15.0)
    except Exception as error:
        response.status_code = 503
        return f"{type(error).__name__}: {error}"
    return "flushed"


@app.get("/control/status")
async def status() -> dict[str, str]:
    status = _pipeline().status
    return {"state": status.state, "message": status.message}


def _pipeline() -> Pipeline:
    house = wiring.house()
    assert house is not None
    return house.pipeline


def _end_with_the_test() -> None:
    """Standard input closes when the test's process ends, however it does."""
    os.read(0, 1)
    os._exit(1)


app = watchglass.observe(app)
threading.Thread(target=_end_with_the_test, daemon=True).start()
