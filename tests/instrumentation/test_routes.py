"""The route of a request is found with and without a router's help, and the host's fixed paths are known."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from support.asgi import exchange, http_scope, websocket_scope
from watchglass.instrumentation.routes import (
    HostPaths,
    Templates,
    clashes,
    find,
    fixed_paths,
    path_below,
    root_path_of,
    routes_of,
    walk,
)


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("answer")


async def other(request: Request) -> PlainTextResponse:
    return PlainTextResponse("other")


async def socket(websocket: WebSocket) -> None:
    await websocket.close()


def starlette() -> Starlette:
    return Starlette(
        routes=[
            Route("/items/{item:int}", answer, methods=["GET"]),
            Route("/items/{item:int}", other, methods=["PUT"]),
            Route("/items/{name}", other),
            WebSocketRoute("/live/{room}", socket),
            Mount("/sub", routes=[Route("/same/{x}", answer), Mount("/deep", routes=[Route("/{y}", answer)])]),
            Mount("/tenants/{tenant}", routes=[Route("/same/{x}", answer)]),
            Mount("/files", StaticFiles(directory=".", check_dir=False)),
            Host("other.test", Starlette(routes=[Route("/elsewhere", answer)])),
        ]
    )


def fastapi() -> FastAPI:
    app, inner, outer = FastAPI(openapi_url=None), APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    inner.add_api_route("/things/{thing}", answer)
    inner.add_api_route("/fixed", answer)
    inner.add_api_websocket_route("/live", socket)
    outer.include_router(inner)
    app.include_router(outer)
    app.mount("/sub", starlette())
    return app


@pytest.mark.parametrize(
    ("path", "method", "template"),
    [
        ("/items/7", "GET", "/items/{item}"),
        ("/items/seven", "GET", "/items/{name}"),
        ("/items/7", "DELETE", "/items/{item}"),
        ("/live/7", None, "/live/{room}"),
        ("/live/7", "GET", None),
        ("/items/7", None, None),
        ("/sub/same/1", "GET", "/sub/same/{x}"),
        ("/sub/deep/1", "GET", "/sub/deep/{y}"),
        ("/sub/nothing", "GET", "/sub/{path}"),
        ("/tenants/acme/same/1", "GET", "/tenants/{tenant}/same/{x}"),
        ("/files/a/b.css", "GET", "/files/{path}"),
        ("/elsewhere", "GET", "/elsewhere"),
        ("/nothing", "GET", None),
    ],
)
def test_a_search_finds_the_template(path: str, method: str | None, template: str | None) -> None:
    assert find(starlette().routes, path, method) == template


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/outer/inner/things/1", "/outer/inner/things/{thing}"),
        ("/sub/tenants/acme/same/1", "/sub/tenants/{tenant}/same/{x}"),
    ],
)
def test_a_search_goes_through_included_routers(path: str, template: str) -> None:
    assert find(fastapi().routes, path, "GET") == template


@pytest.mark.parametrize("build", [starlette, fastapi])
async def test_a_handled_request_tells_what_a_search_tells(build: Any) -> None:
    app = build()
    templates = Templates(app)
    for path in (
        "/items/7",
        "/items/x",
        "/sub/same/1",
        "/sub/deep/1",
        "/tenants/acme/same/1",
        "/nothing",
        "/elsewhere",
    ):
        for prefix in ("", "/sub"):
            scope = http_scope(prefix + path)
            if path == "/elsewhere":
                scope["headers"] = [(b"host", b"other.test")]
            await exchange(app, scope)
            assert templates.of(scope, "") == find(app.routes, prefix + path, "GET")


def test_a_scope_that_no_router_touched_is_searched() -> None:
    """A middleware handed on a copy of it."""
    templates = Templates(fastapi())
    assert templates.of(http_scope("/outer/inner/things/1"), "") == "/outer/inner/things/{thing}"
    assert templates.of(http_scope("/ops/outer/inner/things/1", root_path="/ops"), "/ops") == (
        "/ops/outer/inner/things/{thing}"
    )
    assert templates.of(websocket_scope("/outer/inner/live"), "") == "/outer/inner/live"
    assert templates.of(http_scope("/nothing"), "") is None


def test_an_application_without_routes_tells_none() -> None:
    assert list(routes_of(lambda: None)) == []
    assert Templates(object()).of(http_scope("/x"), "") is None


def test_routes_are_found_through_middlewares() -> None:
    app = starlette()
    assert routes_of(GZipMiddleware(GZipMiddleware(app))) is app.routes


def test_every_route_is_walked_with_its_whole_template() -> None:
    found = {(one.template, one.mount, one.websocket) for one in walk(fastapi().routes)}
    assert ("/outer/inner/things/{thing}", False, False) in found
    assert ("/outer/inner/live", False, True) in found
    assert ("/sub", True, False) in found
    assert ("/sub/sub/deep/{y}", False, False) in found


def test_fixed_paths_are_those_without_parameters() -> None:
    paths = set(fixed_paths(fastapi().routes))
    assert {"/outer/inner/fixed", "/sub", "/sub/sub", "/sub/sub/deep", "/sub/files"} <= paths
    assert "/outer/inner/live" not in paths
    assert not any("{" in path for path in paths)


def test_clashes_are_named() -> None:
    app = fastapi()
    app.add_api_route("/health", answer)
    app.add_api_route("/ui/monitoring/mine", answer)
    app.add_api_route("/ui/monitoring/{any}", answer)
    app.mount("/metrics", starlette())
    own = ("/ui/monitoring/",)
    assert clashes(app, {"/health", "/metrics", "/status"}, own) == ["/health", "/metrics", "/ui/monitoring/mine"]


async def test_the_hosts_paths_follow_its_routes() -> None:
    app = fastapi()
    paths = HostPaths(app)
    assert "/later" not in paths
    app.add_api_route("/later", answer)
    assert "/later" in paths


@pytest.mark.parametrize(
    ("path", "root_path", "below"),
    [
        ("/ops/items", "/ops", "/items"),
        ("/ops/items", "/ops/", "/items"),
        ("/opsitems", "/ops", "/opsitems"),
        ("/items", "/ops", "/items"),
        ("/items", "", "/items"),
        ("/items", "/", "/items"),
    ],
)
def test_the_root_path_is_taken_off_where_it_is_there(path: str, root_path: str, below: str) -> None:
    assert path_below(path, root_path) == below


def test_the_services_root_path_goes_before_the_servers() -> None:
    app = FastAPI()
    assert root_path_of(app, {"root_path": "/server"}) == "/server"
    app.root_path = "/service"
    assert root_path_of(app, {"root_path": "/server"}) == "/service"
    assert root_path_of(object(), {}) == ""
