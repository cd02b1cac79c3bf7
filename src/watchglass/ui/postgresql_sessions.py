"""PostgreSQL's sessions as the page shows them: what each does, for whom, what it waits for, and how it is ended."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watchglass.api import words
from watchglass.api.activity_answers import LockNode, Session
from watchglass.api.pressing import longest_wait
from watchglass.ui import format
from watchglass.ui.levels import Level
from watchglass.ui.traces import endpoint_id

WAITS, WAITS_LONG = 1.0, 5.0
"""Seconds from which on waiting for a lock is worth a colour, and is critical: requests stand behind it."""

LONG = 60.0
"""Seconds from which on a statement, or an idle transaction, is worth a colour."""

SHOWN = 6
"""Sessions of a list that are seen at once; the others open below."""

BENEATH = 3
"""Sessions that are seen at once beneath one of the lock tree."""

MOST = 30
"""Sessions of a list, or beneath one of the tree, that are on the page at all: it is sent every five seconds."""

NAMED = 4
"""Sessions that are named as those that one waits for: who is far back in a queue waits for all before it."""

LISTS = {
    "blocking": ("Blocking", "hold locks that others wait for"),
    "waiting": ("Waiting", "wait for a lock"),
    "running": ("Running", "execute a statement, and wait for no lock"),
    "idle_in_transaction": ("Idle in transaction", "hold a transaction open and do nothing"),
}
"""The lists in the order in which they are read, with what their sessions do."""

OF_LOCKS = ("blocking", "waiting")

ACTIONS = {"cancel": "Cancel", "terminate": "Terminate"}
ASKS = {"cancel": "Cancel the statement of session {pid}", "terminate": "Terminate session {pid}"}

IDLE = "idle in transaction"

_ROUTED = re.compile(r"[A-Z]+ /")
"""An endpoint with a route; unmatched paths have no page of their own."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session. `endings` are the ways to end it with when it began; `why_not` why there is none.

    `transaction` is how long its transaction is open, empty where that says no more than `duration`; `waits_for` are
    the processes it waits for with the id of their entry on the page, empty where they have none, and `waits_for_more`
    counts those that are not named.
    """

    id: str
    pid: int
    duration: format.Quantity
    state: str
    level: Level | None
    who: str
    ours: bool
    endpoint: str
    endpoint_id: str
    trace_id: str
    request_ended: bool
    process: str
    wait: str
    relation: str
    waits_for: tuple[tuple[int, str], ...]
    waits_for_more: int
    transaction: str
    text: str
    line: str
    fingerprint: str
    endings: tuple[tuple[str, str, str], ...]
    why_not: str


@dataclass(frozen=True, slots=True)
class SessionsView:
    """One of the lists; `rest` opens below what is shown, as `more` says.

    `count` is without Watchglass's own, but of those that wait for locks or hold them, as in the tree.

    `left_off` are beyond what was asked for.
    """

    name: str
    title: str
    what: str
    count: int
    shown: list[SessionView]
    rest: list[SessionView]
    more: str
    left_off: int


@dataclass(frozen=True, slots=True)
class NodeView:
    """A session of the lock tree. `lock` says what it waits for; `holds_up` how many wait because of it.

    `rest` of those beneath it opens on demand: those that hold up others are seen first. `more` are not on the page.
    """

    session: SessionView
    lock: str
    holds_up: str
    waiters: list[NodeView]
    rest: list[NodeView]
    more: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Blockers:
    """Which processes have an entry in the list of those that block, and how bad it is to wait for each."""

    listed: frozenset[int] = frozenset()
    levels: Mapping[int, Level] = field(default_factory=dict)

    @classmethod
    def of(cls, blocking: Sequence[Session], forest: Sequence[LockNode]) -> Blockers:
        """A session that waits for nobody is as bad as the longest wait beneath it."""
        levels = {root.session.pid: level for root in forest if (level := _wait_level(longest_wait(root)))}
        return cls(frozenset(one.pid for one in [one for one in blocking if not one.ours][:MOST]), levels)


NO_BLOCKERS = Blockers()


def sessions_view(name: str, sessions: Sequence[Session], left_off: int, blockers: Blockers) -> SessionsView:
    """One list; what Watchglass itself does is the last of it, and opens below."""
    title, what = LISTS[name]
    others, ours = [one for one in sessions if not one.ours], [one for one in sessions if one.ours]
    left_off += len(others[MOST:])
    views = [session_view(name, one, blockers) for one in (*others[:MOST], *ours)]
    rest = views[SHOWN:] if len(others) > SHOWN else views[len(others) :]
    more = f"{len(rest) + left_off:,} more" if len(rest) + left_off > len(ours) else ""
    more += f"{', ' if more else ''}{len(ours)} of Watchglass's own" if ours else ""
    count = len(others[:MOST]) + left_off + (len(ours) if name in OF_LOCKS else 0)
    shown = views[: len(views) - len(rest)]
    return SessionsView(name.replace("_", "-"), title, what, count, shown, rest, more, left_off)


def session_view(name: str, one: Session, blockers: Blockers = NO_BLOCKERS) -> SessionView:
    """One session as an entry of that list."""
    longer = one.transaction_seconds is not None and one.transaction_seconds > (one.seconds or 0.0) + 1
    text = one.statement or ""
    return SessionView(
        id=f"{name.replace('_', '-')}-{one.pid}",
        pid=one.pid,
        duration=format.quantity(one.seconds, "s"),
        state=one.state or "state not seen",
        level=_worse(level_of(one), blockers.levels.get(one.pid)),
        who=_who(one),
        ours=one.ours,
        endpoint=one.endpoint or "",
        endpoint_id=endpoint_id(one.endpoint) if one.endpoint and _ROUTED.match(one.endpoint) else "",
        trace_id=one.trace_id or "",
        request_ended=one.request_ended,
        process=_process(one),
        wait=(one.wait or "") if one.state == "active" else "",
        relation=one.relation or "",
        waits_for=tuple((pid, f"blocking-{pid}" if pid in blockers.listed else "") for pid in one.waits_for[:NAMED]),
        waits_for_more=len(one.waits_for[NAMED:]),
        transaction=words.duration(one.transaction_seconds) if longer else "",
        text=text,
        line=" ".join(text.split())[:300],
        fingerprint=one.fingerprint or "",
        endings=endings_of(one),
        why_not=one.why_not or "",
    )


def node_view(node: LockNode, blockers: Blockers, path: str = "lock") -> NodeView:
    """A session of the tree with those beneath it; `path` keeps one that stands in it twice apart."""
    view = session_view(path, node.session, blockers)
    waiters = sorted(node.waiters, key=lambda one: -one.waiters_total)
    beneath = [node_view(one, blockers, f"{path}-{node.session.pid}") for one in waiters[:MOST]]
    wanted = " on ".join(part for part in (node.mode, node.on) if part)
    waited = f" {words.duration(node.seconds)}" if node.seconds is not None else ""
    lock = f"has waited{waited} for {wanted}" if wanted else ""
    holds_up = f"holds up {words.plural(node.waiters_total, 'session')}" if node.waiters_total else ""
    more = max(0, len(waiters) - MOST)
    return NodeView(view, lock, holds_up, beneath[:BENEATH], beneath[BENEATH:], more, node.cut)


def level_of(one: Session) -> Level | None:
    """Whether how long it does what it does is a finding; Watchglass's own work is none of the application's."""
    seconds = one.seconds or 0.0
    if one.ours:
        return None
    if one.waits_for or (one.wait or "").startswith("Lock"):
        return _wait_level(seconds)
    if one.state == "active" or is_idle_in_transaction(one):
        return "warning" if seconds >= LONG else None
    return None


def _worse(first: Level | None, second: Level | None) -> Level | None:
    return "critical" if "critical" in (first, second) else first or second


def _wait_level(seconds: float) -> Level | None:
    return "critical" if seconds >= WAITS_LONG else "warning" if seconds >= WAITS else None


def is_idle_in_transaction(one: Session) -> bool:
    """Whether it holds a transaction open and does nothing, one that failed included."""
    return (one.state or "").startswith(IDLE)


def endings_of(one: Session) -> tuple[tuple[str, str, str], ...]:
    """The ways to end it: name, words, when it began. What executes nothing has no statement to cancel."""
    if one.why_not or one.backend_start is None:
        return ()
    names = ACTIONS if one.state == "active" else ("terminate",)
    return tuple((name, ACTIONS[name], one.backend_start.isoformat()) for name in names)


def _who(one: Session) -> str:
    """The service's own name is its application; the user and the machine tell others apart."""
    known: Mapping[str, str | None] = {"": one.application, "user ": one.user, "from ": one.client}
    return ", ".join(f"{before}{value}" for before, value in known.items() if value)


def _process(one: Session) -> str:
    """The process of the service that holds the connection."""
    where = " ".join(part for part in (one.service, one.host and f"on {one.host}") if part)
    return f"{where}, pid {one.process_pid}" if where and one.process_pid else where
