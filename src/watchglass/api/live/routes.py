"""The routes of the live tail."""

from __future__ import annotations

from fastapi import APIRouter, Request, WebSocket
from starlette.exceptions import HTTPException
from starlette.responses import Response

from watchglass.api import paths
from watchglass.api.live import sse, websocket

STREAM = f"{paths.API}/logs/stream"
WS = f"{paths.API}/logs/ws"

NO_WEBSOCKET = (
    "This is for WebSockets, and none was asked for, or the service's server speaks none: uvicorn does once wsproto or "
    "websockets is installed. The same stream is at /api/monitoring/logs/stream."
)


def add(router: APIRouter) -> None:
    """Add them. What filters they take is said with `LiveFilters`."""

    @router.get(STREAM, response_class=Response)
    async def stream(request: Request) -> Response:
        """Log lines as they come, as server-sent events: hello, lines, skipped, unavailable, available, end."""
        return sse.respond(request.app.state.live, request)

    @router.get(WS, include_in_schema=False)
    async def no_websocket() -> None:
        raise HTTPException(426, NO_WEBSOCKET, {"upgrade": "websocket"})

    @router.websocket(WS)
    async def messages(socket: WebSocket) -> None:
        await websocket.respond(socket.app.state.live, socket)
