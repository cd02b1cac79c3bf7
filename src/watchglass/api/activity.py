"""PostgreSQL now: who runs what, who waits for whom, and which requests hold the sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from watchglass.analysis.lock_tree import Node, forest
from watchglass.analysis.lock_words import lock_name
from watchglass.analysis.windows import Window
from watchglass.api.activity_answers import ActivityAnswer, LockNode, Pool, Server, Session
from watchglass.api.activity_sessions import Sessions
from watchglass.api.activity_words import POOLED, connections_of, role_of, sentence, told_of
from watchglass.api.asking import Asked
from watchglass.api.context import Context
from watchglass.api.pools import pools
from watchglass.errors import DatabaseNotConfigured, DatabaseUnavailable, QueryTooSlow, WatchglassError
from watchglass.store import activity as store
from watchglass.store.activity import MOST, PREPARED, Activity, is_full

if TYPE_CHECKING:
    from watchglass.store.database import Database

T = TypeVar("T")

ASKER: Final = "watchglass activity"
STORE_SECONDS: Final = 2
"""For how long the store is asked who holds a session, and how full pools are."""

POOL_SECONDS: Final = 300
MOST_POOLS: Final = 200
LISTS: Final = ("running", "waiting", "blocking", "idle_in_transaction", "locks")


@dataclass(slots=True)
class _Known:
    """What there is, and what is told of the rest. `until` is for how long the store is waited for, by the loop."""

    now: Activity | None = None
    sessions: Sessions | None = None
    pool: list[Pool] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    until: float = 0.0

    def tell(self, text: str) -> None:
        if text not in self.told:
            self.told.append(text)


def application_database(context: Context) -> Database:
    """The service's own, asked on a connection beside the store's. Raises `DatabaseNotConfigured`."""
    dsn = context.settings.application_dsn
    if dsn is None or context.reader is None:
        raise DatabaseNotConfigured
    return context.reader.database.beside(ASKER, dsn)


async def asked_of(context: Context, question: Callable[[Database], Awaitable[T]]) -> tuple[Database, T]:
    """The answer of the service's own database, and on which connection it came.

    Where all its connections are taken, which is when somebody wants to know, the store's serves too, if it leads there
    and is open. Raises what the question raises.
    """
    database = application_database(context)
    try:
        return database, await question(database)
    except DatabaseUnavailable as error:
        if context.reader is None or context.reader.database.dsn != database.dsn or not is_full(error):
            raise
        return context.reader.database, await question(context.reader.database)


async def activity(context: Context) -> ActivityAnswer:
    """Everything of one moment; what cannot be had is told, and never an error."""
    known = _Known()
    try:
        database, now = await asked_of(context, store.activity)
        known.now, known.sessions = now, await _sessions(context, database, known, now)
    except WatchglassError as error:
        known.tell(str(error))
    try:
        known.pool = await _soon(known, _pools(context))
    except WatchglassError as error:
        known.tell(str(error))
    return _answer(datetime.fromtimestamp(context.clock(), UTC), known)


async def _sessions(context: Context, database: Database, known: _Known, now: Activity) -> Sessions:
    """Sessions with those who hold them, as far as the store answers."""
    assert context.reader is not None
    held = []
    try:
        called = unquote(urlsplit(database.dsn).path.lstrip("/"))
        held = await _soon(known, store.held(context.reader.database, [now.server["database"], called]))
        pids = {row["pid"] for row in held}
        if pids and pids.isdisjoint(row["pid"] for row in now.sessions) and not await store.present(database, pids):
            known.tell(POOLED)
    except WatchglassError as error:
        known.tell(f"Which requests hold the sessions is not known. {error}")
    return Sessions(now.server, now.waiting, held, context.settings.redaction_key)


async def _soon(known: _Known, answer: Awaitable[T]) -> T:
    """The store's answer, for which what the server says is not to wait long. Raises `QueryTooSlow`."""
    known.until = known.until or asyncio.get_running_loop().time() + STORE_SECONDS
    try:
        async with asyncio.timeout_at(known.until):
            return await answer
    except TimeoutError:
        raise QueryTooSlow(seconds=STORE_SECONDS) from None


