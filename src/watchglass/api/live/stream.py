"""What a viewer is sent from its first event to its last, whichever way it came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from watchglass.api.auth import AGAIN
from watchglass.api.live import events
from watchglass.api.live.events import Event, Heartbeat
from watchglass.api.live.hub import Hub
from watchglass.api.live.position import LONGEST, cursor_of, text_of
from watchglass.api.live.viewer import Joined, Viewer
from watchglass.store.log_tail import Cursor

HEARTBEAT_SECONDS = 15.0
ALLOWED_SECONDS = 30.0
"""How often it is asked whether the viewer still may watch."""

SEND_SECONDS = 60.0
"""A viewer that takes nothing for so long is gone."""

LOGGED_OUT = "The session is over. Log in again."

_ELSEWHERE = Cursor(0, 0, {})
"""Stands for a position that nobody of ours gave: what is after it cannot be told."""


async def stream(hub: Hub, viewer: Viewer, connection: HTTPConnection) -> AsyncGenerator[Event, None]:
    """The events of a viewer, with heartbeats while there are none, until it has to end."""
    asked = time.monotonic()
    while not viewer.ended:
        event = await viewer.next(HEARTBEAT_SECONDS)
        if time.monotonic() - asked >= ALLOWED_SECONDS:
            asked = time.monotonic()
            if not await _still_allowed(connection):
                viewer.end(LOGGED_OUT)
                break
        if isinstance(event, Joined):
            async for one in _begun(hub, viewer, event.cursor):
                yield one
        elif event is not None:
            yield event
            await viewer.rest(hub.share(event))
        elif not viewer.ended:
            yield Heartbeat(hub.position if viewer.following and not viewer.size else None)
    yield events.of("end", reason=viewer.ended)


async def _begun(hub: Hub, viewer: Viewer, cursor: Cursor) -> AsyncGenerator[Event, None]:
    yield events.of("hello", text_of(viewer.position or cursor))
    async for event in hub.missed(viewer, cursor):
        if viewer.ended:
            return
        yield event
        await viewer.rest(hub.share(event))


async def _still_allowed(connection: HTTPConnection) -> bool:
    """Whether who asked would be let in now."""
    again: Callable[[], Awaitable[object]] | None = connection.scope.get(AGAIN)
    try:
        return again is None or await again() is not None
    except HTTPException:
        return False


def position_of(headers: Mapping[str, str], query: Mapping[str, str]) -> Cursor | None:
    """Where a viewer that comes back was: browsers say it in a header, others in the address as well."""
    text = headers.get("last-event-id") or query.get("last_event_id") or ""
    return (cursor_of(text[: LONGEST + 1]) or _ELSEWHERE) if text else None


async def until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Run them beside each other until one of them ends; the others are cancelled, and waited for."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
