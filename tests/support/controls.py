"""What a service that a test runs in a process of its own can be told, and that it ends with the test."""

from __future__ import annotations

import asyncio
import os
import threading

from fastapi import FastAPI, Response

from watchglass import wiring
from watchglass.exporters.pipeline import Pipeline


def add_controls(app: FastAPI) -> None:
    """Have the service answer below /control, for as long as its standard input is open."""

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

    threading.Thread(target=_end_with_the_test, daemon=True).start()


def _pipeline() -> Pipeline:
    house = wiring.house()
    assert house is not None
    return house.pipeline


def _end_with_the_test() -> None:
    """Standard input closes when the test's process ends, however it does."""
    os.read(0, 1)
    os._exit(1)
