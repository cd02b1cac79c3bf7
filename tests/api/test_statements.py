"""Statements by impact: both sides of one are one row, a fixed one leaves, and what is missing is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from support.databases import execute
from support.past import Process
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.endpoint import identify
from watchglass.instrumentation.recorder import Recorder
from watchglass.redaction import sql_shape

HOUR = 3600.0
Start = Callable[..., Process]

SENT = "SELECT name FROM books WHERE author = $1 AND kind = 'novel'"
COUNTED = "SELECT name FROM books WHERE author = $1 AND kind = $2"
ELSEWHERE = "SELECT count(*) FROM books"
PATH = "/api/monitoring/postgres/statements"


def fingerprint(text: str) -> str:
    return of_statement(sql_shape(text))


def sent(recorder: Recorder, text: str, seconds: float, error: str | None = None) -> None:
    values = ("postgresql", "SELECT", "SELECT books", sql_shape(text), None, error)
    recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(seconds)


def counted(recorder: Recorder, text: str, *figures: float) -> None:
    for meter, figure in zip(meters.OF_STATEMENTS, figures, strict=False):
        recorder.counter(meter, (fingerprint(text),)).add(figure)


def called(recorder: Recorder, route: str, text: str, seconds: float) -> None:
    values = ("GET", route, "postgresql", "SELECT books", sql_shape(text))
    recorder.counter(meters.HTTP_SERVER_BUDGET, values).add(seconds)


@pytest.fixture
def known(store_url: str) -> None:
    for number, text in enumerate((COUNTED, ELSEWHERE)):
        values = f"('shop', '{fingerprint(text)}', {number - 7}, 'shop', '{sql_shape(text)}')"
        execute(
            store_url,
            f"INSERT INTO watchglass.statements (service_name, fingerprint, queryid, database, text) VALUES {values}",
        )


def say(store_url: str, **fact: Any) -> None:
    value = json.dumps({"problem": None, **fact}).replace("'", "''")
    execute(store_url, f"INSERT INTO watchglass.facts VALUES ('shop', 'statements', '{value}', now())")


async def ask(api: httpx.AsyncClient, path: str = "", **query: Any) -> Any:
    answer = await api.get(PATH + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def busy(recorder: Recorder) -> None:
    for _ in range(9):
        sent(recorder, SENT, 0.2)
    sent(recorder, SENT, 1.5, "57014")
    sent(recorder, SENT, 1.0, "TimeoutError")
    called(recorder, "/books", SENT, 3.0)
    called(recorder, "/authors", SENT, 1.0)
    counted(recorder, COUNTED, 9, 1.7, 90, 300, 100, 0, 5, 0.5, 1024)
    counted(recorder, ELSEWHERE, 60, 30.0, 60, 10, 0)


async def test_both_sides_of_a_statement_are_one_row(
    api: httpx.AsyncClient, process: Start, now: float, known: None
) -> None:
    await process(now - HOUR).live(now - HOUR, now, busy)
    answer = await ask(api)
    elsewhere, books = answer["statements"]
    assert books["fingerprint"] == fingerprint(SENT) and books["text"] == sql_shape(SENT)
    client, server = books["client"], books["server"]
    assert (client["calls"], client["errors"], client["timeouts"], client["cancelled"]) == (660, 120, 60, 60)
    assert client["p50"] == pytest.approx(0.2, rel=0.022) and client["max"] == 1.5
    assert client["over_threshold"] == 60
    assert (server["calls"], server["rows"], server["rows_per_call"]) == (540, 5400, 10)
    assert server["seconds"] == pytest.approx(102) and server["mean"] == pytest.approx(1.7 / 9)
    assert server["hit_ratio"] == 0.75 and server["temp_blks_written"] == 300
    assert server["io_seconds"] == pytest.approx(30) and server["wal_bytes"] == 60 * 1024
    assert [(one["label"], one["share"]) for one in books["callers"]] == [("GET /books", 0.75), ("GET /authors", 0.25)]
    assert books["callers"][0]["endpoint_id"] == identify(("GET", "/books"))
    assert books["side"] == "client" and books["seconds"] == pytest.approx(60 * 4.3)
    assert elsewhere["client"] is None and elsewhere["side"] == "server"
    assert (elsewhere["summary"], elsewhere["operation"]) == ("SELECT books", "SELECT")
    assert elsewhere["p95"]["value"] is None and elsewhere["p95"]["reason"]
    assert answer["seconds"] == pytest.approx(60 * 34.3)
    assert elsewhere["impact"] == pytest.approx(30 / 34.3)
    assert sum(one["impact"] for one in answer["statements"]) == pytest.approx(1)


async def test_the_trend_is_that_of_the_same_side_and_a_fixed_statement_leaves(
    api: httpx.AsyncClient, process: Start, now: float, known: None
) -> None:
    one = process(now - 2 * HOUR)

    def before(recorder: Recorder) -> None:
        sent(recorder, "SELECT fixed FROM books", 5.0)
        sent(recorder, SENT, 0.5)
        counted(recorder, ELSEWHERE, 10, 10.0)

    def after(recorder: Recorder) -> None:
        sent(recorder, SENT, 1.0)
        sent(recorder, "SELECT fresh FROM books", 0.1)
        counted(recorder, ELSEWHERE, 10, 5.0)

    await one.live(now - 2 * HOUR, now - HOUR, before)
    await one.live(now - HOUR, now, after)
    rows = {row["text"]: row for row in (await ask(api))["statements"]}
    assert set(rows) == {sql_shape(SENT), ELSEWHERE, "SELECT fresh FROM books"}
    assert rows[sql_shape(SENT)]["time"]["previous"] == pytest.approx(30)
    assert rows[sql_shape(SENT)]["time"]["change"]["verdict"] == "worse"
    assert rows[ELSEWHERE]["time"]["change"]["verdict"] == "better"
    assert [row["is_new"] for row in rows.values()] == [False, False, True]
    assert rows["SELECT fresh FROM books"]["time"]["previous"] is None
    trend = [row["text"] for row in (await ask(api, sort="trend"))["statements"]]
    assert trend == [sql_shape(SENT), "SELECT fresh FROM books", ELSEWHERE]
    first = await ask(api, sort="p95", limit=1)
    assert first["statements"][0]["text"] == sql_shape(SENT) and first["more"] == 2


async def test_both_sides_are_joined_by_postgresqls_identifier_where_a_plan_told_it(
    api: httpx.AsyncClient, process: Start, now: float, store_url: str
) -> None:
    by_hand = "select NAME from BOOKS  where (AUTHOR = $1) and KIND = $2"
    for text, identifier in ((SENT, -7), (by_hand, -7), (ELSEWHERE, 8)):
        values = f"('shop', '{fingerprint(text)}', {identifier}, 'shop', '{sql_shape(text)}')"
        columns = "(service_name, fingerprint, queryid, database, text)"
        execute(store_url, f"INSERT INTO watchglass.statements {columns} VALUES {values}")

    def act(recorder: Recorder) -> None:
        sent(recorder, SENT, 0.2)
        counted(recorder, by_hand, 3, 0.3)
        counted(recorder, ELSEWHERE, 1, 0.1)

    await process(now - HOUR).live(now - HOUR, now, act)
    books, elsewhere = (await ask(api))["statements"]
    assert books["fingerprint"] == fingerprint(SENT)
    assert (books["client"]["calls"], books["server"]["calls"]) == (60, 180)
    assert elsewhere["client"] is None and elsewhere["server"]["calls"] == 60
    assert (await ask(api, f"/{fingerprint(by_hand)}"))["fingerprint"] == fingerprint(SENT)


async def test_the_parameters_of_a_slow_execution_are_told_by_type_and_size(
    api: httpx.AsyncClient, process: Start, now: float, store_url: str
) -> None:
    await process(now - HOUR).live(now - HOUR, now, lambda recorder: sent(recorder, SENT, 0.2))
    nothing = await ask(api, f"/{fingerprint(SENT)}")
    assert (nothing["parameters"], nothing["parameters_at"]) == ([], None)
    plan = json.dumps({"Plan": {}, "Parameters": ["$1 text(12)"]})
    execute(
        store_url,
        "INSERT INTO watchglass.plans (service_name, fingerprint, shape, plan, how, cost, server_version)"
        f" VALUES ('shop', '{fingerprint(SENT)}', 'abc', '{plan}', 'parameters', 1, '18'),"
        f" ('shop', '{fingerprint(SENT)}', 'abc', '{{}}', 'generic', 1, '18')",
    )
    answer = await ask(api, f"/{fingerprint(SENT)}")
    assert answer["parameters"] == ["$1 text(12)"] and answer["parameters_at"]


async def test_what_is_beyond_the_bound_is_told_as_one(api: httpx.AsyncClient, process: Start, now: float) -> None:
    def act(recorder: Recorder) -> None:
        sent(recorder, SENT, 1.0)
        recorder.counter(meters.STATEMENT_EXEC_TIME, ("other",)).add(3.0)

    await process(now - HOUR).live(now - HOUR, now, act)
    answer = await ask(api)
    assert answer["beyond_seconds"] == pytest.approx(180) and answer["seconds"] == pytest.approx(240)
    assert answer["statements"][0]["impact"] == pytest.approx(0.25)


async def test_without_the_extension_the_clients_side_stands_alone_and_the_command_is_said(
    api: httpx.AsyncClient, process: Start, now: float, store_url: str
) -> None:
    say(
        store_url,
        problem="It is not created.",
        remedy="As a superuser:",
        command="CREATE EXTENSION pg_stat_statements;",
    )
    await process(now - HOUR).live(now - HOUR, now, lambda recorder: sent(recorder, SENT, 1.0))
    answer = await ask(api)
    assert answer["server"]["available"] is False
    assert answer["server"]["command"] == "CREATE EXTENSION pg_stat_statements;"
    [row] = answer["statements"]
    assert row["server"] is None and row["client"]["calls"] == 60
    nothing = await ask(api, start="2020-01-01T00:00Z", end="2020-01-01T01:00Z")
    assert nothing["statements"] == [] and nothing["missing"]["command"] == "CREATE EXTENSION pg_stat_statements;"


async def test_what_a_role_does_not_see_is_noted(api: httpx.AsyncClient, store_url: str) -> None:
    assert (await ask(api))["server"]["reason"].startswith("pg_stat_statements has not been read yet")
    say(store_url, note="The role app does not see 3 of 9.", command="GRANT pg_monitor TO app;")
    server = (await ask(api))["server"]
    assert server["available"] and server["note"] and server["command"] == "GRANT pg_monitor TO app;"
    assert server["read_at"]


async def test_one_statement_has_lines_callers_plans_and_advice(
    api: httpx.AsyncClient, process: Start, now: float, known: None, store_url: str
) -> None:
    await process(now - HOUR).live(now - HOUR, now, busy)
    mine = fingerprint(SENT)
    execute(
        store_url,
        "INSERT INTO watchglass.plans (service_name, fingerprint, shape, plan, how, cost, server_version)"
        f" VALUES ('shop', '{mine}', 'abc', '{{}}', 'parameters', 12.5, '18.1'),"
        f" ('other', '{mine}', 'abc', '{{}}', 'parameters', 12.5, '18.1')",
        "INSERT INTO watchglass.plan_events VALUES"
        f" (now(), 'shop', '{mine}', 'abc', 'def', 'A sequential scan, before an index scan.')",
        "INSERT INTO watchglass.advice (service_name, id, fingerprint, statement, verified, cost_before, cost_after)"
        f" VALUES ('shop', 'x', '{mine}', 'CREATE INDEX CONCURRENTLY ON books (author);', true, 100, 1)",
    )
    answer = await ask(api, f"/{mine}")
    assert answer["row"]["client"]["calls"] == 660 and answer["row"]["callers"][0]["label"] == "GET /books"
    assert answer["queryid"] == "-7" and answer["database"] == "shop" and answer["text"] == sql_shape(SENT)
    lines = answer["lines"]
    assert answer["resolution"] == 120 and {len(values) for values in lines.values()} == {len(answer["times"])} == {30}
    assert set(lines["calls"]) == {22.0} and set(lines["server_calls"]) == {18.0}
    assert lines["p95"][0] == pytest.approx(1.5, rel=0.022)
    assert [plan["cost"] for plan in answer["plans"]] == [12.5]
    assert answer["plan_changes"][0]["sentence"].startswith("A sequential scan")
    assert answer["advice"][0]["state"] == "open" and answer["advice"][0]["verified"]
    by_its_other_name = await ask(api, f"/{fingerprint(COUNTED)}")
    assert by_its_other_name["fingerprint"] == mine and by_its_other_name["row"] == answer["row"]


async def test_a_statement_that_was_not_executed_is_said_so(
    api: httpx.AsyncClient, known: None, process: Start, now: float
) -> None:
    answer = await ask(api, f"/{fingerprint(ELSEWHERE)}")
    assert answer["row"] is None and answer["missing"]["reason"] == "This statement was not executed in this window."
    assert answer["text"] == ELSEWHERE and answer["lines"] is None
    assert (await ask(api, "/00000000000000ff"))["text"] is None
    for strange in ("x", "%00", "0" * 17, "'; DROP TABLE x"):
        assert (await api.get(f"{PATH}/{strange}")).status_code == 404


async def test_a_statement_that_is_summed_up_in_two_ways_is_one_row_of_the_card(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    def act(recorder: Recorder) -> None:
        for summary, error in (("SELECT books", None), ("SELECT books authors", "57014")):
            values = ("postgresql", "SELECT", summary, sql_shape(SENT), None, error)
            recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(1.0)

    await process(now - HOUR).live(now - HOUR, now, act)
    [row] = (await api.get("/api/monitoring/cards/slow_statements")).json()["statements"]
    assert (row["fingerprint"], row["calls"], row["errors"]) == (fingerprint(SENT), 120, 60)


async def test_the_card_of_slow_statements_has_the_same_fingerprint(
    api: httpx.AsyncClient, process: Start, now: float
) -> None:
    await process(now - HOUR).live(now - HOUR, now, lambda recorder: sent(recorder, SENT, 1.0))
    [row] = (await api.get("/api/monitoring/cards/slow_statements")).json()["statements"]
    assert row["fingerprint"] == fingerprint(SENT) == (await ask(api))["statements"][0]["fingerprint"]


async def test_a_changed_plan_and_open_advice_mark_a_statement_by_any_of_its_names(
    api: httpx.AsyncClient, process: Start, now: float, known: None, store_url: str
) -> None:
    await process(now - HOUR).live(now - HOUR, now, busy)
    execute(
        store_url,
        *(
            f"INSERT INTO watchglass.plan_events VALUES (to_timestamp({at}), 'shop', '{name}', 'a', 'b', '{sentence}')"
            for at, name, sentence in (
                (now - 600, fingerprint(SENT), "An index scan."),
                (now - 60, fingerprint(COUNTED), "A sequential scan."),
                (now - 2 * HOUR, fingerprint(ELSEWHERE), "Long ago."),
            )
        ),
        "INSERT INTO watchglass.advice (service_name, id, fingerprint, statement, verified, state) VALUES"
        f" ('shop', 'x', '{fingerprint(COUNTED)}', 'CREATE INDEX', true, 'open'),"
        f" ('shop', 'y', '{fingerprint(SENT)}', 'CREATE INDEX', true, 'open'),"
        f" ('shop', 'z', '{fingerprint(ELSEWHERE)}', 'CREATE INDEX', true, 'built')",
    )
    elsewhere, books = (await ask(api))["statements"]
    assert books["plan_change"] == "A sequential scan." and books["open_advice"] == 2
    assert datetime.fromisoformat(books["plan_changed_at"]).timestamp() == now - 60
    assert (elsewhere["plan_change"], elsewhere["plan_changed_at"], elsewhere["open_advice"]) == (None, None, 0)


async def test_a_statement_s_time_is_told_over_the_window(
    api: httpx.AsyncClient, process: Start, now: float, known: None
) -> None:
    one = process(now - HOUR)

    def quiet(recorder: Recorder) -> None:
        sent(recorder, SENT, 0.5)

    def worse(recorder: Recorder) -> None:
        quiet(recorder)
        counted(recorder, ELSEWHERE, 10, 5.0)

    await one.live(now - HOUR, now - HOUR / 2, quiet)
    await one.live(now - HOUR / 2, now, worse)
    elsewhere, books = (await ask(api))["statements"]
    assert elsewhere["side"] == "server" and elsewhere["time"]["spark"] == [0.0] * 15 + [10.0] * 15
    assert books["side"] == "client" and books["time"]["spark"] == [1.0] * 30
    brief = await ask(api, start=iso(now - 180), end=iso(now))
    assert brief["statements"][0]["time"]["spark"] is None


def iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")
