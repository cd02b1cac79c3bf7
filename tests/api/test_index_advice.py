"""Slow statements get the index that would help them, and indexes that do not serve are named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from support.databases import execute
from support.past import Process, browser, log_in, request
from support.shop_tables import SHOP
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.slow_captures import SlowStatement
from watchglass.jobs.plans import explained_as_kept
from watchglass.redaction import sql_shape
from watchglass.store.connection import connect
from watchglass.store.explain import Explainer
from watchglass.store.plans import KeptPlan, keep

HOUR = 3600.0
SLOW = "SELECT * FROM orders WHERE reference = $1"
MASKED = "SELECT * FROM customers WHERE lower(email) = ? LIMIT ?"
ADVICE = "/performance/optimize/suggestions"
INDEXES = "/performance/database/indexes"

Start = Callable[..., Process]


def called(recorder: Recorder, text: str, seconds: float, times: int = 1) -> None:
    values = ("postgresql", text.split(maxsplit=1)[0], "summary", text, None, None)
    for _ in range(times):
        recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(seconds)


async def ask(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_slow_statement_gets_its_index_by_its_shape_alone(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(store_url, SHOP)

    def act(recorder: Recorder) -> None:
        called(recorder, SLOW, 2.0, 3)
        called(recorder, MASKED, 1.5)
        called(recorder, "UPDATE orders SET reference = $1 WHERE reference = $2", 0.5)
        called(recorder, "UPDATE orders SET total = $1", 0.3)
        called(recorder, "SELECT * FROM missing WHERE id = $1", 0.1)
        called(recorder, "SELECT " + "x" * 30 + "…", 0.01)

    await process(now - HOUR).live(now - HOUR, now, act)
    answer = await ask(api, ADVICE)
    assert answer["looked_at"] == 6
    slow, masked, update, of_all, missing, cut = answer["statements"]
    [index] = slow["indexes"]
    assert slow["fingerprint"] == of_statement(SLOW)
    assert index["statement"] == "CREATE INDEX CONCURRENTLY ON public.orders (reference)"
    assert index["sentence"].startswith(f"estimated: cost {slow['cost']:,.0f} -> ")
    assert "HypoPG" in slow["note"] and slow["how"] == "generic"
    assert index["size_bytes"] >= index["least_size_bytes"] > 1_000_000 and "INSERT" in index["writes"]
    assert index["sentence"].endswith(f", about {index['size']}")
    assert [one["keys"] for one in masked["indexes"]] == [["lower(email)"]]
    [found] = update["indexes"]
    assert found["statement"] == index["statement"] and "The statement itself changes reference." in found["writes"]
    assert (of_all["indexes"], of_all["cost"]) == ([], None) and "not a statement that looks" in of_all["note"]
    assert "42P01" in missing["note"]
    assert "cut off" in cut["note"]
    assert answer["sentence"] == "6 statements looked at: there is advice for 3."


async def test_once_an_advised_index_is_there_before_and_since_are_told(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(store_url, SHOP)
    one, half = process(now - HOUR), now - HOUR / 2
    await one.live(now - HOUR, half, lambda recorder: called(recorder, SLOW, 2.0, 3))
    [advised] = (await ask(api, ADVICE))["statements"][0]["indexes"]
    assert (await ask(api, ADVICE))["built"] == []
    execute(store_url, advised["statement"])
    answer = await ask(api, ADVICE)
    assert answer["statements"][0]["indexes"] == []
    [built] = answer["built"]
    assert (built["statement"], built["before"]["calls"]) == (advised["statement"], 90)
    assert built["before"]["p95"] == pytest.approx(2.0, rel=0.03)
    assert "not called since" in built["sentence"]

    execute(store_url, f"UPDATE watchglass.advice SET built_at = to_timestamp({half})")
    await one.live(half, now, lambda recorder: called(recorder, SLOW, 0.01, 5))
    [built] = (await ask(api, ADVICE))["built"]
    assert built["after"]["calls"] == 150
    assert built["after"]["p95"] == pytest.approx(0.01, rel=0.03)
    assert built["sentence"] == "P95 was 2 s before the index, and is 10 ms since, of 150 calls."

    execute(store_url, "DROP INDEX orders_reference_idx")
    answer = await ask(api, ADVICE)
    assert answer["built"] == []
    assert [index["statement"] for index in answer["statements"][0]["indexes"]] == [advised["statement"]]


async def test_what_a_plan_for_any_parameters_does_not_tell_that_of_a_slow_execution_does(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(store_url, SHOP)
    text = "SELECT id FROM events WHERE payload @> $1"
    await process(now - HOUR).live(now - HOUR, now, lambda recorder: called(recorder, text, 2.0))
    [one] = (await ask(api, ADVICE))["statements"]
    assert (one["indexes"], one["how"]) == ([], "generic")
    explained = await Explainer(store_url).explain(text, ['{"sku": 77}'])
    assert explained.plan
    kept = KeptPlan.of("shop", of_statement(text), explained.plan, explained.how, explained.server_version)
    connection = await connect(store_url)
    await keep(connection, kept, datetime.now(UTC))
    await connection.close()
    [one] = (await ask(api, ADVICE))["statements"]
    [index] = one["indexes"]
    assert index["statement"] == "CREATE INDEX CONCURRENTLY ON public.events USING gin (payload jsonb_path_ops)"
    assert (one["how"], index["basis"]) == ("parameters", "estimated") and "slow execution" in one["note"]


async def test_an_index_that_that_of_another_statement_serves_too_says_so(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(store_url, SHOP)

    def act(recorder: Recorder) -> None:
        called(recorder, "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 10", 2.0)
        called(recorder, "SELECT total FROM orders WHERE customer_id = $1", 1.0)

    await process(now - HOUR).live(now - HOUR, now, act)
    longer, shorter = (await ask(api, ADVICE))["statements"]
    assert longer["indexes"][0]["keys"] == ["customer_id", "created_at"] and longer["indexes"][0]["within"] is None
    assert shorter["indexes"][0]["keys"] == ["customer_id"]
    assert shorter["indexes"][0]["within"] == longer["indexes"][0]["statement"]


async def test_where_a_pattern_has_its_wildcards_is_known_from_a_slow_execution(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(store_url, SHOP)
    sent = "SELECT * FROM customers WHERE name LIKE $1"
    await process(now - HOUR).live(now - HOUR, now, lambda recorder: called(recorder, sql_shape(sent), 2.0))
    [one] = (await ask(api, ADVICE))["statements"]
    assert one["indexes"] == []
    fingerprint = of_statement(sql_shape(sent))
    slow = SlowStatement(fingerprint, sent, ("%c81e728d9d%",), 2.0, None, None, 0.0)
    kept, _ = await explained_as_kept(Explainer(store_url), slow, "shop")
    assert kept is not None and "c81e" not in str(kept.plan)
    connection = await connect(store_url)
    await keep(connection, kept, datetime.now(UTC))
    await connection.close()
    [one] = (await ask(api, ADVICE))["statements"]
    [index] = one["indexes"]
    assert index["statement"] == "CREATE INDEX CONCURRENTLY ON public.customers USING gin (name public.gin_trgm_ops)"
    assert index["extension"] == "pg_trgm"


async def test_what_changes_rows_is_advised_on_by_the_plan_of_a_slow_execution_too(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(store_url, SHOP)
    sent = "DELETE FROM events WHERE payload @> $1"
    await process(now - HOUR).live(now - HOUR, now, lambda recorder: called(recorder, sent, 2.0))
    slow = SlowStatement(of_statement(sent), sent, ('{"sku": 77}',), 2.0, None, None, 0.0)
    kept, _ = await explained_as_kept(Explainer(store_url), slow, "shop")
    assert kept is not None
    connection = await connect(store_url)
    await keep(connection, kept, datetime.now(UTC))
    await connection.close()
    [one] = (await ask(api, ADVICE))["statements"]
    assert [index["keys"] for index in one["indexes"]] == [["payload jsonb_path_ops"]]


async def test_an_index_of_a_table_with_partitions_is_found_once_it_is_whole(
    api: httpx.AsyncClient, process: Start, store_url: str, now: float
) -> None:
    execute(
        store_url,
        "CREATE TABLE visits (place int, at date) PARTITION BY RANGE (at)",
        "CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM (MINVALUE) TO ('2025-01-01')",
        "CREATE TABLE visits_new PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO (MAXVALUE)",
        "INSERT INTO visits SELECT i % 20000, '2024-01-01'::date + i % 700 FROM generate_series(1, 100000) i",
        "ANALYZE visits",
    )
    text = "SELECT * FROM visits WHERE place = $1"
    await process(now - HOUR).live(now - HOUR, now, lambda recorder: called(recorder, text, 2.0))
    [one] = (await ask(api, ADVICE))["statements"]
    [index] = one["indexes"]
    steps = index["statement"].split(";\n")
    assert len(steps) == 5 and sum("CONCURRENTLY" in step for step in steps) == 2
    execute(store_url, *steps)
    answer = await ask(api, ADVICE)
    assert answer["statements"][0]["indexes"] == []
    assert [built["statement"] for built in answer["built"]] == [index["statement"]]


async def test_one_statement_can_be_asked_for_and_the_rest_is_counted(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    def act(recorder: Recorder) -> None:
        for number in range(4):
            called(recorder, f"SELECT {number}", 1.0 + number)

    await process(now - HOUR).live(now - HOUR, now, act)
    answer = await ask(api, ADVICE, limit=1)
    assert (answer["looked_at"], answer["more"]) == (1, 3)
    answer = await ask(api, ADVICE, fingerprint=of_statement("SELECT 2"))
    assert [one["text"] for one in answer["statements"]] == ["SELECT 2"]
    answer = await ask(api, ADVICE, fingerprint="0" * 16)
    assert (answer["statements"], answer["missing"]["reason"]) == ([], "No statements were recorded in this window.")


async def test_a_statement_that_each_request_sends_many_times_is_told(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    def act(recorder: Recorder) -> None:
        request(recorder, "/orders", 0.2, times=2)
        for text, times in (("SELECT name FROM customers WHERE id = $1", 40), ("SELECT 1", 2)):
            called(recorder, text, 0.004, times)
            spent = ("GET", "/orders", None, "postgresql", "summary", text)
            found = dict(zip(meters.HTTP_SERVER_BUDGET.attributes, [None] * 20, strict=False))
            found |= {"http.request.method": "GET", "http.route": "/orders", "watchglass.budget.component": spent[3]}
            found |= {"db.query.text": text}
            recorder.counter(meters.HTTP_SERVER_BUDGET, tuple(found.values())).add(0.004 * times)

    await process(now - HOUR).live(now - HOUR, now, act)
    many, once = (await ask(api, ADVICE))["statements"]
    assert [one["kind"] for one in many["rewrites"]] == ["n_plus_one"]
    assert "called 20 times in a request" in many["rewrites"][0]["sentence"]
    assert once["rewrites"] == []


async def test_indexes_that_another_makes_superfluous_are_named(api: httpx.AsyncClient, store_url: str) -> None:
    execute(
        store_url,
        'CREATE TABLE "Orders" (id int PRIMARY KEY, customer int, paid date, code text UNIQUE)',
        'CREATE INDEX by_customer ON "Orders" (customer)',
        'CREATE INDEX by_customer_and_day ON "Orders" (customer, paid)',
        'CREATE INDEX by_code ON "Orders" (code)',
    )
    answer = await ask(api, INDEXES)
    assert answer["indexes"] == 5 and answer["unused"] == []
    assert "less than a week" in answer["sentence"]
    found = {one["name"]: one for one in answer["duplicates"]}
    assert set(found) == {"by_customer", "by_code"}
    assert found["by_customer"]["serving"] == "by_customer_and_day"
    assert found["by_customer"]["table"] == 'public."Orders"'
    assert found["by_code"]["statement"] == "DROP INDEX CONCURRENTLY public.by_code"
    assert "replica" in answer["caveat"]


async def test_without_a_database_of_the_service_that_is_said() -> None:
    from watchglass.settings import Settings

    made = Context(Settings(service_name="shop"))
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        for path in (ADVICE, INDEXES):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert "DATABASE_URL" in answer.json()["error"]


async def test_nobody_is_told_without_a_login(context: Callable[..., Context]) -> None:
    async with browser(create_app(context())) as client:
        for path in (ADVICE, INDEXES):
            assert (await client.get(path)).status_code in (303, 401)
