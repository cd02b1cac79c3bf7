"""Tables with dead rows, each beside the number at which autovacuum begins on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from watchglass.analysis.postgresql_health import DeadTuples
from watchglass.api import words
from watchglass.api.postgresql_health_answers import Cell, HealthCheck, State
from watchglass.api.postgresql_health_horizon import LEAST_DEAD, Kept, called, held
from watchglass.api.postgresql_health_parts import ON_PRIMARY, STATES, Columns, Examination, check, count, iso, worst
from watchglass.store import postgresql_health as store

LATE, TOO_LATE = 2.0, 10.0
"""How many times the number at which autovacuum begins; it looks once a minute, so that a little more is nothing."""

SMALL: Final = 16 * 1024 * 1024
"""Bytes of a table up to which dead rows that autovacuum will come for are nothing to get up for at night."""

OF_TABLES: Final[Columns] = (
    ("table", "Table", None),
    ("dead", "Dead rows", "{row}"),
    ("live", "Rows", "{row}"),
    ("threshold", "Vacuumed from", "{row}"),
    ("over", "Times over", None),
    ("autovacuum", "Autovacuum", None),
    ("autovacuumed_at", "Last autovacuum", "iso"),
    ("vacuumed_at", "Last VACUUM", "iso"),
    ("bytes", "Size", "By"),
)


async def dead_tuples(on: Examination) -> HealthCheck:
    """Each table's dead rows beside its own threshold, the furthest beyond it first."""
    if on.server.standby:
        return check("dead_tuples", "unknown", ON_PRIMARY)
    found = await store.dead_tuples(on.database)
    states = {one: state_of_table(on, one) for one in found}
    states = dict(sorted(states.items(), key=lambda item: -STATES.index(item[1])))
    concerned = [one for one, state in states.items() if state != "good"]
    kept = held(found, await store.horizon(on.database))
    return check(
        "dead_tuples",
        worst(states.values()),
        _about_tables(on, concerned, kept, found),
        value=float(sum(one.dead for one in found)),
        unit="{row}",
        command=concerned[0].remedy if concerned else None,
        columns=OF_TABLES,
        rows=[_table(one) for one in states],
        left_off=max(0, found[0].tables - len(found)) if found else 0,
    )


def state_of_table(on: Examination, one: DeadTuples) -> State:
    """By how far it is beyond the number at which autovacuum begins, and whether autovacuum comes at all."""
    if one.dead < LEAST_DEAD or one.over < 1:
        return "good"
    comes = one.enabled and on.server.autovacuum
    if comes and one.over < LATE:
        return "good"
    if comes and one.bytes <= SMALL:
        return "attention"
    return "bad" if one.dead > one.live or one.over >= TOO_LATE else "attention"


def _about_tables(on: Examination, concerned: Sequence[DeadTuples], kept: Kept, found: Sequence[DeadTuples]) -> str:
    if not concerned:
        near = found[0] if found and found[0].dead >= LEAST_DEAD else None
        most = f" The nearest: {_beside(near)}." if near else ""
        return f"Autovacuum keeps up: no table has many more dead rows than it waits for.{most}"
    first = concerned[0]
    others = f", and {count(len(concerned) - 1, 'other table')}" if len(concerned) > 1 else ""
    return f"{_beside(first)}{others}. {_why(on, first, kept)}"


def _beside(one: DeadTuples) -> str:
    name = f"The TOAST of {one.table}" if one.toast else one.table
    begins = f"{words.number(one.over)} times the {one.threshold:,.0f} at which autovacuum begins"
    return f"{name} has {count(one.dead, 'dead row')} beside {one.live:,} live ones, {begins}"


def _why(on: Examination, one: DeadTuples, kept: Kept) -> str:
    if not on.server.autovacuum:
        return "Autovacuum is switched off for the whole server: see Vacuum."
    if one in kept and one.last is not None:
        when = datetime.fromtimestamp(one.last, UTC)
        return (
            f"It was vacuumed at {when:%H:%M:%S} UTC and had to keep them, because of {called(kept[one])}: see Vacuum."
        )
    if not one.enabled:
        return "Autovacuum is switched off for this table: switch it on, and vacuum it once."
    return (
        "Autovacuum does not keep up with it: vacuum it now, and let it begin sooner on this table by a smaller "
        "autovacuum_vacuum_scale_factor, or work faster by a larger autovacuum_vacuum_cost_limit."
    )


def _table(one: DeadTuples) -> dict[str, Cell]:
    return {
        "table": f"{one.table} (TOAST)" if one.toast else one.table,
        "dead": one.dead,
        "live": one.live,
        "threshold": round(one.threshold),
        "over": round(one.over, 2),
        "autovacuum": ("on" if one.enabled else "off") + (", own settings" if one.own else ""),
        "autovacuumed_at": iso(one.autovacuumed_at),
        "vacuumed_at": iso(one.vacuumed_at),
        "bytes": one.bytes,
    }
