"""The live tail as server-sent events: `GET /api/monitoring/logs/stream`.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from watchglass.api.live.filters import LiveFilters
from watchglass.api.live.hub import Hub
from watchglass.api.live.stream import SEND_SECONDS, position_of, stream, until_one_ends
from watchglass.api.live.viewer import Viewer

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would hold the events back
}


class EventStream(Response):
    """A response that goes on until the viewer leaves, or has to."""

    def __init__(self, hub: Hub, viewer: Viewer, request: Request) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._hub, self._viewer, self._request = hub, viewer, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await until_one_ends(self._send(send), _gone(receive))
        except (OSError, TimeoutError):
            pass  # the viewer is gone
        finally:
            self._hub.leave(self._viewer)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(stream(self._hub, self._viewer, self._request)) as sent:
            async for event in sent:
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": event.sse, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def respond(hub: Hub, request: Request) -> EventStream:
    """Begin to stream. Raises what `Hub.join` does, and `ValidationError`."""
    wanted = LiveFilters.of(request.query_params).within(hub.service)
    viewer = hub.join(wanted, position_of(request.headers, request.query_params))
    return EventStream(hub, viewer, request)
