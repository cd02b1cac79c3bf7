"""The check of replication: who follows this server, whom it follows, and what slots keep for those who do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchglass.analysis.postgresql_health import Sender, Slot, Standby
from watchglass.api import words
from watchglass.api.postgresql_health_answers import Cell, HealthCheck, State
from watchglass.api.postgresql_health_parts import Columns, Examination, check, count, worst
from watchglass.store import postgresql_health as store

LATE_SECONDS, TOO_LATE_SECONDS = 10.0, 60.0
LATE_BYTES, TOO_LATE_BYTES = 100 * 1024**2, 1024**3
"""How far behind a replica is worth a look, and bad; and how much log a slot keeps for it."""

LOST: Final = ("unreserved", "lost")
"""States of a slot's log: soon gone, and gone."""

NOBODY: Final = "No replica follows this server, and no slot keeps write-ahead log for one."

Said = tuple[State, str, str | None]
"""How bad, what it is and what to do, and the statement that does it."""


OF_REPLICATION: Final[Columns] = (
    ("what", "What", None),
    ("name", "Which", None),
    ("state", "State", None),
    ("bytes", "Behind", "By"),
    ("seconds", "Behind", "s"),
)


async def replication(on: Examination) -> HealthCheck:
    """The lag of each replica that follows, of this one if it is one, and the log that slots keep."""
    senders, slots = await store.senders(on.database), await store.slots(on.database)
    standby = await store.standby(on.database) if on.server.standby else None
    said = [_of_standby(standby)] if standby else []
    said += [_of_slot(one) for one in slots]
    said += [_of_sender(one) for one in senders]
    state = worst(one for one, _, _ in said)
    sentence, command = next(((text, end) for found, text, end in said if found == state), (NOBODY, None))
    lags = [one.seconds for one in senders if one.seconds is not None]
    if standby and (standby.seconds is not None or not standby.bytes):
        lags.append(standby.seconds or 0.0 if standby.bytes else 0.0)
    return check(
        "replication",
        state,
        _good(standby, senders, slots) if state == "good" else sentence,
        value=max(lags, default=None),
        unit="s",
        basis="the largest lag" if lags else None,
        command=command,
        columns=OF_REPLICATION,
        rows=[*([_standby_row(standby)] if standby else []), *map(_sender_row, senders), *map(_slot_row, slots)],
    )


def _by_lag(size: float | None, seconds: float | None) -> State:
    size, seconds = size or 0.0, seconds or 0.0
    if size >= TOO_LATE_BYTES or seconds >= TOO_LATE_SECONDS:
        return "bad"
    return "attention" if size >= LATE_BYTES or seconds >= LATE_SECONDS else "good"


def _of_standby(one: Standby) -> Said:
    if not one.receiving:
        return (
            "bad",
            "This replica receives nothing: see its log, and whether the primary at primary_conninfo answers. What is "
            "read from it grows old.",
            None,
        )
    behind = f"This replica is {words.size(one.bytes or 0)} behind what it received"
    if one.paused:
        state: State = "bad" if _by_lag(one.bytes, one.seconds if one.bytes else None) == "bad" else "attention"
        text = f"{behind}, because replaying was paused on it. Resume it: what is read from it grows old."
        return state, text, "SELECT pg_wal_replay_resume();"
    state = _by_lag(one.bytes, one.seconds if one.bytes else None)
    text = f"{behind}, {words.duration(one.seconds)}: a long query on it makes it wait (max_standby_streaming_delay), "
    return state, f"{text}or its disk does not keep up.", None


def _of_slot(one: Slot) -> Said:
    keeps = f"The slot {one.name} keeps {words.size(one.bytes or 0)} of write-ahead log"
    drop = f"SELECT pg_drop_replication_slot('{one.name.replace(chr(39), chr(39) * 2)}');"
    if one.wal_status in LOST:
        gone = "is about to lose" if one.wal_status == "unreserved" else "has lost"
        text = f"The slot {one.name} {gone} log that its reader has not read: it has to begin anew from a copy."
        return "bad", text, drop if one.wal_status == "lost" else None
    if not one.active:
        state: State = "bad" if (one.bytes or 0.0) >= TOO_LATE_BYTES else "attention"
        text = f"{keeps}, and nobody reads from it: the disk fills. Start its reader, or drop it."
        return state, f"{text} max_slot_wal_keep_size bounds what a slot may keep.", drop
    return _by_lag(one.bytes, None), f"{keeps} for a reader that does not keep up.", None


def _of_sender(one: Sender) -> Said:
    name = one.name or one.address or f"of process {one.pid}"
    behind = f"{words.size(one.bytes)}, {words.duration(one.seconds or 0.0)}"
    text = f"The replica {name} is {behind} behind: see its load, its disk, and the network between."
    return _by_lag(one.bytes, one.seconds), text, None


def _good(standby: Standby | None, senders: Sequence[Sender], slots: Sequence[Slot]) -> str:
    said = []
    if standby:
        said.append("this replica has replayed what it received" if not standby.bytes else "this replica keeps up")
    hidden = sum(one.bytes is None for one in senders)
    if senders:
        lag = f", whose lag the role may not see of {hidden}" if hidden else " and keeps up"
        said.append(f"{count(len(senders), 'replica')} {'follows' if len(senders) == 1 else 'follow'} this server{lag}")
    if slots:
        said.append(f"{count(len(slots), 'slot')} {'is' if len(slots) == 1 else 'are'} read from")
    if not said:
        return NOBODY
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _standby_row(one: Standby) -> dict[str, Cell]:
    state = "receives nothing" if not one.receiving else "paused" if one.paused else "replaying"
    seconds = one.seconds if one.bytes else 0.0
    return {"what": "this replica", "name": None, "state": state, "bytes": one.bytes, "seconds": seconds}


def _sender_row(one: Sender) -> dict[str, Cell]:
    name = ", ".join(filter(None, (one.name, one.address))) or f"process {one.pid}"
    state = ", ".join(filter(None, (one.state, one.sync_state))) or None
    return {"what": "replica", "name": name, "state": state, "bytes": one.bytes, "seconds": one.seconds}


def _slot_row(one: Slot) -> dict[str, Cell]:
    state = ", ".join(filter(None, ("active" if one.active else "nobody reads", one.wal_status)))
    since = f" since {one.inactive_since}" if one.inactive_since and not one.active else ""
    return {"what": f"{one.type} slot", "name": one.name, "state": state + since, "bytes": one.bytes, "seconds": None}
