"""The service that the faults hit: a few routes with known answers, a log line for each request, and two controls.

`uvicorn faults.service:app` runs it as a process of its own. The controls are left out of what is recorded.
"""

from __future__ import annotations

import logging

from fastapi import FastAPI, HTTPException

import watchglass
from support.controls import add_controls

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


add_controls(app)
app = watchglass.observe(app)
