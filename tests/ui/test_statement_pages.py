"""The page of a statement: its figures, plans, advice and traces, and what stands there where something is missing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from support.databases import execute
from support.past import Process, browser, log_in
from support.shop_tables import SHOP
from support.traces import Writing, child, kept, statement
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.endpoint import identify
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.slow_captures import SlowCaptures
from watchglass.jobs.plans import Plans, why_none
from watchglass.settings import Settings
from watchglass.store.connection import connect
from watchglass.store.explain import Explained
from watchglass.store.plans import KeptPlan, keep
from watchglass.ui import format
from watchglass.ui.app import add_pages

TEXT = "SELECT id, total FROM orders WHERE reference = $1"
FINGERPRINT = of_statement(TEXT)
PAGE = f"/ui/monitoring/statements/{FINGERPRINT}"
EVIL = "<script>alert(1)</script>\u202e\x1b[31m"

SCAN = {"Node Type": "Seq Scan", "Relation Name": "orders", "Filter": "(reference = $1)", "Plan Rows": 1}
LOOK = {"Node Type": "Index Scan", "Relation Name": "orders", "Index Name": "orders_ref", "Plan Rows": 1}

Part = Callable[..., Awaitable[str]]


@pytest.fixture
def part(client: httpx.AsyncClient) -> Part:
    """`await part("plan", plan="3")` is the HTML of a part of the page."""

    async def ask(name: str, fingerprint: str = FINGERPRINT, **query: Any) -> str:
        answer = await client.get(f"/ui/monitoring/parts/statements/{fingerprint}/{name}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    return ask


class Texts(HTMLParser):
    """What a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(text: str) -> str:
    """The text of a fragment, its white space as one blank."""
    return " ".join(Texts(re.sub(r"</(t[hd]|p|dt|dd|li|span)>", " ", text)).text.split())


def sent(
    recorder: Recorder, seconds: float, times: int = 1, error: str | None = None, text: str = TEXT, lag: float = 0.0
) -> None:
    histogram = recorder.histogram(
        meters.DB_CLIENT_OPERATION_DURATION, ("postgresql", "SELECT", "SELECT orders", text, None, error)
    )
    for _ in range(times):
        histogram.record(seconds)
    waited = ("GET", "/orders/{reference}", "postgresql", "SELECT orders", text)
    recorder.counter(meters.HTTP_SERVER_BUDGET, waited).add(seconds * times - lag)


def counted(recorder: Recorder, *figures: float) -> None:
    for meter, figure in zip(meters.OF_STATEMENTS, figures, strict=False):
        recorder.counter(meter, (FINGERPRINT,)).add(figure)


async def hours(process: Process, now: float, first: Callable[..., None], second: Callable[..., None]) -> None:
    await process.live(now - 7200, now - 3600, first, every=600.0)
    await process.live(now - 3600, now, second, every=600.0)


async def planned(store_url: str, root: dict[str, Any], how: Any = "parameters", **more: Any) -> int:
    plan = {"Plan": {"Total Cost": 100.0, **root}, **more}
    connection = await connect(store_url)
    try:
        one = KeptPlan.of("shop", FINGERPRINT, plan, how, "18.6", seconds=0.35, trace_id=b"\x01" * 16)
        return await keep(connection, one, datetime.now(UTC))
    finally:
        await connection.close()


