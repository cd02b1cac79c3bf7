"""Requests that the service makes, in every mode: what they took is in the latency budget, by the real instrumentations
of httpx and aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.trace import SpanKind

from conformance.modes import OLD_CONTRIB, Mode, Plain
from support.asgi import Observed, get, observe
from watchglass.instrumentation.adopted.tracers import HostSpans
from watchglass.meters import HTTP_SERVER_BUDGET

TOOK = 0.1
"""Seconds that the other service takes to answer."""

HOST = "127.0.0.1"
Ask = Callable[[str], Awaitable[int]]


class OtherService:
    """Answers after a while, and remembers what it was asked with."""

    def __init__(self) -> None:
        self.parents: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.parents.append(headers.get("traceparent", ""))
        await asyncio.sleep(TOOK)
        status = 503 if scope["path"] == "/breaks" else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def by_httpx(url: str) -> int:
    async with httpx.AsyncClient(verify=False) as client:  # reading the authorities takes 50 ms
        return (await client.get(url)).status_code


async def by_blocking_httpx(url: str) -> int:
    return (await asyncio.to_thread(httpx.get, url)).status_code


async def by_aiohttp(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()
        return answer.status


CLIENTS: list[Ask] = [by_httpx, by_blocking_httpx, by_aiohttp]


@pytest.fixture
def other() -> OtherService:
    return OtherService()


@pytest.fixture
def url(other: OtherService, serve: Callable[..., str]) -> str:
    return serve(other, lifespan="off")


@pytest.fixture
def conventions() -> str:
    """Which semantic conventions the instrumentations are told to follow: those of old where they are told nothing."""
    return ""


@pytest.fixture
def instrumented(conventions: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clients, as the host instruments them before it does anything else."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", conventions)
    told = _semconv._OpenTelemetrySemanticConventionStability
    monkeypatch.setattr(told, "_initialized", False)
    monkeypatch.setattr(told, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", {})  # what it was comes back in the end
    theirs = HTTPXClientInstrumentor(), AioHttpClientInstrumentor()
    for instrumentor in theirs:
        instrumentor.instrument()
    yield
    for instrumentor in theirs:
        instrumentor.uninstrument()


async def done(mode: Mode, handler: Callable[[], Awaitable[Any]]) -> Observed:
    """A request whose handler does this, in a service in this mode."""
    app = FastAPI()
    app.add_api_route("/work", handler)
    mode.prepare(app)
    observed = observe(app)
    spans = HostSpans(observed.recorder)
    try:
        spans.meet()
        call = await get(app, "/work")
    finally:
        spans.uninstrument()
    assert (call.status, call.error) == (200, None)
    return observed


def budget(observed: Observed) -> dict[tuple[str | None, str | None], float]:
    """Seconds by component and host."""
    spent: dict[tuple[str | None, str | None], float] = {}
    for state in observed.recorder.collect():
        if state.meter is HTTP_SERVER_BUDGET:
            values = dict(zip(state.meter.attributes, state.values, strict=True))
            key = values["watchglass.budget.component"], values["server.address"]
            spent[key] = spent.get(key, 0.0) + state.sum
    return spent


def adds_up(observed: Observed) -> dict[tuple[str | None, str | None], float]:
    spent = budget(observed)
    assert set(spent) == {("own_code", None), ("http", HOST)}
    assert sum(spent.values()) == pytest.approx(sum(observed.seconds()))
    return spent


@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
async def test_a_request_to_another_service_is_in_the_budget_and_in_the_trace(
    ask: Ask, instrumented: None, mode: Mode, url: str, other: OtherService
) -> None:
    async def handler() -> int:
        await asyncio.sleep(0.1)
        return await ask(url)

    observed = await done(mode, handler)
    spent = adds_up(observed)
    assert spent["http", HOST] >= TOOK - 0.01
    assert spent["own_code", None] >= 0.09
    [kept] = observed.traces
    [child] = [span for span in kept.spans[1:] if span.kind == "client"]
    assert child.trace_id == kept.root.trace_id
    [parent] = other.parents
    assert parent.startswith(f"00-{kept.root.trace_id:032x}-{child.span_id:016x}-")
    exported = mode.spans(SpanKind.CLIENT)
    assert exported is None or [span.context.span_id for span in exported] == [child.span_id]


@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
async def test_requests_at_once_are_not_counted_twice(ask: Ask, instrumented: None, mode: Mode, url: str) -> None:
    async def handler() -> None:
        await asyncio.gather(*(ask(url) for _ in range(3)))

    observed = await done(mode, handler)
    spent = adds_up(observed)
    assert TOOK - 0.01 <= spent["http", HOST] <= sum(observed.seconds())
    [kept] = observed.traces
    assert len([span for span in kept.spans[1:] if span.kind == "client"]) == 3


@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
async def test_a_request_that_fails_or_is_given_up_counts_as_well(
    ask: Ask, instrumented: None, mode: Mode, url: str
) -> None:
    async def handler() -> None:
        assert await ask(url + "/breaks") == 503
        if ask is not by_blocking_httpx:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ask(url), TOOK / 2)

    observed = await done(mode, handler)
    given_up = 0.0 if ask is by_blocking_httpx else TOOK / 4
    assert adds_up(observed)["http", HOST] >= TOOK + given_up - 0.01


@pytest.mark.parametrize("conventions", ["http"])
@pytest.mark.parametrize("ask", CLIENTS, ids=lambda ask: ask.__name__)
async def test_the_conventions_of_today_say_the_same(
    ask: Ask, conventions: str, instrumented: None, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if OLD_CONTRIB and ask is by_aiohttp:
        pytest.skip("this contrib says the server's name by the old conventions alone")

    async def handler() -> int:
        return await ask(url)

    observed = await done(Plain(monkeypatch), handler)
    assert adds_up(observed)["http", HOST] >= TOOK - 0.01
    [child] = observed.traces[0].spans[1:]
    assert child.attributes["http.request.method"] == "GET"
