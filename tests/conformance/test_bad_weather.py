"""Whatever of ours raises, the service answers as if we were not there: each of our functions that runs while it does
its work raises in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.breaking import broken_inside, raising, replace
from conformance.modes import ExportingContribSpans, Mode, OwnTelemetry, Plain
from conformance.weather import MODULES, Weather, functions
from watchglass import guard
from watchglass.instrumentation.asyncpg_protocol import KINDS
from watchglass.instrumentation.native import Native

# Where the guard itself stands: what raises inside of these is caught there.
GUARDS = {
    "adopted.tracers.HostSpans.on_end", "asgi.Layer._exchange", "asgi.Layer._is_own", "asgi.Layer._serve",
    "asgi.Layer._serves", "asgi.Layer._shuts_down", "asyncpg_connection._safely",
    "asyncpg_pools.AsyncPGPools._ended", "asyncpg_pools.AsyncPGPools._observed",
    "asyncpg_protocol.WatchedProtocol.connection_lost", "asyncpg_protocol.WatchedProtocol.set_connection",
    "asyncpg_protocol._ended", "asyncpg_protocol._executed", "contrib.SharingTracer.start_span",
    "contrib_spans.ChildSpan.end", "contrib_spans.ChildSpan.record_exception", "contrib_spans.ChildTracer._of_host",
    "contrib_spans.ChildTracer.start_span", "exchange.Exchange.send", "log_capture.LogCapture.record",
    "outbound.Listener.on_end", "redis._begun", "redis._safely", "redis_batches_watched._answered",
    "redis_batches_watched._begun", "redis_batches_watched._failed",
    "redis_commands_watched._failed",
    "sqlalchemy.EnginePools._ended", "sqlalchemy.EnginePools._observed",
    "websocket.Connection.receive", "websocket.Connection.send",
}  # fmt: skip
# What only hands on or does nothing: the call, the server's messages, what somebody does to a span of the host's.
PASSES = {
    "adopted.tracers.HostSpans._on_ending", "adopted.tracers.HostSpans.on_start", "asgi.Layer.__call__",
    "asgi.Layer._lifespan", "contrib.SharingTracer.start_as_current_span",
    "contrib_spans.ChildTracer.start_as_current_span", "exchange.Exchange.receive",
    "outbound.Listener._on_ending", "outbound.Listener.on_start",
}  # fmt: skip
PASSES |= {f"asyncpg_protocol.WatchedProtocol.{name}" for name in KINDS}
SPANS = ("contrib.SharedSpan.", "contrib_spans.ChildSpan.")
# In which mode which modules are tried: all of them in the plain one, else what runs in no other.
OF_PROVIDERS = ("contrib", "providers.", "outbound.", "adopted.")
MODES: list[tuple[type[Mode], tuple[str, ...]]] = [(Plain, ("",)), (ExportingContribSpans, OF_PROVIDERS)]
if Native.available:
    MODES.append((OwnTelemetry, ("native.", "roots.", "providers.")))


@pytest.fixture(params=MODES, ids=lambda case: case[0].__name__)
def tried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Mode, tuple[str, ...]]]:
    kind, names = request.param
    mode: Mode = kind(monkeypatch)
    mode.begin()
    yield mode, names
    mode.finish()


@pytest.fixture
def weather(folder: Path, database_url: str, redis_url: str) -> Weather:
    return Weather(folder, database_url, redis_url)


def running(ran: set[Any], names: tuple[str, ...]) -> Iterator[tuple[Any, str, str]]:
    """Our functions whose code ran, of the modules that are tried."""
    for owner, name, label in [found for module in MODULES for found in functions(module)]:
        handed_on = label in GUARDS | PASSES or (label.startswith(SPANS) and not label.endswith("__init__"))
        if label.startswith(names) and not handed_on and vars(owner)[name].__code__ in ran:
            yield owner, name, label


async def test_an_error_anywhere_of_ours_changes_nothing(
    tried: tuple[Mode, tuple[str, ...]], weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, names = tried
    alone, ran = await weather.alone(), await weather.ran(mode)
    monkeypatch.setattr(guard, "strict", False)
    raised = []
    for owner, name, label in running(ran, names):
        calls: list[str] = []
        await changes_nothing(weather, mode, alone, (owner, name, label), raising(calls), calls, monkeypatch)
        raised += [label] if calls else []
    assert len(raised) >= (150 if names == ("",) else 10)


async def test_an_error_at_any_place_inside_of_a_guard_changes_nothing(
    tried: tuple[Mode, tuple[str, ...]], weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, names = tried
    alone, ran = await weather.alone(), await weather.ran(mode)
    monkeypatch.setattr(guard, "strict", False)
    places = 0
    for owner, name, label in [found for module in MODULES for found in functions(module) if found[2] in GUARDS]:
        if vars(owner)[name].__code__ not in ran or not label.startswith((*names, "asgi.", "exchange.")):
            continue
        calls: list[str] = []
        for _, broken in broken_inside(owner, name, calls):
            await changes_nothing(weather, mode, alone, (owner, name, label), broken, calls, monkeypatch)
            places += 1
    assert places >= (30 if names == ("",) else 8)


async def changes_nothing(
    weather: Weather,
    mode: Mode,
    alone: Any,
    what: tuple[Any, str, str],
    broken: Callable[..., Any],
    calls: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The service does what it does alone, and what `broken` raised was counted."""
    owner, name, label = what
    calls.clear()
    monkeypatch.setattr(guard, "errors", Counter())
    async with weather.observed(mode) as work:
        with monkeypatch.context() as patch:
            replace(patch, owner, name, broken)
            assert await work() == alone, label
    assert bool(guard.errors.total()) == bool(calls), f"{label} raised and nobody counted it"


@pytest.mark.parametrize("label", sorted(GUARDS))
def test_a_guard_is_one(label: str) -> None:
    [found] = [(owner, name) for module in MODULES for owner, name, known in functions(module) if known == label]
    assert list(broken_inside(*found, []))
