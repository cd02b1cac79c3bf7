"""A service that knows nothing of Watchglass: a plain FastAPI application with a counter and a histogram of its own."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from opentelemetry import metrics, trace

meter = metrics.get_meter("shop")
sold = meter.create_counter("shop.sold", "{item}", "Items sold.")
weighed = meter.create_histogram("shop.weight", "kg", "What parcels weigh.")
app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> int:
    sold.add(2, {"kind": "book"})
    weighed.record(1.5, {"kind": "book"})
    with trace.get_tracer("shop").start_as_current_span("packing", attributes={"password": "hunter2", "size": 3}):
        logging.getLogger("shop").warning("packed %d", number)
    return number


@app.get("/boom")
async def boom() -> None:
    raise ValueError("boom")
