"""PostgreSQL now, in words: its connections, what the role lacks, and one sentence that says how things are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from watchglass.api import words
from watchglass.api.activity_answers import ApplicationCount, Connections, LockNode, Role, Session, StateCount
from watchglass.api.activity_sessions import UNKNOWN, grant_of

if TYPE_CHECKING:
    from watchglass.store.activity import Activity

POOLED: Final = (
    "Of the connections that processes of services hold none is a session of this server: behind a pooler such as "
    "pgbouncer a client does not know its session's number, so that no session is named by its request."
)
NOT_TRACKED: Final = "PostgreSQL does not say what sessions do: track_activities is off."
_HIDES: Final = "The role {role} does not see what {hidden} of other roles do. To see it: {grant}"
_WOULD_ADD: Final = (
    "pg_monitor would add what the sessions of other roles do: their state, since when, their statement and their "
    "client. To see it: {grant}"
)


def role_of(server: Mapping[str, Any]) -> Role:
    """As whom PostgreSQL was asked."""
    would_add = None if server["sees_all"] else _WOULD_ADD.format(grant=grant_of(server))
    return Role(name=server["role"], sees_all=server["sees_all"], would_add=would_add)


def connections_of(now: Activity) -> Connections:
    """Connections of clients, those of hidden state as unknown."""
    of_state = [row for row in now.groups if row["of_state"]]
    states = [row for row in of_state if not row["is_ours"]]
    return Connections(
        limit=now.server["max_connections"],
        reserved=now.server["reserved"],
        used=sum(row["connections"] for row in of_state),
        ours=sum(row["connections"] for row in of_state if row["is_ours"]),
        by_state=[StateCount(state=row["state"] or UNKNOWN, count=row["connections"]) for row in states],
        by_application=[
            ApplicationCount(
                application=row["application_name"] or None, user=row["username"], count=row["connections"]
            )
            for row in now.groups
            if not row["of_state"]
        ],
    )


def told_of(now: Activity, connections: Connections) -> list[str]:
    """What PostgreSQL does not tell."""
    if not now.server["tracked"]:
        return [NOT_TRACKED]
    hidden = sum(one.count for one in connections.by_state if one.state == UNKNOWN)
    if not hidden or now.server["sees_all"]:
        return []
    role, grant = now.server["quoted_role"], grant_of(now.server)
    return [_HIDES.format(role=role, hidden=words.plural(hidden, "session"), grant=grant)]


def sentence(now: Activity, connections: Connections, lists: Mapping[str, Any], left_off: Mapping[str, int]) -> str:
    """How things are: who waits and for whom, who idles in a transaction, and how many connections there are.

    Watchglass's own sessions, which are short, are not spoken of.
    """
    longest = now.waiting[0]["seconds"] if now.waiting else None
    parts = [_waiting(len(now.waiting) + left_off["waiting"], longest, lists["locks"])]
    if idle := [one.seconds or 0.0 for one in lists["idle_in_transaction"] if not one.ours]:
        counted = words.plural(len(idle) + left_off["idle_in_transaction"], "session")
        parts.append(f"{counted} idle in a transaction, the longest for {words.duration(max(idle))}")
    parts.append(f"{connections.used:,} of {connections.limit:,} connections")
    return "; ".join(parts) + "."


def _waiting(waiting: int, longest: float | None, locks: Sequence[LockNode]) -> str:
    if not waiting:
        return "No session waits for a lock"
    told = "1 session waits" if waiting == 1 else f"{waiting:,} sessions wait"
    since = f", {'' if waiting == 1 else 'the longest '}for {words.duration(longest)}" if longest is not None else ""
    return f"{told} for a lock{since}{_behind(locks[0].session) if locks else ''}"


def _behind(root: Session) -> str:
    """Who is at the root of the largest tree."""
    if root.endpoint is not None:
        return f", behind {root.endpoint}{', which has ended' if root.request_ended else ''}"
    if root.pid == 0:
        return ", behind a prepared transaction"
    return f", behind session {root.pid}{f' ({root.application})' if root.application else ''}"
