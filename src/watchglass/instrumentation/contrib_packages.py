"""Spans by contrib's three packages in place of our own: `instrumentation="contrib"`.

Durations, hits and misses stay ours. What the host instrumented itself is left to it.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from fastapi import FastAPI
from opentelemetry.instrumentation.utils import suppress_instrumentation

from watchglass import guard
from watchglass.errors import ExtraMissing
from watchglass.instrumentation import operations
from watchglass.instrumentation.contrib_spans import ChildProvider
from watchglass.instrumentation.patching import Patches
from watchglass.instrumentation.recorder import Recorder

CLIENTS: Final = {"postgresql": ("asyncpg", "AsyncPGInstrumentor"), "redis": ("redis", "RedisInstrumentor")}
"""For each system the library, and contrib's instrumentor of it."""

Call = Callable[..., Awaitable[Any]]

_PACKAGE = "opentelemetry.instrumentation."
_ASKING = ("execute", "executemany", "fetch", "fetchval", "fetchrow")


class ContribPackages:
    """Contrib's instrumentors, as far as this process has their libraries; none unless they are `wanted`.

    Raises `ExtraMissing` where one is not installed.
    """

    def __init__(self, wanted: bool = True) -> None:
        self._instrumented: dict[str, Any] = {}
        self._entered: weakref.WeakSet[FastAPI] = weakref.WeakSet()
        self._patches = Patches()
        self._fastapi = _load("fastapi", "FastAPIInstrumentor") if wanted else None
        found = {system: names for system, names in CLIENTS.items() if wanted and find_spec(names[0]) is not None}
        self._clients = {system: _load(*names) for system, names in found.items()}

    def instrument(self, recorder: Recorder) -> None:
        """Instrument the clients. After our own instrumentors."""
        provider = ChildProvider(recorder.clock)
        for system, make in self._clients.items():
            instrumentor = make()
            if not instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.instrument(tracer_provider=provider)
                self._instrumented[system] = instrumentor
        operations.spans_elsewhere.update(self._instrumented)
        if "postgresql" in self._instrumented:
            _mend(self._patches)

    def uninstrument(self) -> None:
        """Undo `instrument`. Before our own instrumentors."""
        self._patches.restore()
        operations.spans_elsewhere.difference_update(self._instrumented)
        for instrumentor in self._instrumented.values():
            with guard.protected("uninstrument"):
                instrumentor.uninstrument()
        self._instrumented.clear()

    def enter(self, app: Any) -> None:
        """Have an application of FastAPI's instrumented, unless the host did so."""
        if self._fastapi is None or not isinstance(app, FastAPI):
            return
        if not getattr(app, "_is_instrumented_by_opentelemetry", False):
            self._fastapi.instrument_app(app, **_without_messages(self._fastapi.instrument_app))
            app.middleware_stack = None  # contrib's middleware is in the next one that is built
            self._entered.add(app)

    def leave(self, app: Any) -> None:
        """Undo `enter`."""
        if self._fastapi is None or app not in self._entered:
            return
        served = app.middleware_stack is not None
        self._fastapi.uninstrument_app(app)
        vars(app).pop("build_middleware_stack", None)
        if not served:
            app.middleware_stack = None
        self._entered.discard(app)


def _without_messages(instrument: Callable[..., None]) -> dict[str, Any]:
    """No span for each message of ASGI, where contrib can leave them out."""
    known = "exclude_spans" in inspect.signature(instrument).parameters
    return {"exclude_spans": ["receive", "send"]} if known else {}


def _load(library: str, name: str) -> Any:
    try:
        return getattr(import_module(_PACKAGE + library), name)
    except ImportError:
        package = f"opentelemetry-instrumentation-{library}"
        raise ExtraMissing(feature="WATCHGLASS_INSTRUMENTATION=contrib", package=package, extra="contrib") from None


def _mend(patches: Patches) -> None:
    """Have contrib's instrumentor of asyncpg break no call, and make no span for a row or a pool's reset.

    It looks for a statement among the positional arguments only, and fails where it is none of them.
    """
    import asyncpg
    import asyncpg.cursor

    for name in _ASKING:
        patches.replace(asyncpg.Connection, name, _positional)
    patches.replace(asyncpg.Connection, "reset", _unseen(lambda connection: True))
    patches.replace(asyncpg.cursor.CursorIterator, "__anext__", _unseen(_has_a_row))


def _has_a_row(cursor: Any) -> bool:
    """Whether the next row, or the end, is there without asking the server."""
    return bool(getattr(cursor, "_buffer", False) or getattr(cursor, "_exhausted", False))


def _positional(method: Call) -> Call:
    @functools.wraps(method)
    async def call(connection: Any, *args: Any, **kwargs: Any) -> Any:
        if not args:
            args = tuple(kwargs.pop(name) for name in ("query", "command") if name in kwargs)
        return await method(connection, *args, **kwargs)

    return call


def _unseen(when: Callable[[Any], bool]) -> Callable[[Call], Call]:
    def make(method: Call) -> Call:
        @functools.wraps(method)
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            unseen = False
            with guard.protected("instrumentation.contrib"):
                unseen = when(self)
            if not unseen:
                return await method(self, *args, **kwargs)
            with suppress_instrumentation():
                return await method(self, *args, **kwargs)

        return call

    return make
