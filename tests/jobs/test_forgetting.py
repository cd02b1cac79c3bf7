"""Of incidents, error groups, what never ended, statements and plans the newest stay, for as long as was asked."""

from __future__ import annotations

from support.databases import execute, run
from support.pipelines import fetch
from watchglass.jobs.forgetting import (
    MOST_ADVICE,
    MOST_ENDINGS,
    MOST_PLAN_EVENTS,
    MOST_PLANS,
    MOST_PLANS_EACH,
    MOST_STATEMENTS,
    forget,
)
from watchglass.settings import Settings
from watchglass.store.connection import connect

INCIDENT = """
    INSERT INTO watchglass.incidents (
        id, time, service_name, instance_id, reason, title, window_start, window_end, content
    )
    SELECT
        '{service}-{reason}-' || n, now() - n * interval '{age}', '{service}', 1, '{reason}', '', now(), now(), '{{}}'
    FROM generate_series(1, {number}) AS n
"""


def forgets(store_url: str, **settings: object) -> None:
    async def work() -> None:
        connection = await connect(store_url)
        try:
            await forget(connection, Settings(service_name="shop", **settings))  # type: ignore[arg-type]
        finally:
            await connection.close()

    run(work())


def left(store_url: str, of: str = "incidents") -> dict[str, int]:
    rows = fetch(store_url, f"SELECT service_name || ' ' || reason AS name, count(*) FROM watchglass.{of} GROUP BY 1")
    return {row["name"]: row["count"] for row in rows}


def test_the_newest_incidents_stay_and_few_that_deploys_left(store_url: str) -> None:
    for service, reason, number in (("shop", "error_burst", 30), ("shop", "sigterm", 50), ("other", "sigterm", 50)):
        execute(store_url, INCIDENT.format(service=service, reason=reason, age="1 minute", number=number))
    forgets(store_url)
    assert left(store_url) == {"shop error_burst": 30, "shop sigterm": MOST_ENDINGS, "other sigterm": 50}
    newest = {
        row["id"] for row in fetch(store_url, "SELECT id FROM watchglass.incidents WHERE id LIKE 'shop-sigterm-%'")
    }
    assert newest == {f"shop-sigterm-{number}" for number in range(1, MOST_ENDINGS + 1)}
    forgets(store_url, max_incidents=25)
    assert sum(number for name, number in left(store_url).items() if name.startswith("shop")) == 25


def test_incidents_leave_after_so_many_days(store_url: str) -> None:
    execute(store_url, INCIDENT.format(service="shop", reason="by_hand", age="1 day", number=100))
    forgets(store_url)
    assert left(store_url) == {"shop by_hand": 89}
    forgets(store_url, retention_incidents_days=10)
    assert left(store_url) == {"shop by_hand": 9}


def test_error_groups_and_requests_that_never_ended_leave_with_the_traces(store_url: str) -> None:
    execute(
        store_url,
        """
        INSERT INTO watchglass.error_groups
        SELECT 'shop', n::text, 'E', '', '', '', now() - interval '99 days', now() - n * interval '1 day', 1, NULL
        FROM generate_series(1, 20) AS n
        """,
        """
        INSERT INTO watchglass.pending
        SELECT 1, '\\x01', int8send(n), '', NULL, NULL, now(), now() - n * interval '1 day', '[]'
        FROM generate_series(1, 20) AS n
        """,
    )
    forgets(store_url, retention_records_days=5)
    assert len(fetch(store_url, "SELECT FROM watchglass.error_groups")) == 4
    assert len(fetch(store_url, "SELECT FROM watchglass.pending")) == 4


def test_both_are_bounded_in_number(store_url: str) -> None:
    execute(
        store_url,
        """
        INSERT INTO watchglass.error_groups
        SELECT 'shop', n::text, 'E', '', '', '', now(), now() - n * interval '1 second', 1, NULL
        FROM generate_series(1, 1500) AS n
        """,
        """
        INSERT INTO watchglass.pending
        SELECT 1, '\\x01', int8send(n), '', NULL, NULL, now(), now() - n * interval '1 second', '[]'
        FROM generate_series(1, 1500) AS n
        """,
    )
    forgets(store_url)
    groups = {int(row["id"]) for row in fetch(store_url, "SELECT id FROM watchglass.error_groups")}
    assert groups == set(range(1, 1001))
    assert len(fetch(store_url, "SELECT FROM watchglass.pending")) == 1000


STATEMENTS = """
    INSERT INTO watchglass.statements (service_name, fingerprint, database, text, last_seen)
    SELECT 'shop', n::text, 'shop', 'SELECT', now() - n * interval '{age}' FROM generate_series(1, {number}) AS n
"""
PLANS = """
    INSERT INTO watchglass.plans (service_name, fingerprint, shape, plan, how, cost, server_version, seen_at)
    SELECT 'shop', (n % {statements})::text, n::text, '{{}}', 'generic', 1, '18', now() - n * interval '{age}'
    FROM generate_series(1, {number}) AS n
"""
EVENTS = """
    INSERT INTO watchglass.plan_events
    SELECT now() - n * interval '{age}', 'shop', 'f', 'a', 'b', '' FROM generate_series(1, {number}) AS n
"""
ADVICE = """
    INSERT INTO watchglass.advice (service_name, id, fingerprint, statement, verified, updated_at)
    SELECT 'shop', n::text, 'f', 'CREATE INDEX', true, now() - n * interval '{age}'
    FROM generate_series(1, {number}) AS n
"""
OF_STATEMENTS = ("statements", "plans", "plan_events", "advice")


def rows_of(store_url: str) -> list[int]:
    return [fetch(store_url, f"SELECT count(*) FROM watchglass.{table}")[0]["count"] for table in OF_STATEMENTS]


def test_what_is_known_of_statements_leaves_with_their_hourly_figures(store_url: str) -> None:
    for table in (STATEMENTS, PLANS, EVENTS, ADVICE):
        execute(store_url, table.format(age="1 day", number=60, statements=10))
    forgets(store_url)
    assert rows_of(store_url) == [29] * 4
    forgets(store_url, retention_metrics_days=5)
    assert rows_of(store_url) == [4] * 4


def test_what_is_known_of_statements_is_bounded_in_number(store_url: str) -> None:
    for table in (STATEMENTS, PLANS, EVENTS, ADVICE):
        execute(store_url, table.format(age="1 second", number=6000, statements=150))
    forgets(store_url)
    assert rows_of(store_url) == [MOST_STATEMENTS, MOST_PLANS, MOST_PLAN_EVENTS, MOST_ADVICE]
    newest = fetch(store_url, "SELECT min(n), max(n) FROM (SELECT shape::int AS n FROM watchglass.plans) AS kept")[0]
    assert tuple(newest) == (1, MOST_PLANS)


def test_of_one_statement_few_plans_stay(store_url: str) -> None:
    execute(store_url, PLANS.format(age="1 second", number=100, statements=1))
    execute(store_url, PLANS.replace("'shop'", "'other'").format(age="1 second", number=5, statements=1))
    forgets(store_url)
    kept = fetch(store_url, "SELECT service_name AS name, count(*) FROM watchglass.plans GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in kept] == [("other", 5), ("shop", MOST_PLANS_EACH)]
