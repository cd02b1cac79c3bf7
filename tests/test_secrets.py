"""No secret is stored, shown or sent, by whatever channel a service leaks it: looked for in every table and output."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

import watchglass
from support.collector import HTTPCollector
from support.leaky import ADDRESS, FORMS, MAIL, Canaries, service
from support.otlp import point_at
from support.pipelines import until
from watchglass import guard, redaction, wiring
from watchglass.store.connection import connect

TABLES = """
SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'watchglass' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
SAID = (
    *FORMS, "field", "nested field", "pairs", "text of a field", "name of a field", "keyword of structlog", "context",
    "event of structlog", "bound value", "exception of logging", "exception of structlog", "message of an exception",
    "cause of", "note of an exception", "group of exceptions", "name of a span", "attributes of a span",
    "statement of a span", "warning, ", "uncaught in a thread", "Task exception was never retrieved",
    "headers of a request", "URL of a request", "error of Redis", "/socket/", "Exception in ASGI application",
)  # fmt: skip
"""What shows that each channel was there."""


async def dumped(url: str) -> str:
    """Every row of every table of ours as text, each with bytes also decoded."""
    connection = await connect(url, application_name="test")
    try:
        tables = [row[0] for row in await connection.fetch(TABLES)]
        assert len(tables) >= 10
        rows = [row[0] for table in tables for row in await connection.fetch(f"SELECT t::text FROM {table} AS t")]
    finally:
        await connection.close()
    return "\n".join(rows)


async def ask(url: str, canaries: Canaries) -> str:
    """Requests that carry secrets themselves; returns what `/metrics` says after them."""
    query = f"?access_token={canaries['query string']}&api%5Fkey={canaries['encoded query string']}&mail={MAIL}"
    headers = {
        "authorization": f"Bearer {canaries['authorization']}",
        "cookie": f"a=b; c={canaries['cookies of a request']}",
        "x-api-key": canaries["header of a request"],
        "user-agent": f"agent password={canaries['user agent']}",
        "baggage": f"secret={canaries['baggage']}",
        "x-forwarded-for": ADDRESS,
        "referer": f"https://x/?token={canaries['referer']}",
    }
    async with aiohttp.ClientSession(headers=headers) as session:
        for path in ("/leak/1", "/fail/1", f"/nowhere/password={canaries['path']}", f"/nowhere/{MAIL}"):
            async with session.get(url + path + query) as answer:
                await answer.read()
        async with session.ws_connect(f"{url}/socket/token={canaries['path of a WebSocket']}{query}") as opened:
            await opened.receive()
        async with session.get(f"{url}/metrics") as answer:
            return await answer.text()


def found(canaries: Canaries, text: str) -> list[str]:
    """The channels whose secret is in a text, as it is, without case or in hexadecimal."""
    lowered = text.lower()
    return [
        channel
        for channel, secret in canaries.by_channel.items()
        if secret.lower() in lowered or secret.encode().hex() in lowered
    ]


def unpacked(folder: Path) -> str:
    """All files below it, compressed parts unpacked."""
    texts = []
    for file in folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        texts.append(content.decode("latin-1"))
        start = content.find(b"x\x01")
        while start >= 0:
            with suppress(zlib.error):
                texts.append(zlib.decompressobj().decompress(content[start:]).decode("utf-8", "replace"))
            start = content.find(b"x\x01", start + 1)
    return "\n".join(texts)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPCollector]:
    with HTTPCollector() as running:
        point_at(running, monkeypatch)
        yield running


@pytest.fixture(autouse=True)
def nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service fails in a thread and warns on purpose; warnings are shown, to nobody, and not collected."""
    monkeypatch.setattr("threading.excepthook", lambda args: None)
    monkeypatch.setattr("warnings._showwarnmsg_impl", lambda message: None)


@pytest.mark.parametrize("spans_by", ["watchglass", "contrib"])
async def test_no_secret_is_in_any_table_metric_or_export(
    collector: HTTPCollector, store_url: str, redis_url: str, serve: Callable[..., str], spans_by: str
) -> None:
    canaries = Canaries()
    app = service(canaries, store_url, redis_url)
    settings = watchglass.Settings(
        service_name="leaky",
        app_database_url=store_url,
        redis_url=redis_url,
        flush_interval=1,
        instrumentation=spans_by,  # type: ignore[arg-type]
    )
    watchglass.observe(app, settings)
    try:
        url = serve(app, ws="wsproto")
        exposed = await ask(url, canaries)
        house = wiring.house()
        assert house
        stored = ""

        def complete() -> bool:
            house.pipeline.flush_now()
            return all(said in sent(collector) for said in ("unseen in a task", "/socket/", "leaky.counter"))

        await asyncio.to_thread(until, complete)
        exposed += await ask(url, canaries)
        await asyncio.to_thread(house.pipeline.flush_now)
        stored = await dumped(store_url)
        exported = sent(collector)
    finally:
        watchglass.unobserve(app)

    assert [said for said in SAID if said not in stored] == []
    assert "leaky_counter" in exposed and "attribute of a metric" in exposed and "attribute of a metric" in stored
    assert "attribute of a metric" in exported and "message of an exception" in exported
    assert len(canaries.by_channel) > 50
    assert found(canaries, stored) == []
    assert found(canaries, exposed) == []
    assert found(canaries, exported) == []
    for text in (stored, exposed, exported):
        assert MAIL not in text and "c4n4ry.mail" not in text and ADDRESS not in text
    mark = redaction.text(ADDRESS, settings.redaction_key)
    assert stored.count(mark) >= 3, "an address has one mark in all of its places"
    assert redaction.text(MAIL, settings.redaction_key) in stored


def sent(collector: HTTPCollector) -> str:
    return "\n".join(str(message) for message in (*collector.metrics, *collector.traces, *collector.logs))


async def test_no_secret_is_on_disk_while_the_store_is_away(
    redis_url: str, serve: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "strict", False)
    canaries = Canaries()
    app = service(canaries, None, redis_url)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = f"postgresql://app:{canaries['password of the store']}@127.0.0.1:{taken.getsockname()[1]}/shop"
        watchglass.observe(app, watchglass.Settings(service_name="leaky", database_url=away, state_dir=str(tmp_path)))
        try:
            await ask(serve(app, ws="wsproto"), canaries)
            await asyncio.to_thread(until, lambda: "unseen in a task" in unpacked(tmp_path))
        finally:
            watchglass.unobserve(app)
    on_disk = unpacked(tmp_path)

    assert [said for said in (*FORMS, "message of an exception", "attributes of a span") if said not in on_disk] == []
    assert found(canaries, on_disk) == []
    assert MAIL not in on_disk and ADDRESS not in on_disk