async def test_both_sides_are_shown_beside_the_hour_before(
    process: Process, now: float, part: Part, store_url: str
) -> None:
    row = f"('shop', '{FINGERPRINT}', -7, 'shop', '{TEXT}')"
    into = "watchglass.statements (service_name, fingerprint, queryid, database, text)"
    execute(store_url, f"INSERT INTO {into} VALUES {row}")

    def before(recorder: Recorder) -> None:
        sent(recorder, 0.1, 10)
        counted(recorder, 10, 0.9, 100, 500, 500)

    def after(recorder: Recorder) -> None:
        sent(recorder, 0.3, 10)
        sent(recorder, 0.3, 5, "57014")
        sent(recorder, 0.3, 2, "TimeoutError")
        counted(recorder, 10, 2.9, 100, 100, 900)

    await hours(process, now, before, after)
    figures = seen(await part("figures"))
    assert "P95 300 ms 100 ms 3 times" in figures
    assert "Calls 102 60 +70 %" in figures
    assert "Errors 42 0" in figures and "timeouts 12 0" in figures and "cancelled 30 0" in figures
    assert "57014 query canceled 30" in figures and "TimeoutError 12" in figures
    assert f"Blocks in cache 10 % 50 % {format.MINUS}40 points" in figures
    assert "Blocks read 5,400 3,000 +80 %" in figures and "Rows per call 10 10" in figures
    top = await part("statement")
    assert "42 failed, most with 57014 (query canceled). P95 is 300 ms, 3 times an hour ago." in seen(top)
    assert 'class="says level-critical"' in top
    assert "PostgreSQL counts neither calls that failed nor their time." in figures
    endpoint = identify(("GET", "/orders/{reference}"))
    assert f'href="/ui/monitoring/advanced?endpoint={endpoint}"' in top and "queryid -7" in seen(top)
    assert "an hour ago" not in await part("figures", compare="none")


async def test_why_callers_waited_less_than_calls_took_is_said_where_it_is_notable(
    process: Process, now: float, part: Part
) -> None:
    def before(recorder: Recorder) -> None:
        sent(recorder, 0.1, 10)

    def after(recorder: Recorder) -> None:
        sent(recorder, 0.1, 3, lag=0.1)

    await hours(process, now, before, after)
    assert "600 ms of 1.8 s in all is no endpoint's: the event loop's lag, what was" in seen(await part("statement"))
    start, end = (datetime.fromtimestamp(time, UTC).isoformat() for time in (now - 7200, now - 3600))
    earlier = seen(await part("statement", start=start, end=end))
    assert "60 calls took 6 s" in earlier and "is no endpoint's" not in earlier


async def test_the_trend_is_drawn_and_leads_to_its_traces(process: Process, now: float, part: Part) -> None:
    await hours(process, now, lambda recorder: None, lambda recorder: sent(recorder, 0.3, 10))
    found = re.search(r'data-chart="([^"]+)"', await part("figures"))
    assert found
    chart = json.loads(html.unescape(found[1]))
    assert [line["name"] for line in chart["lines"]] == ["P99", "P95", "P50"]
    assert {line["statement"] for line in chart["lines"]} == {FINGERPRINT}
    assert chart["thing"] == "calls" and sum(count or 0 for count in chart["samples"]) == 60


async def test_without_the_extension_it_says_what_to_do(
    process: Process, now: float, part: Part, store_url: str
) -> None:
    fact = {
        "problem": "It is not installed.",
        "remedy": "Install it:",
        "command": "CREATE EXTENSION pg_stat_statements;",
    }
    into = "watchglass.facts (service_name, name, value)"
    execute(store_url, f"INSERT INTO {into} VALUES ('shop', 'statements', '{json.dumps(fact)}')")
    await hours(process, now, lambda recorder: None, lambda recorder: sent(recorder, 0.3))
    figures = await part("figures")
    assert "PostgreSQL's own figures are missing. It is not installed. Install it:" in seen(figures)
    assert ">CREATE EXTENSION pg_stat_statements;</code>" in figures


async def test_a_plan_is_a_tree_whose_worst_step_is_named(part: Part, store_url: str) -> None:
    sort = {"Node Type": "Sort", "Sort Key": ["total"], "Plan Rows": 10, "Total Cost": 101.0}
    await planned(store_url, {**sort, "Plans": [{**SCAN, "Total Cost": 90.0, "Plan Rows": 9}]})
    plan = await part("plan")
    text = seen(plan)
    assert "A sequential scan of orders makes up 89 % of the cost; it reads every row to find those with" in text
    assert "Planned with the parameters of an execution that took 350 ms: cost 101" in text
    assert f'href="/ui/monitoring/traces/{"01" * 16}?"' in plan
    scan = plan[plan.index('id="step-1"') :]
    assert 'class="reads-all worst"' in scan and '<svg class="indent" width="16"' in scan
    assert "Seq Scan orders reads all most of the cost Filter (reference = $1) 89 %" in seen(scan)
    assert "Rows that came" not in text
    assert '"Node Type": "Seq Scan"' in html.unescape(plan) and "Sort  (own cost=11.00 rows=10)" in plan


