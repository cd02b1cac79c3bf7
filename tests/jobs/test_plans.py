"""Plans of slow statements are kept as history, without values; a change is an event."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from support.databases import execute
from support.pipelines import fetch, process, until
from watchglass.analysis import explainable
from watchglass.analysis.fingerprints import of_statement
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.slow_captures import SlowCaptures
from watchglass.jobs.plans import Plans
from watchglass.settings import Settings
from watchglass.store.explain import Explainer, How
from watchglass.store.plans import KeptPlan, keep

TEXT = "SELECT * FROM orders WHERE customer = $1 AND note <> 'swordfish'"
AT = datetime(2026, 11, 25, 14, 2, tzinfo=UTC)


@pytest.fixture
def store(store_url: str) -> str:
    execute(
        store_url,
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, note text)",
        "INSERT INTO orders SELECT i, i % 1000, 'note ' || i FROM generate_series(1, 20000) i",
        "ANALYZE orders",
    )
    return store_url


@pytest.fixture
async def connection(store: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(store)
    yield connection
    await connection.close()


async def captured(connection: asyncpg.Connection[asyncpg.Record], store: str, how: How = "parameters") -> None:
    explained = await Explainer(store).explain(TEXT, [7] if how == "parameters" else None)
    assert explained.plan is not None, explained
    kept = KeptPlan.of("shop", "ab" * 8, explained.plan, how, explained.server_version, seconds=1.5, trace_id=b"x" * 16)
    await keep(connection, kept, AT)


def plans(store: str) -> list[dict[str, Any]]:
    return [dict(row) for row in fetch(store, "SELECT * FROM watchglass.plans ORDER BY id")]


def events(store: str) -> list[str]:
    return [row["sentence"] for row in fetch(store, "SELECT sentence FROM watchglass.plan_events ORDER BY time")]


async def test_the_same_plan_is_kept_once(connection: asyncpg.Connection[asyncpg.Record], store: str) -> None:
    await captured(connection, store)
    await captured(connection, store)
    (row,) = plans(store)
    assert (row["captures"], row["how"], row["seconds"]) == (2, "parameters", 1.5)
    assert row["cost"] > 100
    assert "swordfish" not in row["plan"]
    assert json.loads(row["plan"])["Plan"]["Node Type"] == "Seq Scan"
    assert events(store) == []


async def test_a_change_is_an_event_and_its_return_within_a_day_is_none(
    connection: asyncpg.Connection[asyncpg.Record], store: str
) -> None:
    await captured(connection, store)
    execute(store, "CREATE INDEX orders_customer ON orders (customer)", "ANALYZE orders")
    await captured(connection, store)
    assert len(plans(store)) == 2
    assert events(store) == ["Since 14:02 UTC a bitmap scan on orders_customer, before a sequential scan of orders."]
    execute(store, "DROP INDEX orders_customer")
    await captured(connection, store)
    assert len(events(store)) == 1
    execute(store, "CREATE INDEX orders_customer ON orders (customer)", "ANALYZE orders")
    execute(store, "UPDATE watchglass.plans SET seen_at = seen_at - interval '2 days' WHERE captures = 1")
    await captured(connection, store)
    assert len(events(store)) == 2


async def test_a_plan_for_any_parameters_is_not_compared_with_one_for_some(
    connection: asyncpg.Connection[asyncpg.Record], store: str
) -> None:
    await captured(connection, store)
    execute(store, "CREATE INDEX orders_customer ON orders (customer)", "ANALYZE orders")
    await captured(connection, store, "generic")
    assert [row["how"] for row in plans(store)] == ["parameters", "generic"]
    assert events(store) == []


@pytest.fixture
def running(store: str) -> Iterator[Plans]:
    settings = Settings(service_name="shop", app_database_url=store, flush_interval=300, explain_database_url=store)
    pipeline = Pipeline(settings, process(), list)
    running = Plans(settings, SlowCaptures(1.0), pipeline)
    pipeline.run_on_loop(running.run)
    pipeline.start()
    until(lambda: pipeline.status.state == "ok")
    yield running
    pipeline.stop(5.0)


def offer(running: Plans, store: str, text: str = TEXT, *arguments: object) -> str:
    running.captures.offer(text, None, arguments, 1.5, store.rpartition("/")[2])
    return of_statement(text.replace("'swordfish'", "?"))


def test_a_captured_statement_has_its_plan_in_the_store(running: Plans, store: str) -> None:
    fingerprint = offer(running, store, TEXT, 7)
    until(lambda: len(plans(store)) == 1)
    (row,) = plans(store)
    assert (row["service_name"], row["fingerprint"], row["how"]) == ("shop", fingerprint, "parameters")
    assert running.problem is None


def test_the_applications_thread_neither_reads_a_statement_nor_imports_what_does(
    running: Plans, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_on: list[threading.Thread] = []
    refusal = explainable.refusal

    def noted(text: str) -> str | None:
        read_on.append(threading.current_thread())
        return refusal(text)

    monkeypatch.setattr(explainable, "refusal", noted)
    offer(running, store, TEXT, 7)
    until(lambda: len(plans(store)) == 1)
    assert read_on and threading.current_thread() not in read_on


def test_why_there_is_no_plan_is_said_and_others_go_on(running: Plans, store: str) -> None:
    offer(running, store, "SELECT pg_sleep(2)")
    until(lambda: running.problem is not None)
    assert running.problem == "pg_sleep is a function of PostgreSQL's that does more than compute."
    offer(running, store, "SELECT * FROM nothing_here")
    until(lambda: "SQLSTATE 42P01. PostgreSQL does not find" in (running.problem or ""))
    offer(running, store, TEXT, 7)
    until(lambda: len(plans(store)) == 1)


def test_statements_of_another_database_are_not_explained_in_this_one(running: Plans, store: str) -> None:
    running.captures.offer(TEXT, None, (7,), 1.5, "another")
    offer(running, store, "SELECT * FROM orders WHERE id = $1", 7)
    until(lambda: len(plans(store)) == 1)
    assert "orders_pkey" in plans(store)[0]["plan"]


def test_what_the_plan_tells_of_the_statement_is_kept_without_values(running: Plans, store: str) -> None:
    fingerprint = offer(running, store, TEXT, 7)
    until(lambda: len(plans(store)) == 1)
    plan = json.loads(plans(store)[0]["plan"])
    assert plan["Parameters"] == ["$1 int"] and "Planned" not in plan
    (known,) = fetch(store, "SELECT * FROM watchglass.statements")
    assert (known["service_name"], known["fingerprint"]) == ("shop", fingerprint)
    assert known["queryid"] == plan["Query Identifier"] and known["database"] == store.rpartition("/")[2]
    assert known["text"] == TEXT.replace("'swordfish'", "?")


def test_of_what_changes_rows_the_search_for_them_is_planned(running: Plans, store: str) -> None:
    text = "UPDATE orders SET note = $1, customer = $2 WHERE id = $3 AND note <> 'swordfish'"
    fingerprint = offer(running, store, text, "sword" + "fish", 8, 7)
    until(lambda: len(plans(store)) == 1)
    (row,) = plans(store)
    assert (row["fingerprint"], row["how"], running.problem) == (fingerprint, "parameters", None)
    assert "swordfish" not in row["plan"]
    plan = json.loads(row["plan"])
    assert plan["Planned"] == "SELECT orders.ctid FROM orders WHERE id = $1 AND note <> ?"
    assert plan["Parameters"] == ["$1 text(9)", "$2 int", "$3 int"]
    assert plan["Plan"]["Node Type"] == "Index Scan"
    assert not fetch(store, "SELECT FROM watchglass.statements"), "it is the search's identifier, not the statement's"
    assert not fetch(store, "SELECT FROM orders WHERE customer = 8 AND id = 7")


async def test_what_changes_rows_is_never_run(running: Plans, store: str) -> None:
    fingerprint = offer(running, store, "DELETE FROM orders WHERE id = $1", 7)
    kept, why = await running.analyze(fingerprint)
    assert (kept, why) == (None, "Only a SELECT is explained.")
    assert fetch(store, "SELECT FROM orders WHERE id = 7")


async def test_a_statement_is_run_again_with_its_latest_parameters(running: Plans, store: str) -> None:
    fingerprint = offer(running, store, TEXT, 7)
    kept, why = await running.analyze(fingerprint)
    assert kept is not None, why
    assert kept.how == "analyze"
    assert kept.plan["Plan"]["Actual Rows"] == 20
    until(lambda: "analyze" in [row["how"] for row in plans(store)])
    assert await running.analyze("00" * 8) == (None, None)
