"""The pages of traces: what is asked for by the address, the rows, one trace as a waterfall, and hostile names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, Literal

import httpx
import pytest
import pytest_asyncio

from support.past import Process, request
from support.traces import BOOKS, Writing, child, kept, log, statement
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.endpoint import identify
from watchglass.api.incident_answers import PendingAnswer, PendingRequest
from watchglass.api.models import TimeWindow
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import TRACES_KEPT, TRACES_SEEN
from watchglass.records import ErrorCount, LogRecord, Trace
from watchglass.ui import format, pending, traces
from watchglass.ui.spans import ticks

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"`{{7*7}}\x1b[31m\u202e"

Write = Callable[..., Awaitable[None]]
Part = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture
async def write(store_url: str) -> AsyncIterator[Write]:
    """`write(trace, ..., logs=, errors=)` as one batch of the shop's process, or of `service`."""
    processes: dict[str, Writing] = {}

    async def batch(*written: Trace, service: str = "shop", **more: Any) -> None:
        await processes.setdefault(service, Writing(store_url, service)).write(*written, **more)

    yield batch
    for process in processes.values():
        await process.close()


@pytest.fixture
def part(client: httpx.AsyncClient) -> Part:
    """`await part("traces", status="5xx")` is the HTML of a part of a page."""

    async def ask(name: str, expected: int = 200, **query: Any) -> str:
        answer = await client.get(f"/ui/monitoring/parts/{name}", params=query)
        assert answer.status_code == expected, answer.text
        return answer.text

    return ask