async def test_what_an_executed_plan_wasted_is_said(part: Part, store_url: str) -> None:
    waste = {"Actual Rows": 2_000, "Actual Loops": 1, "Rows Removed by Filter": 98_000, "Total Cost": 90.0}
    disk = {"Sort Space Type": "Disk", "Sort Space Used": 2048, "Actual Rows": 2_000, "Actual Loops": 1}
    sort = {"Node Type": "Sort", "Sort Key": ["total"], "Plan Rows": 1500, **disk}
    await planned(store_url, {**sort, "Plans": [{**SCAN, **waste}]}, "analyze")
    text = seen(await part("plan"))
    assert "Executed by EXPLAIN ANALYZE in 350 ms" in text
    assert "98,000 rows read and thrown away" in text
    assert "did not fit in memory: 2 MB on disk" in text
    assert "1 2,000 2,000 times more" in text
    assert "1 rows were expected and 2,000 came: ANALYZE the table." in text


async def test_a_change_of_the_plan_is_told_and_older_plans_are_shown(part: Part, store_url: str) -> None:
    first = await planned(store_url, LOOK)
    await planned(store_url, SCAN)
    plan = await part("plan")
    changed = "a sequential scan of orders, before an index scan on orders_ref."
    assert seen(plan).count(changed) == 1 and "finding-line level-warning" in plan
    execute(store_url, "UPDATE watchglass.plan_events SET time = time - interval '2 days'")
    assert changed in seen((await part("plan")).partition("Planned anew")[2])
    older = await part("plan", plan=str(first))
    assert "Index Scan orders using orders_ref by index" in seen(older) and 'class="reads-index worst"' in older
    assert f'id="plan-{first}"' in plan and "Seq Scan orders shown with parameters" in seen(plan)
    assert "Index Scan orders_ref shown" in seen(older)
    for strange in ("999", "x", "9" * 30):
        assert "makes up 100 % of the cost; it reads every row" in seen(await part("plan", plan=strange))


async def test_without_a_plan_it_says_when_there_will_be_one(part: Part) -> None:
    plan = await part("plan")
    assert "one is asked for when this service waits longer than 1 s for it." in seen(plan)
    assert ">WATCHGLASS_SLOW_STATEMENT_SECONDS=0.1</code>" in plan


async def test_of_a_statement_that_never_has_a_plan_it_says_where_its_time_goes(
    process: Process, now: float, part: Part
) -> None:
    insert = "INSERT INTO orders (total) VALUES ($1)"

    def act(recorder: Recorder) -> None:
        for text in ("COMMIT", insert):
            sent(recorder, 0.1, 3, text=text)

    await hours(process, now, lambda recorder: None, act)
    commit = await part("plan", of_statement("COMMIT"))
    assert "COMMIT has no plan: its time is that of flushing the write-ahead log" in seen(commit)
    assert 'href="/ui/monitoring/postgresql?#health-checkpoints"' in commit
    assert "No plan yet" not in commit and "WATCHGLASS_SLOW_STATEMENT_SECONDS" not in commit
    assert "under Plan it is said where its time goes" in seen(await part("advice", of_statement("COMMIT")))
    added = await part("plan", of_statement(insert))
    assert "No plan is kept of INSERT" in seen(added) and "#superfluous" in added


