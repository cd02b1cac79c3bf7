"""Plans as JSON: read by anyone who was let in, made by running the statement by admins alone, who are written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio

from support.databases import execute
from support.past import browser, log_in
from support.pipelines import fetch, process, until
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.plans import ASIDE, NO_PARAMETERS, ONLY_QUERIES
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.slow_captures import SlowCaptures
from watchglass.jobs.plans import Plans
from watchglass.store.explain import NEEDS_ROLE

TEXT = "SELECT * FROM orders WHERE customer = $1 AND note <> 'swordfish'"
FINGERPRINT = of_statement(TEXT.replace("'swordfish'", "?"))
OF_STATEMENT = f"/api/monitoring/postgres/statements/{FINGERPRINT}"


@pytest_asyncio.fixture
async def made(context: Callable[..., Context], store_url: str) -> AsyncIterator[Context]:
    """A process that captures plans, and may run statements."""
    execute(
        store_url,
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, note text)",
        "INSERT INTO orders SELECT i, i % 1000, 'note ' || i FROM generate_series(1, 20000) i",
        "ANALYZE orders",
    )
    made = context(explain_database_url=store_url)
    pipeline = Pipeline(made.settings, process(), list)
    made.plans = Plans(made.settings, SlowCaptures(1.0), pipeline)
    pipeline.run_on_loop(made.plans.run)
    pipeline.start()
    until(lambda: pipeline.status.state == "ok")
    yield made
    pipeline.stop(5.0)


@pytest_asyncio.fixture
async def client(made: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        yield client


def stored(store_url: str, how: str) -> bool:
    return bool(fetch(store_url, f"SELECT FROM watchglass.plans WHERE how = '{how}'"))


async def token(client: httpx.AsyncClient) -> dict[str, str]:
    return {"x-csrf-token": (await client.get("/api/monitoring/session")).json()["csrf_token"]}


async def test_a_captured_plan_is_shown_step_by_step(client: httpx.AsyncClient, made: Context, store_url: str) -> None:
    assert made.plans is not None
    made.plans.captures.offer(TEXT, None, (7,), 1.5, None)
    until(lambda: stored(store_url, "parameters"))
    answer = (await client.get(f"{OF_STATEMENT}/plans")).json()
    assert [(one["how"], one["seconds"]) for one in answer["plans"]] == [("parameters", 1.5)]
    assert (answer["problem"], answer["may_analyze"], answer["why_not"]) == (None, True, None)
    latest = answer["latest"]
    assert latest["sentence"].startswith("A sequential scan of orders makes up 100 % of the cost")
    assert [(step["kind"], step["relation"]) for step in latest["steps"]] == [("sequential", "orders")]
    assert latest["plan"]["Plan"]["Node Type"] == "Seq Scan"
    assert latest["text"].startswith("Seq Scan on orders")
    assert "swordfish" not in str(answer)
    one = await client.get(f"/api/monitoring/postgres/plans/{latest['id']}")
    assert one.json() == latest


async def test_an_admin_has_the_statement_run_and_is_written_down(
    client: httpx.AsyncClient, made: Context, store_url: str
) -> None:
    assert made.plans is not None
    made.plans.captures.offer(TEXT, None, (7,), 1.5, None)
    answer = await client.post(f"{OF_STATEMENT}/analyze", headers=await token(client))
    assert answer.status_code == 200, answer.text
    (step,) = answer.json()["steps"]
    assert (step["actual_rows"], step["removed"]) == (20, 19_980)
    assert "it read 20,000 rows and threw away 19,980" in answer.json()["sentence"]
    until(lambda: stored(store_url, "analyze"))
    (entry,) = fetch(store_url, "SELECT * FROM watchglass.audit WHERE action = 'explain analyze'")
    assert entry["target"] == FINGERPRINT


async def test_running_a_statement_needs_an_admin_and_their_token(
    client: httpx.AsyncClient, made: Context, store_url: str
) -> None:
    assert made.plans is not None
    made.plans.captures.offer(TEXT, None, (7,), 1.5, None)
    assert (await client.post(f"{OF_STATEMENT}/analyze")).status_code == 403
    async with browser(create_app(made)) as viewer:
        await log_in(viewer, made, role="viewer")
        assert (await viewer.post(f"{OF_STATEMENT}/analyze", headers=await token(viewer))).status_code == 403
    async with browser(create_app(made)) as stranger:
        assert (await stranger.post(f"{OF_STATEMENT}/analyze")).status_code in (401, 403)
        assert (await stranger.get(f"{OF_STATEMENT}/plans")).status_code == 401
    assert not stored(store_url, "analyze")
    assert not fetch(store_url, "SELECT FROM watchglass.audit WHERE action = 'explain analyze'")


async def test_without_parameters_it_says_what_is_needed(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{OF_STATEMENT}/analyze", headers=await token(client))
    assert answer.status_code == 409
    assert NO_PARAMETERS in answer.text
    answer = (await client.get(f"{OF_STATEMENT}/plans")).json()
    assert (answer["plans"], answer["latest"], answer["why_not"]) == ([], None, NO_PARAMETERS)


async def test_without_the_role_or_beside_the_service_it_says_so(context: Callable[..., Context]) -> None:
    made = context()
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        assert (await client.get(f"{OF_STATEMENT}/plans")).json()["why_not"] == ASIDE
        made.plans = Plans(made.settings, SlowCaptures(1.0), Pipeline(made.settings, process(), list))
        assert (await client.get(f"{OF_STATEMENT}/plans")).json()["why_not"] == NEEDS_ROLE


@pytest.mark.parametrize("path", ["/plans/0", "/plans/99999999999999999999", "/plans/7", "/statements/x/plans"])
async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"/api/monitoring/postgres{path}")).status_code == 404


async def test_of_what_changes_rows_the_search_is_shown_and_it_is_not_run(
    client: httpx.AsyncClient, made: Context, store_url: str
) -> None:
    assert made.plans is not None
    text = "DELETE FROM orders WHERE customer = $1"
    made.plans.captures.offer(text, None, (7,), 1.5, None)
    until(lambda: stored(store_url, "parameters"))
    path = f"/api/monitoring/postgres/statements/{of_statement(text)}"
    answer = (await client.get(f"{path}/plans")).json()
    assert answer["latest"]["planned"] == "SELECT orders.ctid FROM orders WHERE customer = $1"
    assert (answer["may_analyze"], answer["why_not"]) == (False, ONLY_QUERIES)
    refused = await client.post(f"{path}/analyze", headers=await token(client))
    assert refused.status_code == 409 and refused.json()["error"] == ONLY_QUERIES
    answer = (await client.get(path)).json()
    assert answer["parameters"] == ["$1 int"] and answer["parameters_at"]