class Elements(HTMLParser):
    """The elements, attributes and texts that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def seen(text: str) -> str:
    """The text of a fragment, its white space as one blank."""
    return " ".join(Elements(text).text.split())


def hexadecimal(trace: Trace) -> str:
    return f"{trace.root.trace_id:032x}"


def said(at: float, message: str, trace: Trace, **more: Any) -> LogRecord:
    return replace(log(at, message, trace), **more)


@pytest.mark.parametrize(
    ("typed", "in_seconds"), [("250 ms", "0.25"), ("1,5 s", "1.5"), ("2min", "120"), ("0.3", "0.3"), ("soon", "soon")]
)
def test_a_duration_is_typed_as_it_is_read(typed: str, in_seconds: str) -> None:
    assert traces.parameters({"min_duration": typed})["min_duration"] == in_seconds


@pytest.mark.parametrize(
    "typed", ["GET /books/{id}", "get /books/{id}", "/books/{id}", identify(("GET", "/books/{id}"))]
)
def test_an_endpoint_is_typed_as_it_is_read(typed: str) -> None:
    assert traces.parameters({"endpoint": typed}) == {"endpoint_id": identify(("GET", "/books/{id}"))}


async def test_the_form_shows_what_the_address_asks_for(client: httpx.AsyncClient) -> None:
    query = {"endpoint": identify(("GET", "/books/{id}")), "min_duration": "0.25", "error": "true", "reason": "slow"}
    text = (await client.get("/ui/monitoring/traces", params=query)).text
    assert 'name="endpoint" value="GET /books/{id}"' in text
    assert 'value="250 ms"' in text
    assert re.search(r'name="error" value="true" checked', text)
    assert re.search(r'<option value="slow"[^>]* selected', text)
    assert 'aria-current="page">Traces' in text


async def test_kept_is_said_beside_seen(write: Write, process: Process, part: Part, now: float) -> None:
    def act(recorder: Recorder) -> None:
        recorder.counter(TRACES_SEEN).add(24_150)
        recorder.counter(TRACES_KEPT, ("first",)).add(106)

    await process.live(now - 600, now, act, every=300)
    await write(kept(now - 60))
    assert "212 of 48,300 requests in this window were kept." in seen(await part("traces", range="6h"))


async def test_a_row_says_why_it_is_here(write: Write, part: Part, now: float) -> None:
    failed = kept(now - 60, seconds=2.0, status=500, error="ValueError", reason="error")
    await write(failed, kept(now - 50, child("SELECT", 0.01, 0.02, statement()), seconds=0.5))
    text = await part("traces")
    rows = re.findall(r"<tr id=.*?</tr>", text, re.DOTALL)
    assert [seen(row) for row in rows] == [
        f"{_clock(now - 50)} GET /books/{{id}} 200 500 ms 2 1 SQL first",
        f"{_clock(now - 60)} GET /books/{{id}} 500 2 s 1 error ValueError",
    ]
    assert 'data-level="critical"' not in rows[0] and 'data-level="critical"' in rows[1]
    assert f"/ui/monitoring/traces/{hexadecimal(failed)}" in rows[1]


def _clock(at: float) -> str:
    return format.moment(at).replace("T", " ").replace("Z", " UTC")


async def test_the_address_chooses(write: Write, part: Part, now: float) -> None:
    slow = kept(now - 60, child("SELECT", 0.01, 0.02, statement()), seconds=2.0, route="/slow", reason="slow")
    await write(slow, kept(now - 50, route="/fast"), kept(now - 40, route="/gone", status=404))
    for query, wanted in (
        ({"min_duration": "1 s"}, {"/slow"}),
        ({"max_duration": "1 s"}, {"/fast", "/gone"}),
        ({"status": "4xx"}, {"/gone"}),
        ({"endpoint": "GET /fast"}, {"/fast"}),
        ({"reason": "slow"}, {"/slow"}),
        ({"statement": of_statement(BOOKS)}, {"/slow"}),
        ({"trace_id": hexadecimal(slow)}, {"/slow"}),
    ):
        found = set(re.findall(r'<span class="mono">(/\w+)</span>', await part("traces", **query)))
        assert found == wanted, query


async def test_pages_go_on_and_back(write: Write, part: Part, now: float) -> None:
    await write(*(kept(now - 100 + number, route=f"/n{number:02}") for number in range(60)))
    first = await part("traces")
    before = re.search(r'data-state="before=([^"]+)"', first)
    assert before is not None
    second = await part("traces", before=before[1])
    assert re.findall(r"/n\d\d(?=</span>)", first) == [f"/n{number:02}" for number in range(59, 9, -1)]
    assert re.findall(r"/n\d\d(?=</span>)", second) == [f"/n{number:02}" for number in range(9, -1, -1)]
    assert "Back to the newest" in second


@pytest.mark.parametrize("query", [{"min_duration": "soon"}, {"status": "9xx"}, {"before": "x"}, {"trace_id": "x"}])
async def test_what_makes_no_sense_is_said(part: Part, query: dict[str, str]) -> None:
    assert "data-problem=" in await part("traces", 422, **query)


async def test_the_slowest_of_an_endpoint_are_below_its_row(write: Write, part: Part, now: float) -> None:
    quick, slow = kept(now - 20, seconds=0.1), kept(now - 50, seconds=0.9)
    await write(slow, quick, kept(now - 30, route="/other"))
    endpoint = identify(("GET", "/books/{id}"))
    text = await part("examples", endpoint=endpoint, range="15m", status="500")
    assert re.findall(r"traces/([0-9a-f]{32})", text) == [hexadecimal(slow), hexadecimal(quick)]
    assert "view=errors" in text and f"endpoint={endpoint}" in text


async def test_an_opened_endpoint_asks_for_its_traces(process: Process, now: float, client: httpx.AsyncClient) -> None:
    await process.live(now - 600, now, lambda recorder: request(recorder, "/books/{id}", 0.1))
    query = {"endpoint": identify(("GET", "/books/{id}"))}
    text = (await client.get("/ui/monitoring/cards/endpoints", params=query)).text
    assert 'hx-get="/ui/monitoring/parts/examples"' in text


async def test_errors_are_by_group_with_their_stack(write: Write, part: Part, now: float) -> None:
    stack = 'File "shop.py", line 3\nValueError: no price'
    example = kept(now - 60, status=500, error="ValueError", error_group="ab12")
    counted = ErrorCount("ab12", "ValueError", "shop:price", "no price", stack, now - 300, now - 60, 7)
    await write(example, errors=[counted])
    text = await part("errors")
    assert "ValueError shop:price" in seen(text) and stack.splitlines()[0] in seen(text)
    assert re.search(r'data-label="Count">7<', text)
    assert "error_group=ab12" in text


async def test_nothing_runs_for_long(part: Part) -> None:
    assert "No request has been running for longer than two seconds." in seen(await part("pending"))


def rows(text: str) -> list[str]:
    """The rows of a waterfall as text."""
    lines = re.split(r'<div class="row ', text.partition('class="legend"')[0])[1:]
    return [seen(re.split(r'<div class="details">', line)[0].partition(">")[2]) for line in lines]


async def test_similar_statements_are_one_row_until_it_is_opened(write: Write, part: Part, now: float) -> None:
    many = [child("SELECT books", 0.02 * number, 0.02 * number + 0.019, statement()) for number in range(26)]
    trace = kept(now - 60, *many, seconds=0.8)
    await write(trace)
    closed = await part(f"traces/{hexadecimal(trace)}")
    assert "26 similar statements (SELECT books) take 62 % of this request" in seen(closed)
    assert len(rows(closed)) == 2 and rows(closed)[1].startswith(f"26 similar statements, 62 % of this request {BOOKS}")
    opened = await part(f"traces/{hexadecimal(trace)}", open="g0")
    assert len(rows(opened)) == 28
    assert 'data-state="open="' in opened


async def test_log_lines_stand_at_their_time(write: Write, part: Part, now: float) -> None:
    trace = kept(now - 60, child("first", 0.01, 0.02), child("second", 0.05, 0.06), seconds=0.1)
    lines = [said(now - 60 + 0.03, "between", trace), said(now - 60 + 0.07, "after", trace, severity=17, level="ERROR")]
    await write(trace, logs=lines)
    text = await part(f"traces/{hexadecimal(trace)}")
    assert [row.split()[0] for row in rows(text)] == ["GET", "first", "INFO", "second", "ERROR"]
    assert 'class="row log-row is-critical"' in text


async def test_many_calm_lines_are_one_row_and_a_finding_is_not_hidden(write: Write, part: Part, now: float) -> None:
    trace = kept(now - 60, child("work", 0.05, 0.06), seconds=0.1)
    calm = [said(now - 60 + number / 1000, f"calm {number}", trace) for number in range(10)]
    loud = [said(now - 60 + 0.07 + number / 1000, f"loud {number}", trace, severity=13) for number in range(10)]
    await write(trace, logs=[*calm, *loud])
    text = await part(f"traces/{hexadecimal(trace)}")
    assert "10 log lines" in rows(text) and sum("loud" in row for row in rows(text)) == 10
    assert sum("calm" in row for row in rows(await part(f"traces/{hexadecimal(trace)}", open="l1"))) == 10


async def test_what_is_below_a_span_can_be_folded(write: Write, part: Part, now: float) -> None:
    outer = child("outer", 0.01, 0.09, kind="internal")
    trace = kept(now - 60, outer, child("inner", 0.02, 0.03, parent_id=outer.span_id))
    await write(trace)
    folded = await part(f"traces/{hexadecimal(trace)}", fold=f"{outer.span_id:016x}")
    assert [row.split()[0] for row in rows(folded)] == ["GET", "outer"]
    assert 'data-fold="closed"' in folded


async def test_a_large_trace_is_cut_and_goes_on(write: Write, part: Part, now: float) -> None:
    many = [child(f"step {number}", number / 1000, (number + 0.5) / 1000, kind="internal") for number in range(700)]
    trace = kept(now - 60, *many, seconds=0.8)
    await write(trace)
    text = await part(f"traces/{hexadecimal(trace)}")
    assert len(rows(text)) == 300 and "401 rows are left out" in seen(text)
    assert len(rows(await part(f"traces/{hexadecimal(trace)}", rows="600"))) == 600
    assert len(rows(await part(f"traces/{hexadecimal(trace)}", rows="x"))) == 300


async def test_what_is_not_here_is_said(write: Write, part: Part, now: float) -> None:
    trace = kept(now - 60, parent_id=77, dropped_spans=3)
    await write(trace)
    text = seen(await part(f"traces/{hexadecimal(trace)}"))
    assert "1 parent span not here" in text and "parent not here" in text
    assert "3 spans more found no room" in text


async def test_a_trace_that_was_not_kept_has_its_lines(write: Write, part: Part, now: float) -> None:
    trace = kept(now - 60)
    await write(logs=[said(now - 60, "only a line", trace)])
    text = seen(await part(f"traces/{hexadecimal(trace)}"))
    assert "This trace was not kept" in text and "only a line" in text
    assert "no log lines with its id" in seen(await part("traces/" + "ab" * 16))


async def test_what_is_no_trace_id_is_not_found(client: httpx.AsyncClient, part: Part) -> None:
    assert (await client.get("/ui/monitoring/traces/nonsense")).status_code == 404
    assert "data-problem" in await part("traces/nonsense", 404)


async def test_hostile_names_stay_text(write: Write, part: Part, now: float) -> None:
    spans = [child(EVIL, 0.01, 0.02, statement(f"SELECT '{EVIL}'", **{EVIL: EVIL})) for _ in range(6)]
    trace = kept(now - 60, *spans, route="/" + EVIL, error=EVIL, status=500, error_group="e1", reason=EVIL)
    line = said(now - 60 + 0.05, EVIL, trace, logger=EVIL, level=EVIL, fields={EVIL: EVIL}, exception=EVIL)
    await write(trace, logs=[line], errors=[ErrorCount("e1", EVIL, EVIL, EVIL, EVIL, now - 60, now - 60, 1)])
    for name, query in (
        ("traces", {}),
        ("errors", {"endpoint": EVIL}),
        (f"traces/{hexadecimal(trace)}", {"open": "g0"}),
        ("examples", {"endpoint": identify(("GET", "/" + EVIL))}),
    ):
        text = await part(name, **query)
        found = Elements(text)
        assert not found.names & {"script", "img"}, name
        assert not {one for one in found.attributes if one.startswith("on") or one == "style"}
        assert "alert(1)" in text and "{{7*7}}" in found.text
        assert "\x1b" not in text and "\u202e" not in text


@pytest.mark.parametrize("path", ["traces", "traces?view=errors", "traces/" + "ab" * 16, "incidents", "incidents/x"])
async def test_a_page_has_its_frame_and_nothing_inline(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/ui/monitoring/{path}")
    assert answer.status_code == 200
    assert not re.search(r"\sstyle\s*=|\son\w+\s*=\s*[\"']", answer.text)
    assert "data-card=" in answer.text


async def test_strangers_are_led_to_the_login(stranger: httpx.AsyncClient) -> None:
    for path in ("traces", "traces/" + "ab" * 16, "parts/traces", "parts/pending", "incidents", "parts/incidents"):
        answer = await stranger.get(f"/ui/monitoring/{path}")
        assert answer.status_code == 303 and "/login?next=" in answer.headers["location"]


def test_ticks_are_round_and_within_the_trace() -> None:
    assert ticks(0.87) == [(0.0, "0"), (22.989, "200 ms"), (45.977, "400 ms"), (68.966, "600 ms"), (91.954, "800 ms")]
    assert ticks(0.0) == [(0.0, "0")]
    assert all(0 <= place <= 100 for place, _ in ticks(1e-6))


def test_what_runs_comes_before_what_never_ended() -> None:
    began = datetime(2026, 3, 4, tzinfo=UTC)

    def running(state: Literal["running", "never_ended"], number: int) -> PendingRequest:
        return PendingRequest(
            state=state,
            trace_id="ab" * 16,
            span_id=f"{number:016x}",
            name="GET /a",
            method="GET",
            route="/a",
            started_at=began,
            seen_at=began,
            seconds=12.0,
            spans=1,
            service="shop",
            instance="i-1",
            host="host-a",
            pid=7,
            last_seen=began,
        )

    requests = [running("never_ended", 1), running("running", 2)]
    window = TimeWindow(start=began, end=began)
    answer = PendingAnswer(
        card="pending", title="Running now", sentence="One.", window=window, requests=requests, more=False
    )
    view = pending.view(answer)
    assert [(one.lost, str(one.duration)) for one in view.rows] == [(False, "12\xa0s"), (True, "12\xa0s")]
