"""The service that the faults hit: a few routes with known answers, a log line for each request, and two controls.

`uvicorn faults.service:app` runs it as a process of its own. The controls are left out of what is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading

from fastapi import FastAPI, HTTPException, Response

import watchglass
from watchglass import wiring
from watchglass.exporters.pipeline import Pipeline

logger = logging.getLogger("shop")
logger.setLevel("INFO")
app = FastAPI()


@app.get("/items/{item}")
async def item(item: int) -> int:
    logger.info("request %d", item)
    return item


@app.post("/orders/{order}", status_code=201)
def order(order: int) -> int:
    logger.info("request %d", order)
    return order


@app.get("/missing/{item}")
async def missing(item: int) -> None:
    logger.info("request %d", item)
    raise HTTPException(404)


@app.get("/broken/{item}")
async def broken(item: int) -> None:
    logger.info("request %d", item)
    raise RuntimeError("broken")


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
