"""The live tail of one process: what viewers are sent, in order, within bounds, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import httpx
import pytest

from support.tailing import LateWriter, Stream, eight_writers, eventually
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.live import hub, reading, stream, viewer
from watchglass.api.live.events import Event, of_lines
from watchglass.api.live.position import LONGEST, MOST_PROCESSES, cursor_of, text_of
from watchglass.api.live.viewer import Viewer
from watchglass.api.serving import OwnLoop
from watchglass.settings import Settings
from watchglass.store.database import Database
from watchglass.store.log_tail import Cursor
from watchglass.store.logs import LogFilter
from watchglass.store.reader import Reader

STREAM = "/api/monitoring/logs/stream"
WS = "/api/monitoring/logs/ws"
Serve = Callable[..., str]


@pytest.fixture
def start(store_url: str, serve: Serve) -> Iterator[Callable[..., str]]:
    """`start()` is the address of a process that serves the API on the test's store to anyone."""
    loops: list[OwnLoop] = []

    def make(service: str | None = "shop", authorize: Any = lambda request: "viewer") -> str:
        settings = Settings(service_name="shop", app_database_url=store_url)
        loops.append(own := OwnLoop())
        database = Database(store_url)
        own.at_stop(database.close)
        app = create_app(Context(settings, Reader(database, service=service), authorize=authorize))
        return serve(own.bridge(app), lifespan="off", ws="auto")

    yield make
    for own in loops:
        own.stop(timeout=10)


@pytest.fixture
async def client(start: Callable[..., str]) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=start(), timeout=30) as opened:
        yield opened


@pytest.fixture
async def writer(store_url: str) -> AsyncIterator[LateWriter]:
    async with LateWriter(store_url).connected() as connected:
        yield connected


async def test_lines_are_sent_as_they_are_written_with_the_headers_that_proxies_heed(
    client: httpx.AsyncClient, writer: LateWriter
) -> None:
    async with Stream(client).listening() as viewer:
        written = await writer.write(3, fields={"user": 7}, message="<b>\x1b[31mred\r\n")
        await eventually(lambda: viewer.ids == written)
    assert viewer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert viewer.headers["cache-control"] == "no-store"
    assert viewer.headers["x-accel-buffering"] == "no"
    line = viewer.lines[0]
    assert (line["level"], line["severity"], line["logger"], line["service"]) == ("INFO", 9, "shop", "shop")
    assert (line["message"], line["fields"]) == ("<b>\x1b[31mred\r\n", {"user": 7})
    assert (line["trace_id"], line["exception"], line["trace_kept"]) == (None, None, False)


async def test_the_live_tail_and_the_history_show_a_line_alike(client: httpx.AsyncClient, writer: LateWriter) -> None:
    async with Stream(client).listening() as viewer:
        await writer.write(2, fields={"user": {"name": "ann"}})
        await eventually(lambda: len(viewer.lines) == 2)
    history = (await client.get("/api/monitoring/logs")).json()
    assert history["records"] == viewer.lines[::-1]


