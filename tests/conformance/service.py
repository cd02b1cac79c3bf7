"""A service with one route for each behaviour of the table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route


class Handled(Exception):
    """An exception for which the service has a handler."""


class Background(Exception):
    """Raised after the response was sent."""


class CopiesScope:
    """A middleware that hands on a copy of the scope, so that what the router writes is not seen outside."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


async def _passes(request: Request, call_next: Any) -> Any:
    return await call_next(request)


class Patience:
    """A middleware that answers 504 where the application takes too long."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(0.05):
                await self.app(scope, receive, send)
        except TimeoutError:
            await PlainTextResponse("too slow", 504)(scope, receive, send)


def unauthorized() -> None:
    raise HTTPException(401, "who are you?")


def broken() -> None:
    raise ValueError("the dependency broke")


def service(folder: Path, *middlewares: str, root_path: str = "") -> FastAPI:
    """The service; `folder` holds its static files."""
    app = FastAPI()
    app.root_path = root_path  # the argument warns on the newest FastAPI
    _answers(app)
    _failures(app)
    _streams(app)
    _sockets(app)
    _mounts(app, folder)
    for middleware in middlewares:
        add_middleware(app, middleware)
    return app


def add_middleware(app: FastAPI, name: str) -> None:
    if name == "base":
        app.add_middleware(BaseHTTPMiddleware, dispatch=_passes)
    elif name == "copy":
        app.add_middleware(CopiesScope)
    elif name == "patience":
        app.add_middleware(Patience)
    else:
        app.add_middleware(CORSMiddleware, allow_origins=["https://other.test"])


def _answers(app: FastAPI) -> None:
    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    @app.head("/head")
    async def head() -> None: ...

    @app.options("/options")
    async def options() -> str:
        return "options"

    @app.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    @app.get("/files/{path:path}")
    async def file(path: str) -> str:
        return path

    @app.get("/sync/{item}")
    def sync(item: int) -> int:
        return item

    @app.post("/upload")
    async def upload(request: Request) -> list[int]:
        return [len(chunk) async for chunk in request.stream()]

    @app.get("/slash/")
    async def slash() -> str:
        return "slash"

    @app.get("/own-ids")
    async def own_ids() -> JSONResponse:
        return JSONResponse("mine", headers={"X-Trace-ID": "mine", "Traceparent": "00-mine"})

    inner = APIRouter(prefix="/v1")
    inner.add_api_route("/things/{thing}", item_of, methods=["GET", "DELETE"])
    outer = APIRouter(prefix="/api")
    outer.include_router(inner)
    app.include_router(outer)


async def item_of(thing: str) -> str:
    return thing


def _failures(app: FastAPI) -> None:
    @app.get("/dependency", dependencies=[Depends(unauthorized)])
    async def dependency() -> None: ...

    @app.get("/dependency-breaks")
    async def dependency_breaks(value: Annotated[None, Depends(broken)]) -> None: ...

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418)

    @app.get("/unavailable")
    async def unavailable() -> None:
        raise HTTPException(503)

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("boom")

    @app.get("/sync-boom")
    def sync_boom() -> None:
        raise RuntimeError("boom")

    @app.get("/chained")
    async def chained() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    @app.get("/handled")
    async def handled() -> None:
        raise Handled

    @app.exception_handler(Handled)
    async def handler(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse("handled", 500)

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(asyncio.sleep, 0.05)
        return "later"

    @app.get("/background-fails")
    async def background_fails(tasks: BackgroundTasks) -> str:
        tasks.add_task(_fails)
        return "later"

    @app.get("/times-out")
    async def times_out() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    @app.get("/forever")
    async def forever() -> None:
        await asyncio.Event().wait()


async def _fails() -> None:
    raise Background


def _streams(app: FastAPI) -> None:
    async def chunks(fails: bool = False, forever: bool = False) -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        if fails:
            raise RuntimeError("mid-stream")
        if forever:
            await asyncio.Event().wait()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    @app.get("/stream-breaks")
    async def stream_breaks() -> StreamingResponse:
        return StreamingResponse(chunks(fails=True))

    @app.get("/stream-forever")
    async def stream_forever() -> StreamingResponse:
        return StreamingResponse(chunks(forever=True))

    @app.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(chunks(), media_type="text/event-stream")


def _sockets(app: FastAPI) -> None:
    @app.websocket("/ws/{room}")
    async def accepted(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    @app.websocket("/ws-listens")
    async def listens(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()

    @app.websocket("/ws-refused")
    async def refused(websocket: WebSocket) -> None:
        await websocket.close()

    @app.websocket("/ws-breaks")
    async def breaks(websocket: WebSocket) -> None:
        raise RuntimeError("handshake")

    @app.websocket("/ws-breaks-later")
    async def breaks_later(websocket: WebSocket) -> None:
        await websocket.accept()
        raise RuntimeError("conversation")


def _mounts(app: FastAPI, folder: Path) -> None:
    sub = FastAPI()
    router = APIRouter(prefix="/deep")
    router.add_api_route("/things/{thing}", item_of)
    sub.include_router(router)
    sub.add_api_route("/things/{thing}", item_of)
    sub.add_api_route("/boom", _fails)

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params.get("thing", "star"))

    star = Starlette(
        routes=[
            Route("/things/{thing}", answer),
            Mount("/below", routes=[Route("/things/{thing}", answer)]),
            Mount("/static", StaticFiles(directory=folder)),
        ]
    )
    app.mount("/sub", sub)
    app.mount("/tenants/{tenant}", sub)
    app.mount("/star", star)
    app.mount("/static", StaticFiles(directory=folder))
    app.add_route("/starlette/{thing}", answer)
