"""What keeps dead rows from being removed: old transactions, prepared ones, replicas and replication slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from watchglass.analysis.postgresql_health import DeadTuples, Holder
from watchglass.api import words
from watchglass.api.postgresql_health_answers import Cell, State

LEAST_DEAD: Final = 1_000
"""Fewer dead rows cost nobody anything."""

MINUTE, HOUR = 60.0, 3600.0

OLD: Final = {"session": (15 * MINUTE, 4 * HOUR), "replica": (15 * MINUTE, 4 * HOUR), "prepared": (5 * MINUTE, HOUR)}
"""Seconds after which what keeps dead rows is worth a look, and after which it is bad. A prepared transaction is meant
to end at once; nobody sees one that was forgotten."""

BRIEF: Final = 10.0
"""Seconds for which anything may keep rows from a vacuum: it comes again in a minute."""

MANY_TRANSACTIONS: Final = 50_000_000
"""A quarter of what autovacuum_freeze_max_age is by default."""

Kept = Mapping[DeadTuples, Holder]
"""Tables whose dead rows had to be kept, and because of what."""

_KINDS: Final = {
    "session": "session",
    "replica": "replica",
    "prepared": "prepared transaction",
    "slot": "replication slot",
}


def held(tables: Sequence[DeadTuples], holders: Sequence[Holder]) -> dict[DeadTuples, Holder]:
    """Tables that were vacuumed since something began that keeps dead rows, and have many still; what began first."""
    lasting = [one for one in holders if one.began is not None and (one.seconds or 0.0) >= BRIEF]
    dated = sorted(lasting, key=lambda one: one.began or 0.0)
    found = {}
    for table in tables:
        before = [one for one in dated if table.last is not None and (one.began or 0.0) < table.last]
        if before and table.dead >= LEAST_DEAD and table.over >= 1:
            found[table] = before[0]
    return found


def state_of_holder(one: Holder, kept: Kept) -> State:
    """By its age, and by whether a vacuum had to keep rows because of it."""
    seconds, transactions = one.seconds or 0.0, one.transactions or 0
    old, too_old = OLD.get(one.kind, (float("inf"), float("inf")))
    if transactions >= MANY_TRANSACTIONS or seconds >= too_old:
        return "bad"
    unused = one.kind == "slot" and one.detail != "active"
    return "attention" if seconds >= old or one in kept.values() or unused else "good"


def called(one: Holder) -> str:
    """It, in the middle of a sentence."""
    who = f" ({one.who})" if one.who else ""
    state = f", {one.detail}" if one.detail else ""
    for_long = f" for {words.duration(one.seconds)}" if one.seconds is not None else ""
    return f"the {_KINDS[one.kind]} {one.name}{who}{state}{for_long}"


def ending(one: Holder) -> str:
    """What to do about it, in a sentence."""
    match one.kind:
        case "prepared":
            return "Commit it or roll it back: it stays until somebody does, over a restart too."
        case "slot":
            return "Let its reader come back, or drop it."
        case "replica":
            return "End the long query on the replica, or switch hot_standby_feedback off there."
    return "End it, and have the service commit sooner; idle_in_transaction_session_timeout ends such ones by itself."


def end(one: Holder) -> str | None:
    """The statement that ends it."""
    quoted = one.name.replace("'", "''")
    match one.kind:
        case "session":
            return f"SELECT pg_terminate_backend({one.name});"
        case "prepared":
            return f"ROLLBACK PREPARED '{quoted}';"
        case "slot":
            return f"SELECT pg_drop_replication_slot('{quoted}');" if one.detail != "active" else None
    return None


def holding(one: Holder) -> dict[str, Cell]:
    """It as a row."""
    return {
        "what": _KINDS[one.kind],
        "name": one.name,
        "detail": ", ".join(filter(None, (one.who, one.detail))) or None,
        "seconds": one.seconds,
        "progress": None,
        "transactions": one.transactions,
    }