async def test_a_viewer_that_is_cut_off_again_and_again_gets_each_line_once(
    start: Callable[..., str], store_url: str
) -> None:
    """Eight processes write at once, and each time another process takes the viewer in."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(httpx.AsyncClient(base_url=start())) for _ in range(2)]
        viewer = Stream(clients[0])
        async with viewer.listening():
            pass
        async with eight_writers(store_url, 8) as writers:
            for number in range(10):
                viewer._client = clients[number % 2]
                async with viewer.listening():
                    await asyncio.sleep(0.4)
                await asyncio.sleep(0.2)
        async with viewer.listening():
            written = [id for one in writers for id in one.written]
            await eventually(lambda: len(viewer.ids) >= len(written))
            await asyncio.sleep(1)
    assert len(written) > 500
    assert sorted(viewer.ids) == sorted(written)
    assert viewer.named("skipped") == []
    assert in_order(viewer.ids)


def in_order(ids: list[str]) -> bool:
    """Whether the lines of each process came in its order."""
    last: dict[str, tuple[int, int]] = {}
    for id in ids:
        process, sequence, position = id.split("-")
        if last.get(process, (0, -1)) >= (int(sequence), int(position)):
            return False
        last[process] = int(sequence), int(position)
    return True


async def test_a_viewer_that_was_cut_off_within_a_batch_comes_back_to_the_next_line(
    client: httpx.AsyncClient, writer: LateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_LINES", 4)
    first = Stream(client)
    async with first.listening():
        written = await writer.write(10)
        await eventually(lambda: len(first.ids) == 10)
    after_four = next(raw for raw in first.raw if raw.endswith("-4")).removeprefix("id: ")
    again = Stream(client)
    again.last_id = after_four
    async with again.listening():
        await eventually(lambda: again.ids == written[4:])


async def test_of_many_lines_that_were_missed_the_newest_are_sent_and_the_rest_is_counted(
    client: httpx.AsyncClient, writer: LateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_AGAIN", 20)
    viewer = Stream(client)
    async with viewer.listening():
        pass
    for _ in range(5):
        await writer.write(10)
    async with viewer.listening():
        await eventually(lambda: len(viewer.ids) == 20)
        assert viewer.ids == writer.written[30:]
        assert viewer.named("skipped") == [{"count": 30}]


@pytest.mark.parametrize("position", ["nonsense", "1-1.1-1", "ffffffff-ffffffff", "1" * 10_000, "1-1" + ".1-1" * 999])
async def test_a_position_that_nobody_gave_begins_now_and_says_that_lines_may_be_missing(
    client: httpx.AsyncClient, writer: LateWriter, position: str
) -> None:
    await writer.write(3)
    viewer = Stream(client, f"{STREAM}?last_event_id={position}")
    async with viewer.listening():
        await eventually(lambda: viewer.named("skipped") == [{"count": 0, "at_least": True}])
        written = await writer.write(1)
        await eventually(lambda: viewer.ids == written)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"level": "warning"}, ["late", "lost"]),
        ({"logger": "shop.cart"}, ["late"]),
        ({"text": "LOS"}, ["lost"]),
        ({"trace_id": "ab" * 16}, []),
        ({"service": "bank"}, ["paid"]),
        ({"service": ""}, ["hello", "late", "lost"]),
        ({"level": "ERROR", "text": "late"}, []),
    ],
)
async def test_each_viewer_gets_what_its_filters_ask_for(
    client: httpx.AsyncClient, store_url: str, writer: LateWriter, query: dict[str, str], shown: list[str]
) -> None:
    everything, viewer = Stream(client), Stream(client, f"{STREAM}?{httpx.QueryParams(query)}")
    async with LateWriter(store_url, "bank").connected() as bank, everything.listening(), viewer.listening():
        await writer.write(1, message="hello")
        await writer.write(1, message="late", severity=13, level="WARNING", logger="shop.cart")
        await bank.write(1, message="paid")
        await writer.write(1, message="lost", severity=17, level="ERROR")
        await eventually(lambda: len(everything.lines) == 3)
        await eventually(lambda: [line["message"] for line in viewer.lines] == shown)
        await asyncio.sleep(0.6)
        assert [line["message"] for line in viewer.lines] == shown


async def test_filters_that_make_no_sense_are_refused(client: httpx.AsyncClient) -> None:
    for query in ("level=loud", "trace_id=7", f"text={'x' * 501}"):
        answer = await client.get(f"{STREAM}?{query}")
        assert answer.status_code == 422
        assert answer.json()["error"].startswith(query.partition("=")[0])


async def test_a_stream_on_which_nothing_is_shown_is_alive_and_knows_how_far_it_is(
    client: httpx.AsyncClient, writer: LateWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.3)
    async with Stream(client, f"{STREAM}?level=critical").listening() as viewer:
        before = viewer.last_id
        await writer.write(3)
        await eventually(lambda: f"{writer.id}-{writer.sequence}" in viewer.last_id)
        assert ": heartbeat" in viewer.raw
        assert before != viewer.last_id
        assert viewer.lines == []


async def test_who_is_one_too_many_is_told_so_and_may_come_when_another_leaves(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_STREAMS", 2)
    async with Stream(client).listening():
        async with Stream(client).listening():
            answer = await client.get(STREAM)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json() == {"error": hub.full()}
        for _ in range(200):
            try:
                async with Stream(client).listening():
                    return
            except AssertionError:
                await asyncio.sleep(0.05)
        raise AssertionError("nobody was let in")


async def test_one_connection_reads_for_all_who_watch_and_none_is_left_when_nobody_does(
    client: httpx.AsyncClient, writer: LateWriter
) -> None:
    async def tails() -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watchglass live tail'"
        return int(await writer.connection.fetchval(query + " AND datname = current_database()"))

    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(Stream(client).listening()) for _ in range(10)]
        written = await writer.write(5)
        await eventually(lambda: all(viewer.ids == written for viewer in viewers))
        assert await tails() == 1
    for _ in range(600):
        if await tails() == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it is still connected")


async def test_without_a_login_nobody_watches(start: Callable[..., str]) -> None:
    async with httpx.AsyncClient(base_url=start(authorize=None)) as client:
        assert (await client.get(STREAM)).status_code == 401
    refused = start(authorize=lambda request: None)
    async with httpx.AsyncClient(base_url=refused) as client, aiohttp.ClientSession() as session:
        assert (await client.get(STREAM)).status_code == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(refused + WS)
        assert error.value.status == 403


async def test_a_page_of_another_site_is_given_no_websocket(start: Callable[..., str]) -> None:
    url = start()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(url + WS, headers={"origin": "https://elsewhere.test"})
        assert error.value.status == 403
        async with session.ws_connect(url + WS, headers={"origin": url}) as socket:
            assert (await socket.receive_json(timeout=30))["type"] == "hello"


async def test_a_stream_ends_when_its_viewer_may_watch_no_longer(
    start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "ALLOWED_SECONDS", 0.2)
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.2)
    allowed = ["viewer"]
    url = start(authorize=lambda request: allowed[0] if allowed else None)
    async with httpx.AsyncClient(base_url=url) as client, Stream(client).listening() as viewer:
        await asyncio.sleep(0.6)
        assert viewer.named("end") == []
        allowed.clear()
        await eventually(lambda: viewer.named("end") == [{"reason": stream.LOGGED_OUT}])


async def test_a_websocket_carries_the_same_and_takes_filters(start: Callable[..., str], writer: LateWriter) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(start() + WS + "?level=error") as socket:
        assert (await said(socket, "hello"))["id"]
        await writer.write(1, message="a")
        await writer.write(1, message="b", severity=17, level="ERROR")
        told = await said(socket, "lines")
        assert [line["message"] for line in told["lines"]] == ["b"]
        assert cursor_of(told["id"])
        await socket.send_json({"type": "filter", "text": "C"})
        assert (await said(socket, "filtered"))["filters"] == {"text": "C"}
        await writer.write(1, message="abc")
        assert [line["message"] for line in (await said(socket, "lines"))["lines"]] == ["abc"]
        position = told["id"]
    again = f"{start()}{WS}?last_event_id={position}"
    async with aiohttp.ClientSession() as session, session.ws_connect(again) as socket:
        assert [line["message"] for line in (await said(socket, "lines"))["lines"]] == ["abc"]


async def said(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    while True:
        message: dict[str, Any] = await socket.receive_json(timeout=60)
        if message["type"] == kind:
            return message


@pytest.mark.parametrize(
    "command",
    [
        "nonsense",
        "[]",
        "{}",
        '{"type":"drop"}',
        '{"type":"filter","level":"loud"}',
        '{"type":"filter","color":"red"}',
        json.dumps({"type": "filter", "text": "x" * 600}),
        json.dumps({"type": "filter", "text": "x" * 5000}),
        "[" * 3000,
    ],
)
async def test_a_command_that_makes_no_sense_is_answered_and_changes_nothing(
    start: Callable[..., str], writer: LateWriter, command: str
) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(start() + WS) as socket:
        await said(socket, "hello")
        await socket.send_str(command)
        assert (await said(socket, "error"))["error"]
        await writer.write(1, message="still here")
        assert (await said(socket, "lines"))["lines"][0]["message"] == "still here"


async def test_who_sends_nothing_but_nonsense_is_sent_away(start: Callable[..., str]) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(start() + WS) as socket:
        for _ in range(50):
            try:
                await socket.send_bytes(b"x")
            except ConnectionError:
                break
        while (await socket.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.closed


async def test_a_request_that_is_no_websocket_is_told_what_to_do(client: httpx.AsyncClient) -> None:
    answer = await client.get(WS)
    assert answer.status_code == 426
    assert "wsproto" in answer.json()["error"]


def line_event(number: int) -> Event:
    return of_lines([json.dumps({"n": number, "pad": "x" * 90})] * 2, f"p{number}")


async def test_who_is_slow_is_sent_the_newest_lines_and_the_number_of_those_left_out() -> None:
    slow = Viewer(LogFilter())
    for number in range(10):
        slow.offer(line_event(number), 1000)
    assert slow.size <= 1000
    first = await slow.next(1)
    assert first is not None
    assert (first.name, first.sse.decode()) == ("skipped", 'id: p5\nevent: skipped\ndata: {"count":12}\n\n')
    rest = [event.position for _ in range(4) if (event := await slow.next(1))]
    assert rest == ["p6", "p7", "p8", "p9"]
    assert await slow.next(0.01) is None


async def test_what_is_no_line_is_not_left_out() -> None:
    slow = Viewer(LogFilter())
    slow.offer(Event("unavailable"), 500)
    for number in range(10):
        slow.offer(line_event(number), 500)
    names = [event.name for _ in range(4) if (event := await slow.next(1))]
    assert names == ["skipped", "unavailable", "lines", "lines"]


async def test_answers_that_nobody_reads_are_bounded() -> None:
    silent = Viewer(LogFilter())
    for _ in range(1000):
        silent.answer(Event("error", json.dumps({"error": "x" * 100})))
    assert silent.size < 20_000
    assert viewer._MOST_ANSWERS < 1000


async def test_a_viewer_whose_stream_is_over_rests_no_longer() -> None:
    fast = Viewer(LogFilter())
    resting = asyncio.ensure_future(fast.rest(3600))
    await asyncio.sleep(0.05)
    assert not resting.done()
    fast.end("enough")
    await asyncio.wait_for(resting, 30)


async def test_a_viewer_that_is_sent_little_is_held_up_by_nothing() -> None:
    viewer = Viewer(LogFilter())
    for _ in range(10):
        await asyncio.wait_for(viewer.rest(1e-6), 30)


def test_a_position_is_short_and_says_what_it_was_made_from() -> None:
    cursor = Cursor(1_700_000_000, 1_800_000_000, {7: 3, 12: 345_600}, {12: 17})
    text = text_of(cursor)
    assert cursor_of(text) == cursor
    assert httpx.QueryParams({"p": text})["p"] == text in str(httpx.URL("http://a", params={"p": text}))


def test_a_position_of_very_many_processes_stays_within_a_header() -> None:
    known = {10**9 + number: 10**12 for number in range(1000)}
    text = text_of(Cursor(1_700_000_000, 1_800_000_000, known, {10**9: 7}))
    assert len(text) <= LONGEST
    found = cursor_of(text)
    assert found is not None
    assert len(found.known) == MOST_PROCESSES
    assert found.part == {10**9: 7}