async def _pools(context: Context) -> list[Pool]:
    now = context.clock()
    asked = Asked(context, Window(now - POOL_SECONDS, now), None, now)
    found = await pools(asked)
    seen = {one.instance_id: one for one in await asked.reader.instances(asked.window)} if found else {}
    places = {id: {"host": one.host, "process_pid": one.pid} for id, one in seen.items()}
    return [pool.model_copy(update=places.get(pool.instance, {})) for pool in found]


def _answer(at: datetime, known: _Known) -> ActivityAnswer:
    pool, more = known.pool[:MOST_POOLS], max(0, len(known.pool) - MOST_POOLS)
    fixed: dict[str, Any] = {"at": at, "pool": pool, "pool_window_seconds": POOL_SECONDS}
    if known.now is None or known.sessions is None:
        nothing: dict[str, Any] = dict.fromkeys(("server", "role", "connections")) | {name: [] for name in LISTS}
        left_off = {**dict.fromkeys(LISTS, 0), "pool": more}
        return ActivityAnswer(**fixed, **nothing, left_off=left_off, sentence=known.told[0], told=known.told)
    now, connections = known.now, connections_of(known.now)
    lists, left_off = _lists(now, known.sessions)
    return ActivityAnswer(
        **fixed,
        **lists,
        sentence=sentence(now, connections, lists, left_off),
        server=Server(**{name: now.server[name] for name in Server.model_fields}),
        role=role_of(now.server),
        connections=connections,
        left_off={**left_off, "pool": more},
        told=[*told_of(now, connections), *known.told],
    )


def _lists(now: Activity, sessions: Sessions) -> tuple[dict[str, Any], dict[str, int]]:
    """The lists of sessions and the trees of locks, and how many are left off each."""
    shown = {row["pid"]: sessions.of(row) for row in now.sessions} | {PREPARED: sessions.prepared(now.prepared)}
    waits = {row["pid"]: row["blocked_by"] for row in now.waiting}
    in_the_way = list(dict.fromkeys(pid for blockers in waits.values() for pid in blockers))
    looked_for = frozenset(now.locked)
    for pid in (*waits, *in_the_way):
        shown.setdefault(pid, sessions.missing(pid, pid in looked_for))
    found = {
        "running": [shown[row["pid"]] for row in now.sessions if row["is_running"]][:MOST],
        "waiting": [shown[pid] for pid in waits],
        "blocking": sorted((shown[pid] for pid in in_the_way), key=lambda one: -(one.transaction_seconds or 0.0)),
        "idle_in_transaction": [shown[row["pid"]] for row in now.sessions if row["is_idle"]][:MOST],
    }
    more_waiting = now.waiting[0]["everyone"] - len(waits) if now.waiting else 0
    left_off = {
        "running": _all(now, "all_running") - len(found["running"]),
        "waiting": more_waiting,
        "blocking": max(0, len(found["blocking"]) - MOST),
        "idle_in_transaction": _all(now, "all_idle") - len(found["idle_in_transaction"]),
        "locks": more_waiting,
    }
    locks = {row["pid"]: row for row in now.waiting}
    trees = [_tree(node, shown, locks) for node in forest(waits)]
    return {**found, "blocking": found["blocking"][:MOST], "locks": trees}, left_off


def _all(now: Activity, name: str) -> int:
    return int(now.sessions[0][name]) if now.sessions else 0


def _tree(node: Node, shown: Mapping[int, Session], locks: Mapping[int, Any]) -> LockNode:
    lock = locks.get(node.pid)
    return LockNode(
        session=shown[node.pid],
        mode=lock["mode"] if lock else None,
        on=lock_name(lock) if lock else None,
        granted=lock is None,
        seconds=lock["seconds"] if lock else None,
        waiters=_trees(node.waiters, shown, locks),
        waiters_total=node.total,
        cut=node.cut,
    )


def _trees(nodes: Sequence[Node], shown: Mapping[int, Session], locks: Mapping[int, Any]) -> list[LockNode]:
    return [_tree(node, shown, locks) for node in nodes]
