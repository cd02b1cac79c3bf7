"""What PostgreSQL's page makes of the answers: the line on top, sessions and locks, statements, indexes, health."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from support.postgresql_answers import AT, BEGAN, check, connections, health, node, now, pool, session
from watchglass.api import words
from watchglass.api.asking import Reading, figure
from watchglass.api.models import TimeWindow
from watchglass.api.postgresql_share import PER_REQUEST, Dearest, PostgresqlShare
from watchglass.api.statement_answers import Caller, ServerState, StatementRow, StatementsAnswer
from watchglass.api.statements import P95, TIME
from watchglass.errors import QueryTooSlow
from watchglass.ui import postgresql, postgresql_headline, postgresql_health, postgresql_statements
from watchglass.ui.kept import Kept
from watchglass.ui.postgresql_sessions import session_view

THAN = "an hour ago"


def share(part: float = 0.12, per_request: float = 0.01, before: float | None = 0.01, **known: Any) -> PostgresqlShare:
    spent = figure(PER_REQUEST, Reading(per_request, 500), Reading(before, 500) if before is not None else None)
    return PostgresqlShare(500, part, 0.0, spent, known.get("dearest", Dearest("ab" * 8, "SELECT orders", 0.9)))


def headline(answer: Any = None, spent: Any = None, checks: Any = None) -> postgresql_headline.HeadlineView:
    return postgresql_headline.view(answer or now(), spent or share(), checks or health(check()), THAN)


def chain(seconds: float, **holder: Any) -> Any:
    """Two sessions that wait, one behind the other, for a third."""
    root = session(10, **{"state": "idle in transaction", "endpoint": "POST /orders", "seconds": seconds + 1, **holder})
    middle = session(11, waits_for=[10], wait="Lock: transactionid", relation="orders", seconds=seconds)
    last = session(12, waits_for=[11], wait="Lock: tuple", relation="orders", seconds=seconds / 2)
    tree = node(root, node(middle, node(last, mode="ExclusiveLock", on="row of table orders"), mode="ShareLock"))
    return now(locks=[tree], waiting=[middle, last], blocking=[root, middle], idle_in_transaction=[root])


def test_a_quiet_server_is_not_the_problem_and_says_by_which_figures() -> None:
    found = headline()
    assert found.level is None and found.count == 0
    assert found.sentence == (
        "PostgreSQL is not the problem: nothing waits for a lock, 14 of 97 connections are used, it takes 12 % of the "
        "requests' time; 90 % of that is SELECT orders."
    )


def test_where_most_of_the_time_goes_is_said_without_a_colour() -> None:
    found = headline(spent=share(0.78))
    assert found.level is None
    assert found.sentence.startswith("PostgreSQL is where the time goes, and nothing is in its way: ")


@pytest.mark.parametrize(
    ("seconds", "level", "verdict"), [(42.0, "critical", "is the problem"), (2.0, "warning", "may be the problem")]
)
def test_who_holds_the_lock_is_named_by_the_request(seconds: float, level: str, verdict: str) -> None:
    found = headline(chain(seconds))
    wait = "42 s" if seconds > 5 else "2 s"
    assert (found.level, found.link) == (level, "#lock-10")
    assert found.sentence == (
        f"PostgreSQL {verdict}: 2 sessions wait for locks of session 10 (POST /orders), the longest for {wait}."
    )


def test_a_short_wait_is_no_finding() -> None:
    assert headline(chain(0.2)).level is None


@pytest.mark.parametrize(("used", "level"), [(70, None), (80, "warning"), (95, "critical")])
def test_connections_are_judged_by_what_applications_may_open(used: int, level: str | None) -> None:
    found = headline(now(connections=connections(used)))
    assert found.level == level
    assert f"{used} of 97 connections are used" in found.sentence


def test_who_connects_waits_for_nobody_unless_it_takes_long() -> None:
    assert headline(now(pool=[pool(max=None, waiting=1, wait_p95_seconds=0.02)])).level is None
    assert headline(now(pool=[pool(max=None, waiting=9, wait_p95_seconds=0.3)])).level == "warning"
    assert headline(now(pool=[pool(waiting=1, wait_p95_seconds=0.02)])).level == "warning"


def test_a_pool_that_is_used_up_is_not_postgresqls_fault() -> None:
    found = headline(now(pool=[pool(used=10, waiting=4)]))
    assert (found.level, found.link) == ("critical", "#pools")
    assert found.sentence == (
        "The application's pool is the problem, not PostgreSQL: 4 requests wait for a connection of db:5432/shop, "
        "and all 10 are used."
    )


def test_a_pool_that_slow_statements_have_used_up_is_postgresqls_fault() -> None:
    full = pool(used=10, idle=0, waiting=4)
    slow = [session(number, instance="i1", seconds=float(number)) for number in range(10, 18)]
    found = headline(now(pool=[full], running=slow))
    assert found.sentence == (
        "PostgreSQL is the problem: 4 requests wait for a connection of db:5432/shop, and all 10 are used, 8 of them "
        "by statements that take long, the longest for 17 s."
    )
    assert found.link == "#running"
    fast = [session(number, instance="i1", seconds=0.1) for number in range(10, 18)]
    assert "pool is the problem" in headline(now(pool=[full], running=[*fast, *slow[:2]])).sentence
    others = [session(number, instance="i2", seconds=9.0) for number in range(10, 18)]
    assert "pool is the problem" in headline(now(pool=[full], running=others)).sentence


def test_a_server_that_does_not_answer_comes_first() -> None:
    found = headline(now(server=None, role=None, connections=None, told=["PostgreSQL does not answer."]))
    assert found.level == "critical" and found.sentence == "PostgreSQL is the problem: it does not answer."


def test_more_time_in_postgresql_names_the_statement() -> None:
    found = headline(spent=share(0.6, per_request=0.09, before=0.03))
    assert (found.level, found.link) == ("warning", f"statements/{'ab' * 8}")
    assert found.sentence == (
        "PostgreSQL may be the problem: a request waits 90 ms for PostgreSQL, 3\N{NO-BREAK SPACE}times an hour ago; "
        "90 % of that is SELECT orders."
    )
    assert headline(spent=share(0.02, per_request=0.09, before=0.03)).level is None


def test_what_goes_wrong_slowly_is_told_from_what_is_wrong_now() -> None:
    bad = check(state="bad", sentence="9 million transactions are left. Vacuum the tables.")
    found = headline(checks=health(bad))
    assert (found.level, found.link) == ("critical", "#health-wraparound")
    assert found.sentence == "PostgreSQL needs attention now: Wraparound: 9 million transactions are left."
    later = headline(checks=health(check(name="growth", title="Growth", state="attention", sentence="It grows.")))
    assert later.sentence == "PostgreSQL is not the problem now; to see to later: Growth: It grows."
    both = headline(chain(42.0), checks=health(bad))
    assert both.link == "#lock-10" and [one.link for one in both.evidence] == ["#health-wraparound"]


def test_an_old_transaction_is_named_unless_it_was_as_the_one_that_blocks() -> None:
    idle = session(9, state="idle in transaction", application="psql", seconds=300.0)
    found = headline(now(idle_in_transaction=[idle]))
    assert "to see to later: session 9 (psql) has been idle in a transaction for 5 min" in found.sentence
    assert headline(chain(90.0)).evidence == []
    ours = session(9, ours=True, seconds=300.0)
    assert headline(now(running=[ours])).level is None
    assert "(GET /report) has executed a statement for 5 min" in (
        headline(now(running=[session(8, endpoint="GET /report", seconds=300.0)])).sentence
    )


def test_what_failed_is_named_and_nothing_known_is_not_quiet() -> None:
    found = postgresql_headline.view(None, None, None, THAN, ["health"])
    assert found.unknown == ["health"]
    assert found.sentence == "Not known whether PostgreSQL is the problem: nothing of it was read."


@pytest.mark.parametrize("seconds", [42.0, 600.0])
def test_the_one_that_blocks_is_as_bad_as_the_longest_wait_and_leads_to_itself(seconds: float) -> None:
    view = postgresql.view(chain(seconds))
    by_name = {one.name: one for one in view.lists}
    assert [one.level for one in by_name["blocking"].shown] == ["critical", "critical"]
    assert by_name["waiting"].shown[0].waits_for == ((10, "blocking-10"),)
    root = view.locks[0]
    assert (root.session.id, root.session.level, root.holds_up, root.lock) == (
        "lock-10",
        "critical",
        "holds up 2 sessions",
        "",
    )
    waited = words.duration(seconds / 2)
    assert root.waiters[0].waiters[0].lock == f"has waited {waited} for ExclusiveLock on row of table orders"
    assert root.waiters[0].session.id == "lock-10-11"


def test_those_that_hold_up_others_are_seen_first_and_many_open_on_demand() -> None:
    holder = session(1, state="idle in transaction")
    waiters = [node(session(number, waits_for=[1], seconds=9.0)) for number in range(10, 20)]
    tree = node(holder, *waiters, node(session(20, waits_for=[1]), node(session(21, waits_for=[20]))))
    root = postgresql.view(now(locks=[tree], blocking=[holder])).locks[0]
    assert [one.session.pid for one in root.waiters] == [20, 10, 11] and len(root.rest) == 8


def test_watchglass_s_own_sessions_are_counted_apart() -> None:
    own = [session(number, ours=True) for number in (1, 2)]
    view = postgresql.view(now(running=[*own, *(session(number) for number in range(10, 18))], left_off={"running": 5}))
    running = next(one for one in view.lists if one.name == "running")
    assert (running.count, len(running.shown), len(running.rest)) == (13, 6, 4)
    assert running.more == "9 more, 2 of Watchglass's own"


def test_what_waits_or_blocks_is_counted_as_in_the_tree_and_the_headline_whoever_it_is() -> None:
    ours = session(5, waits_for=[1], seconds=3.0, ours=True)
    waiting = [session(4, waits_for=[1], seconds=3.0), ours]
    tree = node(session(1), *map(node, waiting))
    found = now(waiting=waiting, blocking=[session(1)], locks=[tree], left_off={"waiting": 0})
    view = postgresql.view(found)
    assert view.locks[0].holds_up == "holds up 2 sessions"
    assert next(one for one in view.lists if one.name == "waiting").count == 2
    assert "2 sessions wait for locks" in headline(found).sentence


def test_no_more_is_sent_every_five_seconds_than_anybody_reads() -> None:
    waiting = [session(number, waits_for=[1], seconds=9.0) for number in range(10, 110)]
    tree = node(session(1), *(node(one) for one in waiting))
    view = postgresql.view(now(locks=[tree], waiting=waiting, blocking=[session(1)], left_off={"waiting": 7}))
    found = next(one for one in view.lists if one.name == "waiting")
    assert (found.count, len(found.shown), len(found.rest), found.left_off) == (107, 6, 24, 77)
    assert found.more == "101 more"
    assert (len(view.locks[0].waiters), len(view.locks[0].rest), view.locks[0].more) == (3, 27, 70)


def test_of_many_that_one_waits_for_a_few_are_named() -> None:
    last = session_view("waiting", session(99, waits_for=list(range(1, 21))))
    assert [pid for pid, _ in last.waits_for] == [1, 2, 3, 4] and last.waits_for_more == 16


def test_a_session_is_ended_by_when_it_began_and_only_a_running_one_is_cancelled() -> None:
    active = session_view("running", session(5))
    assert [(name, began) for name, _, began in active.endings] == [
        ("cancel", BEGAN.isoformat()),
        ("terminate", BEGAN.isoformat()),
    ]
    idle = session_view("idle", session(5, state="idle in transaction"))
    assert [name for name, *_ in idle.endings] == ["terminate"]
    superuser = session_view("running", session(5, why_not="It is a superuser's."))
    assert superuser.endings == () and superuser.why_not


def test_what_pg_monitor_would_add_is_said_once() -> None:
    role = {"name": "app", "sees_all": False, "would_add": "pg_monitor would add more."}
    assert postgresql.view(now(role=role)).told == ["pg_monitor would add more."]
    told = ["3 sessions are hidden: GRANT pg_monitor TO app;"]
    assert postgresql.view(now(role=role, told=told)).told == told


def test_the_bar_of_connections_has_the_room_that_is_left() -> None:
    found = postgresql.connections_view(connections(40))
    assert [(one.name, one.width) for one in found.bar] == [("active", 10.0), ("idle", 30.0), ("free", 60.0)]
    own = postgresql.connections_view(connections(40).model_copy(update={"used": 44, "ours": 4}))
    assert [(one.name, one.width) for one in own.bar[2:]] == [("own", 4.0), ("free", 56.0)]
    assert own.states[-1] == ("own", "4 Watchglass's own")
    assert found.sentence.endswith("max_connections is 100, and 3 are kept back for administrators.")


def statement(number: int, seconds: float, **known: Any) -> StatementRow:
    text = known.pop("text", f"SELECT * FROM t{number}")
    usual: dict[str, Any] = {
        "fingerprint": f"{number:016x}",
        "summary": f"SELECT t{number}",
        "operation": "SELECT",
        "text": text,
        "side": "client",
        "seconds": seconds,
        "impact": seconds / 100,
        "calls": 10,
        "time": figure(TIME, Reading(seconds, 10), Reading(known.pop("before", None))),
        "p95": figure(P95, Reading(0.1, 10), None),
        "is_new": False,
        "client": None,
        "server": None,
        "callers": (),
    }
    return StatementRow(**{**usual, **known})


def statements(*rows: StatementRow, **query: str) -> postgresql_statements.StatementsView:
    window = TimeWindow(start=AT - timedelta(hours=1), end=AT)
    answer = StatementsAnswer(
        card="statements",
        title="Statements",
        sentence="They took 100 s.",
        window=window,
        seconds=100.0,
        beyond_seconds=0.0,
        server=ServerState(available=True),
        statements=list(rows),
    )
    return postgresql_statements.view(answer, query, 1.0)


def test_statements_are_found_by_words_of_their_text_and_of_who_calls_them() -> None:
    caller = Caller(endpoint_id="x", label="GET /books/{id}", seconds=1.0, share=1.0)
    rows = statement(1, 50.0, text="SELECT name FROM authors"), statement(2, 30.0, callers=(caller,))
    assert [row.summary for row in statements(*rows, find="AUTHORS name").rows] == ["SELECT t1"]
    found = statements(*rows, find="/books")
    assert [row.summary for row in found.rows] == ["SELECT t2"] and found.sentence == "1 of 2 statements fit."
    assert statements(*rows, find="nothing").rows == []


@pytest.mark.parametrize(
    ("only", "known"),
    [
        ("plan", {"plan_changed_at": AT, "plan_change": "A sequential scan."}),
        ("advice", {"open_advice": 2}),
        ("new", {"is_new": True}),
    ],
)
def test_statements_are_kept_by_what_became_of_them(only: str, known: dict[str, Any]) -> None:
    marked = statement(2, 30.0, **known)
    found = statements(statement(1, 50.0), marked, only=only)
    assert [row.summary for row in found.rows] == ["SELECT t2"]
    row = found.rows[0]
    assert (row.plan_change, row.advice, row.trend) == {
        "plan": ("A sequential scan.", "", ""),
        "advice": ("", "2 indexes advised", ""),
        "new": ("", "", "new"),
    }[only]


def test_growth_has_a_colour_where_the_statement_matters() -> None:
    rows = statement(1, 50.0, before=10.0), statement(2, 1.0, before=0.2), statement(3, 40.0, before=39.5)
    assert [row.trend_level for row in statements(*rows).rows] == ["warning", None, None]
    assert statements(*rows).rows[0].trend == "5\N{NO-BREAK SPACE}times"


def test_what_the_address_asks_for_in_vain_is_ignored() -> None:
    chosen = postgresql_statements.Chosen.of({"sort": "colour", "only": "'; --"})
    assert (chosen.sort, chosen.only, chosen.filters) == ("impact", "", False)


def test_many_statements_open_on_demand() -> None:
    rows = [statement(number, 1.0) for number in range(40)]
    few = statements(*rows)
    assert (len(few.rows), few.more) == (15, 25)
    assert (len(statements(*rows, statements="all").rows), statements(*rows, statements="all").more) == (40, 0)


def test_a_check_has_a_sign_a_word_its_rows_and_its_trend() -> None:
    columns = [
        {"key": "table", "title": "Table"},
        {"key": "bytes", "title": "Size", "unit": "By"},
        {"key": "dead", "title": "Dead", "unit": "%"},
        {"key": "at", "title": "Vacuumed", "unit": "iso"},
        {"key": "rows", "title": "Rows"},
    ]
    row = {"table": "orders", "bytes": 3 * 1024**2, "dead": 12.0, "at": AT.isoformat(), "rows": 12345}
    trend = [(AT - timedelta(minutes=10 * number), float(number)) for number in (3, 2, 1)]
    known = {"state": "attention", "value": 0.99, "unit": "1", "basis": "in an hour", "left_off": 3}
    one = check(**known, columns=columns, rows=[row, {}], trend=trend, trend_unit="By")
    [found] = postgresql_health.view(health(one)).checks
    assert (found.icon, found.word, found.level) == ("warning", "see to it", "warning")
    assert str(found.value) == "99\N{NO-BREAK SPACE}%" and found.basis == "in an hour"
    texts = [one.text.replace("\N{NO-BREAK SPACE}", " ") for one in found.rows[0]]
    assert texts == ["orders", "3 MB", "12 %", "2026-11-25 03:00:00 UTC", "12,345"]
    assert found.rows[0][3].time == "2026-11-25T03:00:00Z"
    assert [one.text for one in found.rows[1]] == ["\N{EN DASH}"] * 5
    assert found.opens == "Show 2 of 5 tables"
    assert found.spark is not None and found.trend == "From 3\N{NO-BREAK SPACE}B to 1\N{NO-BREAK SPACE}B in this window"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0, 4, 2), "From 0 to 2 in this window"),
        ((0, 0), "0 all the time in this window"),
        ((0, 7, 0), "Between 0 and 7 in this window"),
        ((None, 3), ""),
    ],
)
def test_what_a_trend_shows_is_said(values: tuple[float | None, ...], said: str) -> None:
    trend = [(AT + timedelta(minutes=number), value) for number, value in enumerate(values)]
    [found] = postgresql_health.view(health(check(trend=trend, rows=[{}], columns=[]))).checks
    assert (found.trend, found.opens) == (said, "Show details")
    assert (found.spark is not None) == bool(said)


async def test_an_answer_is_shared_while_it_is_asked_and_a_while_after() -> None:
    asked: list[str] = []

    async def ask() -> int:
        asked.append("ask")
        await asyncio.sleep(0.01)
        return len(asked)

    kept: Kept[int] = Kept(60.0)
    assert await asyncio.gather(kept.get("a", ask), kept.get("a", ask)) == [1, 1]
    assert await kept.get("a", ask) == 1
    assert await kept.get("b", ask) == 2
    brief: Kept[int] = Kept(0.0)
    assert [await brief.get("a", ask), await brief.get("a", ask)] == [3, 4]


async def test_an_error_is_not_kept_and_giving_up_does_not_end_the_question() -> None:
    answers: list[Any] = [QueryTooSlow(seconds=1), 7]
    told = asyncio.Event()

    async def ask() -> int:
        await told.wait()
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    kept: Kept[int] = Kept(60.0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(kept.get("a", ask), 0.01)
    told.set()
    with pytest.raises(QueryTooSlow):
        await kept.get("a", ask)
    assert await kept.get("a", ask) == 7
