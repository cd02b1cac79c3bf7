"""Whatever of ours raises, the service answers as if we were not there."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conformance.modes import Mode, OwnTelemetry, Plain
from conformance.service import service
from support.asgi import Call, exchange, get, observe, websocket_scope
from watchglass import guard
from watchglass.instrumentation import (
    asgi,
    attributes,
    contrib,
    native,
    own,
    propagation,
    providers,
    recorder,
    request,
    roots,
    routes,
    tail,
    websocket,
)
from watchglass.instrumentation import (
    exchange as http,
)

MODULES = [
    asgi, attributes, contrib, http, native, own, propagation, providers, recorder, request, roots, routes, tail,
    websocket,
]  # fmt: skip
BOUNDARY = {
    # Where the guard itself stands, and what only runs when an application is entered or left.
    "asgi.Layer.__call__", "asgi.Layer.__init__", "asgi.Layer._exchange", "asgi.Layer._is_own", "asgi.Layer._lifespan",
    "asgi.Layer._serve", "asgi.Layer._serves", "asgi.Layer._shuts_down", "asgi.Layer.stop", "asgi.Layer._pass_own",
    "asgi.Entered.__call__", "asgi.Entered.__getattr__", "asgi.Entered.__init__", "asgi.Observer.__init__",
    "asgi._entered_class", "asgi._pattern", "asgi.enter", "asgi.layer_of", "asgi.leave",
    "exchange.Exchange.close", "exchange.Exchange.receive", "exchange.Exchange.send", "roots.Root.close",
    "websocket.Connection.close", "websocket.Connection.receive", "websocket.Connection.send",
    "own.OwnPaths.answer", "own.OwnPaths.move_inside", "own.OwnPaths.move_outside", "own.OwnRoute.matches",
    "own.OwnRoute.handle", "own._fail", "own.OwnRoute.__init__",
}  # fmt: skip


def functions() -> Iterator[tuple[Any, str, str]]:
    """Every function and method of the modules: its owner, its name, and both as text."""
    for module in MODULES:
        short = module.__name__.rpartition(".")[2]
        for owner, prefix in _owners(module, short):
            for name, value in list(vars(owner).items()):
                if inspect.isfunction(value) and value.__module__ == module.__name__:
                    label = f"{prefix}.{name}"
                    if label not in BOUNDARY:
                        yield owner, name, label


def _owners(module: ModuleType, short: str) -> Iterator[tuple[Any, str]]:
    yield module, short
    for name, value in vars(module).items():
        if inspect.isclass(value) and value.__module__ == module.__name__ and not issubclass(value, tuple):
            yield value, f"{short}.{name}"


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("ours")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of static files, which nothing here asks for."""
    return tmp_path_factory.mktemp("static")


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[tuple[Any, ...]]:
    """What the service answers without us."""
    return asyncio.run(outcomes(service(folder)))


HEADERS = [(b"traceparent", b"00-%s-%s-01" % (b"ab" * 16, b"cd" * 8)), (b"tracestate", b"vendor=1")]
PATHS = ["/items/7", "/boom", "/star/below/things/x", "/stream"]


async def outcomes(app: Any) -> list[tuple[Any, ...]]:
    calls = [await get(app, path, headers=HEADERS) for path in PATHS]
    calls.append(await get(app, "/sub/things/x", headers=HEADERS[:1]))
    socket = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
    calls.append(await exchange(app, websocket_scope("/ws/7"), socket))
    return [_seen(call) for call in calls]


def _seen(call: Call) -> tuple[Any, ...]:
    return call.plain, type(call.error)


def cases() -> Iterator[Any]:
    for owner, name, label in functions():
        yield pytest.param(Plain, owner, name, id=label)
        if native.Native.available and label.startswith(("native.", "roots.")):
            yield pytest.param(OwnTelemetry, owner, name, id=f"{label}, with FastAPI's own telemetry")


@pytest.mark.parametrize(("mode", "owner", "name"), list(cases()))
async def test_an_error_anywhere_of_ours_changes_nothing(
    mode: type[Mode], owner: Any, name: str, alone: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = vars(owner)[name]
    app = service(folder)
    mode(monkeypatch).prepare(app)
    monkeypatch.setattr(guard, "strict", False)
    observed = observe(app, excluded_urls="nothing-like-this")
    for place in (owner, *MODULES):  # where it is defined, and where it was imported to
        if vars(place).get(name) is original:
            monkeypatch.setattr(place, name, broken)
    assert await outcomes(observed.app) == alone
    assert request.current_request() is None