async def test_why_a_statement_has_no_plan_is_said_of_it_alone(part: Part, context: Context, store_url: str) -> None:
    settings = Settings(service_name="shop", app_database_url=store_url, explain_database_url=store_url)
    captures = SlowCaptures(1.0)
    context.settings = settings
    context.plans = Plans(settings, captures, Pipeline(settings, None, list))  # type: ignore[arg-type]
    context.plans._note(of_statement("SELECT 1"), "It is not a SELECT.")
    context.plans._note(FINGERPRINT, "PostgreSQL refused to plan it: SQLSTATE 42P01.")
    assert "No plan. PostgreSQL refused to plan it: SQLSTATE 42P01." in seen(await part("plan"))
    assert "See who holds it" not in await part("plan")
    context.plans._note(FINGERPRINT, why_none(Explained("parameters", sqlstate="55P03")))
    locked = await part("plan")
    assert "so that it could not be planned. See who holds it" in seen(locked)
    assert 'href="/ui/monitoring/postgresql?#now"' in locked
    context.plans._note(FINGERPRINT, None)
    assert "No plan yet" in seen(await part("plan"))
    assert "It is not a SELECT." in seen(await part("plan", of_statement("SELECT 1")))
    captures.offer(TEXT, None, ("R1",), 2.0, None)
    plan = await part("plan")
    assert "Run it now" in plan and f'action="{PAGE}/analyze?"' in plan


async def test_an_index_is_advised_and_once_it_is_there_measured(
    process: Process, now: float, part: Part, store_url: str
) -> None:
    execute(store_url, SHOP)
    half = now - 1800
    await process.live(now - 3600, half, lambda recorder: sent(recorder, 2.0, 3), every=600.0)
    advice = await part("advice")
    [command] = re.findall(r">(CREATE INDEX [^<]+)</code>", advice)
    assert command == "CREATE INDEX CONCURRENTLY ON public.orders (reference);"
    assert "One index would make the statement" in seen(advice)
    assert "Estimated by PostgreSQL's own formulas." in seen(advice)
    assert re.search(r"Cost now [\d,]+ Cost with it [\d.]+", seen(advice))
    assert "Size about" in seen(advice) and "Writes Each INSERT" in seen(advice)
    start, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (now - 18_000, now - 14_400))
    assert re.search(r"Advised .+, and not there:", seen(await part("advice", start=start, end=end)))

    execute(store_url, command)
    assert "The index is there; the statement was not called since." in seen(await part("advice"))
    execute(store_url, f"UPDATE watchglass.advice SET built_at = to_timestamp({half})")
    await process.live(half, now, lambda recorder: sent(recorder, 0.01, 5), every=600.0)
    built = seen(await part("advice"))
    assert "P95 was 2 s before the index, and is 10 ms since, of 15 calls." in built
    assert "P95 before 2 s P95 since 10 ms" in built and re.search(r"Before: \d+ calls, 2 s on average\.", built)
    assert "Cost now" not in built


async def test_a_plan_from_before_the_index_is_said_to_be_older(part: Part, store_url: str) -> None:
    await planned(store_url, SCAN)
    assert "older than the index" not in seen(await part("plan"))
    into = "watchglass.advice (service_name, id, fingerprint, statement, verified, state, built_at, detail)"
    values = f"('shop', 'a', '{FINGERPRINT}', 'CREATE INDEX', false, 'built', now(), '{{}}')"
    execute(store_url, f"INSERT INTO {into} VALUES {values}")
    assert "This plan is older than the index that was made since." in seen(await part("plan"))


async def test_another_way_to_ask_is_shown(process: Process, now: float, part: Part, store_url: str) -> None:
    execute(store_url, SHOP)
    text = "SELECT id FROM orders ORDER BY id OFFSET 50000 LIMIT 10"
    await hours(process, now, lambda recorder: None, lambda recorder: sent(recorder, 2.0, text=text))
    assert "OFFSET" in seen(await part("advice", of_statement(text)))


