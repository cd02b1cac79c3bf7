"""What is in the way of requests now, of PostgreSQL and Redis: locks, connections used up, and who does not answer.

The first look is one cheap statement. Only where somebody waits is it asked who for whom, as PostgreSQL's page asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from watchglass.api import words
from watchglass.api.activity import activity, asked_of
from watchglass.api.activity_answers import LockNode, Session
from watchglass.api.answers import Pressing
from watchglass.api.context import Context
from watchglass.api.pressing_pools import of_pools
from watchglass.api.pressing_redis import of_redis
from watchglass.errors import DatabaseNotConfigured, DatabaseUnavailable, WatchglassError
from watchglass.store.pressing import Pressure, pressure

WAITED: Final = 1.0
"""Seconds from which on a session that waits for a lock is worth a word."""

CROWDED: Final = 0.8
"""The share of the connections that applications may open from which on it is worth a word."""

_DOES: Final = {
    "active": "has executed a statement",
    "idle in transaction": "has been idle in its transaction",
    "idle in transaction (aborted)": "has been idle in its failed transaction",
}


async def known(context: Context) -> list[Pressing] | None:
    """What presses, those first that hold up the most; None where PostgreSQL does not say and Redis is well."""
    of_database, redis = await asyncio.gather(_known_of_database(context), of_redis(context))
    return [*(of_database or []), *redis] if redis else of_database


async def _known_of_database(context: Context) -> list[Pressing] | None:
    try:
        return await _of_database(context)
    except WatchglassError:
        return None


async def _of_database(context: Context) -> list[Pressing]:
    """Nothing without a database. Raises where it does not say."""
    try:
        _, found = await asked_of(context, lambda database: pressure(database, WAITED))
    except DatabaseNotConfigured:
        return []
    except DatabaseUnavailable as error:
        return [Pressing(what="away", sentence=error.plainly.rstrip("."))]
    locks = (await activity(context)).locks if found.waiting else []
    return [*_of_locks(locks), *await of_pools(context), *_of_connections(found)]


def _of_locks(roots: list[LockNode]) -> Iterator[Pressing]:
    for root in sorted(roots, key=lambda one: -one.waiters_total):
        waited = longest_wait(root)
        if waited >= WAITED:
            yield Pressing(what="locks", sentence=_held_up(root, waited), pid=root.session.pid, seconds=waited)


def _of_connections(found: Pressure) -> Iterator[Pressing]:
    share = found.used / found.usable
    if share > CROWDED:
        how = "All" if found.used >= found.usable else f"{found.used:,} of"
        sentence = f"{how} {found.usable:,} connections that PostgreSQL has for applications are used"
        yield Pressing(what="connections", sentence=sentence, share=share)


def longest_wait(root: LockNode) -> float:
    """Seconds that the longest waiting session beneath this one has waited."""
    return max((max(one.seconds or 0.0, longest_wait(one)) for one in root.waiters), default=0.0)


def _held_up(root: LockNode, waited: float) -> str:
    """Who waits for whom for how long, and what the one in the way does, which says whether it will end by itself."""
    one, many = root.waiters_total == 1, words.plural(root.waiters_total, "session")
    waits = f"{many} {'waits' if one else 'wait'} for a lock that {_holder(root.session)} holds"
    return f"{waits}, {'' if one else 'the longest '}for {words.duration(waited)}{_does(root.session)}"


def _holder(session: Session) -> str:
    if session.endpoint is not None:
        return f"{session.endpoint}{' (which has ended)' if session.request_ended else ''}"
    return "a prepared transaction" if session.pid == 0 else f"session {session.pid}{_known_as(session)}"


def _known_as(session: Session) -> str:
    name = session.application or (session.user and f"user {session.user}")
    return f" ({name})" if name else ""


def _does(session: Session) -> str:
    does = _DOES.get(session.state or "")
    if does is None or session.seconds is None:
        return ""
    it = f"session {session.pid}" if session.endpoint is not None else "it"
    return f"; {it} {does} for {words.duration(session.seconds)}"
