"""The section Now of PostgreSQL's page: connections against their limit, the lists of sessions, locks, the pools."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from watchglass.api import words
from watchglass.api.activity_answers import ActivityAnswer, ApplicationCount, Connections, Pool, Server
from watchglass.ui import drawing, format
from watchglass.ui.levels import RULES, Level
from watchglass.ui.postgresql_sessions import LISTS, MOST, Blockers, NodeView, SessionsView, node_view, sessions_view

STATES = {
    "active": "active",
    "idle in transaction": "in_transaction",
    "idle in transaction (aborted)": "in_transaction",
    "idle": "idle",
}
"""How the bar of connections is drawn: the name of each state's shade; other states have one together."""

APPLICATIONS = 8
"""Applications that are named with their connections."""

POOL_WAIT = 0.1
"""Seconds that a request may wait for a connection at P95 before that is worth a colour."""


@dataclass(frozen=True, slots=True)
class ConnectionsView:
    """`free` is what is left for the application's roles; `states` are words and counts by shade."""

    used: str
    usable: str
    level: Level | None
    sentence: str
    gauge: drawing.Gauge | None
    bar: list[drawing.Segment]
    bar_text: str
    states: list[tuple[str, str]]
    applications: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PoolRow:
    """The pool of one process. A dash stands for what the process does not say."""

    id: str
    name: str
    process: str
    used: str
    idle: str
    size: str
    max: str
    waiting: str
    wait_p95: format.Quantity
    timeouts: str
    level: Level | None
    wait_level: Level | None
    share: float


@dataclass(frozen=True, slots=True)
class NowView:
    """`server` says which server it is, in one line; `told` what is missing. `away`: PostgreSQL does not answer."""

    at: datetime
    sentence: str
    server: str
    away: bool
    connections: ConnectionsView | None
    lists: list[SessionsView]
    locks: list[NodeView]
    locks_left_off: int
    pools: list[PoolRow]
    pools_left_off: int
    pool_window: str
    told: list[str]


def view(answer: ActivityAnswer) -> NowView:
    """The section from the answer to the question what goes on now."""
    blockers = Blockers.of(answer.blocking, answer.locks)
    left_off = answer.left_off
    lists = [sessions_view(name, getattr(answer, name), left_off.get(name, 0), blockers) for name in LISTS]
    return NowView(
        at=answer.at,
        sentence=answer.sentence,
        server=_server(answer.server, answer.at) if answer.server else "",
        away=answer.server is None,
        connections=connections_view(answer.connections) if answer.connections else None,
        lists=lists,
        locks=[node_view(one, blockers) for one in answer.locks[:MOST]],
        locks_left_off=left_off.get("locks", 0) + sum(1 + one.waiters_total for one in answer.locks[MOST:]),
        pools=[_pool(number, one) for number, one in enumerate(answer.pool)],
        pools_left_off=left_off.get("pool", 0),
        pool_window=words.duration(answer.pool_window_seconds),
        told=_told(answer),
    )


def _told(answer: ActivityAnswer) -> list[str]:
    """What is missing; what pg_monitor would add, unless that was said where it is missed."""
    would_add = answer.role.would_add if answer.role else None
    known = any("pg_monitor" in one for one in answer.told)
    return list(dict.fromkeys([*answer.told, *([would_add] if would_add and not known else [])]))


def _server(server: Server, at: datetime) -> str:
    up = f", up {words.duration((at - server.started).total_seconds())}" if server.started else ""
    kind = "standby, read-only" if server.standby else "primary"
    return f"PostgreSQL {server.version}, database {server.database}, {kind}{up}"


def connections_view(found: Connections) -> ConnectionsView:
    """How many there are, beside what the application may open."""
    usable = max(found.limit - found.reserved, 1)
    share, rule = found.used / usable, RULES["tile_postgresql.connections"]
    level = next((name for name, limit in rule.levels if limit is not None and share > limit), None)
    limits = " and ".join(words.percent(limit) for limit in rule.limits)
    label = f"{found.used} of {usable} connections; limits {limits}"
    states = [(name, f"{count:,} {state}") for name, state, count in _states(found)]
    reserved = f", and {found.reserved} are kept back for administrators" if found.reserved else ""
    return ConnectionsView(
        used=f"{found.used:,}",
        usable=f"{usable:,}",
        level=level,
        sentence=f"{words.percent(share)} of what applications may open; max_connections is {found.limit}{reserved}.",
        gauge=drawing.gauge(share, rule.limits, False, 1.0, label),
        bar=_bar(found),
        bar_text=", ".join(text for _, text in states),
        states=states,
        applications=_applications(found.by_application),
    )


def _states(found: Connections) -> list[tuple[str, str, int]]:
    """The shade of each state, what it is called, and how many are in it; Watchglass's own are the last."""
    states = [(STATES.get(one.state, "other"), one.state, one.count) for one in found.by_state]
    return [*states, ("own", "Watchglass's own", found.ours)] if found.ours else states


def _bar(found: Connections) -> list[drawing.Segment]:
    """All connections that there are, by state, and the room that is left."""
    whole = max(found.limit, found.used, 1)
    shares = [(name, count / whole) for name, _, count in _states(found)]
    return drawing.stacked([*shares, ("free", 1 - sum(share for _, share in shares))])


def _applications(found: list[ApplicationCount]) -> list[tuple[str, str]]:
    largest = sorted(found, key=lambda one: -one.count)
    named = [(_application(one), f"{one.count:,}") for one in largest[:APPLICATIONS]]
    others = sum(one.count for one in largest[APPLICATIONS:])
    return [*named, ("others", f"{others:,}")] if others else named


def _application(one: ApplicationCount) -> str:
    user = f", user {one.user}" if one.user else ""
    return f"{one.application or 'no name given'}{user}"


def level_of(one: Pool) -> Level | None:
    """Requests that wait for a connection are a finding, and critical where the pool may open no more.

    Where there is no limit nobody waits for another: they connect, which is a finding only when it takes long.
    """
    full = one.max is not None and one.used is not None and one.used >= one.max
    if one.waiting and (one.max is not None or (one.wait_p95_seconds or 0.0) >= POOL_WAIT):
        return "critical" if full else "warning"
    return "warning" if one.timeouts else None


def _pool(number: int, one: Pool) -> PoolRow:
    return PoolRow(
        id=f"pool-{number}",
        name=one.name,
        process=f"{one.host}, pid {one.process_pid}" if one.host and one.process_pid else one.instance,
        used=_count(one.used),
        idle=_count(one.idle),
        size=_count(one.size),
        max=_count(one.max),
        waiting=_count(one.waiting),
        wait_p95=format.quantity(one.wait_p95_seconds, "s"),
        timeouts=f"{one.timeouts:,.0f}" if one.timeouts else "none",
        level=level_of(one),
        wait_level="warning" if (one.wait_p95_seconds or 0.0) >= POOL_WAIT else None,
        share=round(min(one.used / one.max, 1.0) * 100, 1) if one.max and one.used is not None else 0.0,
    )


def _count(value: int | None) -> str:
    return format.NOTHING if value is None else f"{value:,}"