async def test_without_a_parser_it_says_what_to_install(
    process: Process, now: float, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hours(process, now, lambda recorder: None, lambda recorder: sent(recorder, 2.0))
    monkeypatch.setitem(__import__("sys").modules, "sqlglot", None)
    assert ">pip install &#39;watchglass[plans]&#39;</code>" in await part("advice")


async def test_the_slowest_traces_that_ran_it_are_shown(part: Part, store_url: str, now: float) -> None:
    writing = Writing(store_url)
    slow = kept(now - 60, child("SELECT", 0.01, 0.02, statement(TEXT)), seconds=2.0, route="/slow", reason="slow")
    await writing.write(slow, kept(now - 50, route="/other"))
    await writing.close()
    ran = await part("ran")
    assert f"/ui/monitoring/traces/{slow.root.trace_id:032x}" in ran and "/other" not in ran
    assert f"/ui/monitoring/traces?statement={FINGERPRINT}" in ran
    assert "No kept trace of this window has it." in seen(await part("ran", "0" * 16))


async def test_the_page_has_every_part_and_the_whole_where_scripts_are_off(client: httpx.AsyncClient) -> None:
    page = (await client.get(PAGE, params={"range": "6h"})).text
    for name in ("statement", "advice", "plan", "figures", "ran"):
        assert f'hx-get="/ui/monitoring/parts/statements/{FINGERPRINT}/{name}"' in page
    assert '<meta http-equiv="refresh" content="0; url=?range=6h&amp;whole=1">' in page
    whole = (await client.get(PAGE, params={"range": "6h", "whole": "1"})).text
    assert "aria-busy" not in whole and "http-equiv" not in whole
    assert "Nothing is known of this statement" in seen(whole) and "No call in this window" in seen(whole)
    assert 'href="?range=24h&amp;whole=1"' in whole


@pytest.mark.parametrize("strange", ["x", "A" * 16, "0" * 15, "0" * 17])
async def test_what_is_no_fingerprint_is_not_found(client: httpx.AsyncClient, strange: str) -> None:
    for path in (f"/ui/monitoring/statements/{strange}", f"/ui/monitoring/parts/statements/{strange}/plan"):
        answer = await client.get(path)
        assert answer.status_code == 404 and "16 hexadecimal digits" in answer.text


async def test_only_admins_have_a_statement_run_and_it_is_said_why_not(context: Context, store_url: str) -> None:
    settings = Settings(service_name="shop", app_database_url=store_url, explain_database_url=store_url)
    captures = SlowCaptures(1.0)
    captures.offer(TEXT, None, ("R1",), 2.0, None)
    context.settings = settings
    context.plans = Plans(settings, captures, Pipeline(settings, None, list))  # type: ignore[arg-type]
    await planned(store_url, SCAN)
    async with browser(create_app(context, add_pages)) as viewer:
        await log_in(viewer, context, role="viewer")
        plan = (await viewer.get(f"/ui/monitoring/parts/statements/{FINGERPRINT}/plan")).text
        assert "it needs the role admin; ann is a viewer" in seen(plan) and "Run it now" not in plan
        token = (await viewer.get("/api/monitoring/session")).json()["csrf_token"]
        answer = await viewer.post(f"{PAGE}/analyze", data={"csrf_token": token})
        assert answer.status_code == 403 and "Not run" in answer.text
    async with browser(create_app(context, add_pages)) as admin:
        await log_in(admin, context)
        assert (await admin.post(f"{PAGE}/analyze")).status_code == 403
        context.plans = None
        token = (await admin.get("/api/monitoring/session")).json()["csrf_token"]
        answer = await admin.post(f"{PAGE}/analyze", data={"csrf_token": token})
        assert answer.status_code == 409 and "asked of a process of the service" in answer.text


async def test_nothing_hostile_runs_or_hides(
    process: Process, now: float, client: httpx.AsyncClient, store_url: str
) -> None:
    text = f"SELECT '{EVIL}' FROM orders WHERE a = $1 AND b = $2 AND reference = $3 AND total = {EVIL}"
    await hours(process, now, lambda recorder: None, lambda recorder: sent(recorder, 0.3, 3, EVIL, text))
    fingerprint = of_statement(text)
    root = {"Total Cost": 100.0, **SCAN, "Relation Name": EVIL, "Filter": EVIL}
    connection = await connect(store_url)
    await keep(connection, KeptPlan.of("shop", fingerprint, {"Plan": root}, "generic", EVIL), datetime.now(UTC))
    await connection.close()
    page = (await client.get(f"/ui/monitoring/statements/{fingerprint}", params={"whole": "1"})).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page and "\u202e" not in page and "\x1b" not in page
