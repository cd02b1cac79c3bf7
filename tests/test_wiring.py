"""`observe` joins the house to an application: nothing before it serves, everything while it does, nothing after."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI, Request
from opentelemetry import metrics, trace

import watchglass
from watchglass import wiring
from watchglass.errors import AlreadyObserving, SettingsError

Serve = Callable[..., str]


@pytest.fixture
def app() -> Iterator[FastAPI]:
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "here"

    yield app
    watchglass.unobserve(app)


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("watchglass-")]


def run(code: str) -> None:
    """In a process of its own, which has to succeed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_front_door_has_few_names() -> None:
    assert sorted(watchglass.__all__) == watchglass.__all__
    assert len(watchglass.__all__) <= 6
    assert all(hasattr(watchglass, name) for name in watchglass.__all__)


def test_observing_starts_nothing_and_takes_no_global_provider() -> None:
    code = """
        import sys, threading, socket, fastapi
        opened = []
        real = socket.socket.connect
        socket.socket.connect = lambda self, address: opened.append(address) or real(self, address)
        from opentelemetry import metrics, trace
        import watchglass
        app = fastapi.FastAPI()
        watchglass.observe(app, watchglass.Settings(app_database_url="postgresql://u:p@127.0.0.1:1/d"))
        assert threading.active_count() == 1, threading.enumerate()
        assert opened == []
        assert trace._TRACER_PROVIDER is None and metrics._internal._METER_PROVIDER is None
        heavy = {"numpy", "jinja2", "uvicorn", "sqlglot"} & set(sys.modules)
        assert not heavy, heavy
    """
    run(code)


def test_a_later_provider_of_the_host_wins(app: FastAPI) -> None:
    code = """
        import asyncio, fastapi, httpx, watchglass
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        app = fastapi.FastAPI()
        watchglass.observe(app)
        async def ask():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
                await client.get("/")
        asyncio.run(ask())
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
        assert trace.get_tracer_provider() is provider
    """
    run(code)


def test_the_threads_live_as_long_as_the_service(app: FastAPI, store_url: str, serve: Serve) -> None:
    watchglass.observe(app, watchglass.Settings(app_database_url=store_url))
    assert own_threads() == []
    url = serve(app)
    assert httpx.get(f"{url}/health", timeout=60).status_code == 200
    assert set(own_threads()) == {
        "watchglass-export", "watchglass-serve", "watchglass-watchdog", "watchglass-workers"
    }  # fmt: skip


def test_observing_twice_is_observing_once(app: FastAPI) -> None:
    watchglass.observe(app)
    assert watchglass.observe(app) is app
    kind = type(app)
    watchglass.observe(app)
    assert type(app) is kind
    watchglass.unobserve(app)
    assert type(app) is FastAPI
    assert wiring.house() is None


def test_two_applications_share_a_house_and_the_last_closes_it(app: FastAPI) -> None:
    other = FastAPI()
    watchglass.observe(app)
    watchglass.observe(other)
    house = wiring.house()
    watchglass.unobserve(app)
    assert wiring.house() is house
    watchglass.unobserve(other)
    assert wiring.house() is None


def test_other_settings_for_a_second_application_are_refused(app: FastAPI) -> None:
    watchglass.observe(app, watchglass.Settings(service_name="one"))
    with pytest.raises(AlreadyObserving, match="service one"):
        watchglass.observe(FastAPI(), watchglass.Settings(service_name="two"))


def test_disabled_is_the_application_untouched(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert type(watchglass.observe(app)) is FastAPI
    assert wiring.house() is None


def test_a_setting_out_of_range_stops_the_start(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHGLASS_FLUSH_INTERVAL", "0")
    with pytest.raises(SettingsError, match=r"WATCHGLASS_FLUSH_INTERVAL.*from 1 to 300"):
        watchglass.observe(app)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "Set DATABASE_URL"),
        ("postgresql://nobody:wrong@{address}/postgres", "password"),
        ("postgresql://u:p@no-such-host.invalid/d", "no-such-host.invalid"),
        ("postgresql://u:p@127.0.0.1:1/d", "127.0.0.1:1"),
    ],
    ids=["no database", "wrong password", "unknown host", "nobody listens"],
)
def test_without_its_database_watchglass_says_so_and_the_service_serves(
    app: FastAPI, store_url: str, serve: Serve, url: str | None, says: str
) -> None:
    address = store_url.rpartition("@")[2].partition("/")[0]
    watchglass.observe(app, watchglass.Settings(app_database_url=url and url.format(address=address)))
    served = serve(app)
    house = wiring.house()
    assert house
    for _ in range(100):
        assert httpx.get(served).json() == "here"
        if house.pipeline.status.state not in ("starting", "ok"):
            break
    else:
        threading.Event().wait(5)
    assert says in house.pipeline.status.message
    assert "wrong" not in house.pipeline.status.message.split("password")[0]
    assert "http_server_request_duration_seconds_count" in httpx.get(f"{served}/metrics").text


def test_the_host_decides_who_may_look(app: FastAPI, store_url: str, serve: Serve) -> None:
    def authorize(request: Request) -> str | None:
        return {"alice": "admin", "bob": "viewer"}.get(request.headers.get("x-user", ""))

    watchglass.observe(app, watchglass.Settings(app_database_url=store_url), authorize=authorize)
    url = serve(app)
    summary = f"{url}/api/monitoring/advanced/summary"
    assert httpx.get(summary).status_code == 403
    assert httpx.get(summary, headers={"x-user": "bob"}).status_code == 200


def test_inside_the_host_s_middlewares_stand_before_the_page(app: FastAPI, serve: Serve) -> None:
    @app.middleware("http")
    async def closed(request: Request, call_next):  # type: ignore[no-untyped-def]
        response = await call_next(request)
        response.headers["x-host"] = "was here"
        return response

    watchglass.observe(app, inside=True)
    url = serve(app)
    assert httpx.get(f"{url}/health").headers["x-host"] == "was here"
    assert "/health" not in httpx.get(f"{url}/openapi.json").json()["paths"]


def test_outside_they_do_not(app: FastAPI, serve: Serve) -> None:
    @app.middleware("http")
    async def closed(request: Request, call_next):  # type: ignore[no-untyped-def]
        raise RuntimeError("no page of Watchglass passes here")

    watchglass.observe(app)
    assert httpx.get(f"{serve(app)}/health").status_code == 200


def _child(queue: multiprocessing.Queue[list[str]]) -> None:
    queue.put(own_threads())


def test_a_child_process_starts_nothing(app: FastAPI, store_url: str, serve: Serve) -> None:
    watchglass.observe(app, watchglass.Settings(app_database_url=store_url))
    httpx.get(f"{serve(app)}/health")
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[str]] = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    assert queue.get(timeout=20) == []
    child.join(20)
    assert child.exitcode == 0


def test_everything_is_as_it_was_after_unobserving() -> None:
    import asyncpg.pool
    from asyncpg import connect_utils

    before = (asyncpg.pool.Pool._acquire, connect_utils.protocol.Protocol)
    app = FastAPI()
    watchglass.observe(app)
    assert (asyncpg.pool.Pool._acquire, connect_utils.protocol.Protocol) != before
    watchglass.unobserve(app)
    assert (asyncpg.pool.Pool._acquire, connect_utils.protocol.Protocol) == before
    assert trace._TRACER_PROVIDER is None or trace.get_tracer_provider()
    assert metrics.get_meter_provider()
