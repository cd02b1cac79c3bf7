"""The live tail as messages of a WebSocket, whose filters the viewer may change: `/api/monitoring/logs/ws`."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from watchglass.api.live import events
from watchglass.api.live.filters import LiveFilters
from watchglass.api.live.hub import Hub
from watchglass.api.live.stream import SEND_SECONDS, position_of, stream, until_one_ends
from watchglass.api.live.viewer import Viewer
from watchglass.errors import WatchglassError

LONGEST_COMMAND = 4_096
"""Characters of a command."""

_MOST_ERRORS = 20
"""Commands that make no sense, until the viewer is sent away."""

_EXAMPLE = 'Send {"type":"filter"} with any of level, service, instance, logger, text and trace_id.'


async def respond(hub: Hub, websocket: WebSocket) -> None:
    """Stream until either side has enough."""
    await websocket.accept()
    try:
        wanted = LiveFilters.of(websocket.query_params).within(hub.service)
        viewer = hub.join(wanted, position_of(websocket.headers, websocket.query_params))
    except ValidationError as error:
        return await _refuse(websocket, 1008, _sentence(error))
    except HTTPException as error:
        return await _refuse(websocket, 1013, error.detail)
    except WatchglassError as error:
        return await _refuse(websocket, 1011, str(error))
    try:
        await until_one_ends(_send(hub, viewer, websocket), _obey(hub, viewer, websocket))
    except (OSError, TimeoutError, WebSocketDisconnect):
        pass  # the viewer is gone
    finally:
        hub.leave(viewer)
    with suppress(OSError, RuntimeError, WebSocketDisconnect):
        await websocket.close(1001, viewer.ended)


async def _send(hub: Hub, viewer: Viewer, websocket: WebSocket) -> None:
    async with aclosing(stream(hub, viewer, websocket)) as sent:
        async for event in sent:
            async with asyncio.timeout(SEND_SECONDS):
                await websocket.send_text(event.message)


async def _obey(hub: Hub, viewer: Viewer, websocket: WebSocket) -> None:
    """Take commands: what is answered goes the way of all events, so that who does not read is not served either."""
    errors = 0
    while errors < _MOST_ERRORS:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        try:
            filters = _filters(message.get("text"))
        except ValueError as error:
            errors += 1
            viewer.answer(events.of("error", error=str(error)))
        else:
            viewer.wanted = filters.within(hub.service)
            viewer.answer(events.of("filtered", filters=filters.model_dump(exclude_none=True)))
    viewer.end("Too many messages that are no commands.")
    await asyncio.sleep(1)


def _filters(text: str | None) -> LiveFilters:
    """What a command asks for. Raises ValueError with a sentence."""
    if text is None or len(text) > LONGEST_COMMAND:
        raise ValueError(f"A command is JSON of at most {LONGEST_COMMAND} characters. {_EXAMPLE}")
    try:
        command: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"This is no JSON. {_EXAMPLE}") from None
    if not isinstance(command, dict) or command.pop("type", None) != "filter":
        raise ValueError(f"There is no such command. {_EXAMPLE}")
    try:
        return LiveFilters.model_validate(command)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])[:100]
    return f"{name}: {first['msg'].removeprefix('Value error, ').removesuffix('.')}."


async def _refuse(websocket: WebSocket, code: int, reason: str) -> None:
    await websocket.send_text(events.of("error", error=reason).message)
    await websocket.close(code, reason[:100])
