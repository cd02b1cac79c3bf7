"""Whatever of ours raises, the service answers as if we were not there: each of our functions that runs while it does
its work raises in turn."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.modes import ExportingContribSpans, Mode, OwnTelemetry, Plain
from conformance.weather import MODULES, Weather, functions, noting
from watchglass import guard
from watchglass.instrumentation.native import Native

# Where the guard itself stands: what raises inside of these is caught there.
GUARDS = {
    "asgi.Layer._exchange", "asgi.Layer._is_own", "asgi.Layer._serve", "asgi.Layer._serves",
    "asyncpg_connection._safely", "contrib_spans.ChildTracer.start_span", "contrib_spans.ChildTracer._of_host",
    "asyncpg_protocol.WatchedProtocol.connection_lost", "asyncpg_protocol.WatchedProtocol.set_connection",
    "asyncpg_protocol._ended", "asyncpg_protocol._executed", "contrib.SharingTracer.start_span",
    "exchange.Exchange.close", "exchange.Exchange.send", "log_capture.LogCapture.record", "pools.Pools._ended",
    "pools.Pools._observed", "redis._begun", "redis._safely", "websocket.Connection.close",
    "websocket.Connection.send", "contrib_spans.ChildSpan.end",
}  # fmt: skip
# What only hands on: the call itself, the server's messages, what somebody does to a span of the host's.
PASSES = {
    "asgi.Layer.__call__", "exchange.Exchange.receive", "websocket.Connection.receive", "log_capture.LogCapture.wants",
    "roots.Root.close", "contrib.SharingTracer.start_as_current_span",
    "contrib_spans.ChildTracer.start_as_current_span",
}  # fmt: skip
SPANS = ("contrib.SharedSpan.", "contrib_spans.ChildSpan.")
# In which mode which modules are tried: all of them in the plain one, else what runs in no other.
MODES: list[tuple[type[Mode], tuple[str, ...]]] = [(Plain, ("",)), (ExportingContribSpans, ("contrib", "providers."))]
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


def break_it(patch: pytest.MonkeyPatch, owner: Any, name: str) -> Counter[str]:
    """Have a function raise, where it is defined and where it was imported to; counts its calls."""
    original, calls = vars(owner)[name], Counter[str]()

    def broken(*_: Any, **__: Any) -> Any:
        calls["calls"] += 1
        raise ZeroDivisionError("ours")

    for place in (owner, *MODULES):
        if vars(place).get(name) is original:
            patch.setattr(place, name, broken)
    return calls


async def test_an_error_anywhere_of_ours_changes_nothing(
    tried: tuple[Mode, tuple[str, ...]], weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, names = tried
    alone, ran = await weather.alone(), set[Any]()
    async with weather.observed(mode) as work:
        with noting(ran):
            assert await work() == alone
    monkeypatch.setattr(guard, "strict", False)
    raised = {}
    for owner, name, label in running(ran, names):
        monkeypatch.setattr(guard, "errors", Counter())
        async with weather.observed(mode) as work:
            with monkeypatch.context() as patch:
                calls = break_it(patch, owner, name)
                assert await work() == alone, label
        raised[label] = calls.total()
        assert bool(guard.errors.total()) == bool(calls), f"{label} raised and nobody counted it"
    assert len([label for label, calls in raised.items() if calls]) >= (150 if names == ("",) else 10)


@pytest.mark.parametrize("label", sorted(GUARDS))
def test_a_guard_is_one(label: str) -> None:
    [found] = [vars(owner)[name] for module in MODULES for owner, name, known in functions(module) if known == label]
    source = inspect.getsource(found)
    assert "caught(" in source or "protected(" in source
