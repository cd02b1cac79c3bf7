"""Whether autovacuum does its work, what is vacuumed now, and what keeps dead rows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from watchglass.analysis.postgresql_health import DeadTuples, Holder, Vacuum
from watchglass.api.postgresql_health_answers import Cell, HealthCheck, State
from watchglass.api.postgresql_health_horizon import Kept, called, end, ending, held, holding, state_of_holder
from watchglass.api.postgresql_health_parts import ON_PRIMARY, STATES, Columns, Examination, check, count
from watchglass.api.postgresql_health_tables import state_of_table
from watchglass.store import postgresql_health as store

OF_VACUUM: Final[Columns] = (
    ("what", "What", None),
    ("name", "Which", None),
    ("detail", "", None),
    ("seconds", "Since", "s"),
    ("progress", "Read", "1"),
    ("transactions", "Transactions since", "{transaction}"),
)


async def autovacuum(on: Examination) -> HealthCheck:
    """Whether autovacuum runs, what is vacuumed now and how far it is, and what keeps dead rows from it."""
    if on.server.standby:
        return check("autovacuum", "unknown", ON_PRIMARY)
    holders, vacuums = await store.horizon(on.database), await store.vacuums(on.database)
    tables = await store.dead_tuples(on.database)
    kept = held(tables, holders)
    states = {one: state_of_holder(one, kept) for one in holders}
    shown = [one for one, state in states.items() if state != "good" or (one.seconds or 1.0) >= 1.0]
    shown.sort(key=lambda one: -STATES.index(states[one]))
    state, sentence, command = _about_autovacuum(on, shown, states, kept, vacuums, tables)
    return check(
        "autovacuum",
        state,
        sentence,
        value=max((one.seconds for one in shown if one.seconds is not None), default=None),
        unit="s",
        basis="the oldest of what keeps dead rows",
        command=command,
        columns=OF_VACUUM,
        rows=[*map(holding, shown), *map(_running, vacuums)],
    )


def _about_autovacuum(
    on: Examination,
    holders: Sequence[Holder],
    states: Mapping[Holder, State],
    kept: Kept,
    vacuums: Sequence[Vacuum],
    tables: Sequence[DeadTuples],
) -> tuple[State, str, str | None]:
    if not on.server.autovacuum:
        sentence = "Autovacuum is switched off: dead rows stay, and in the end PostgreSQL refuses writes. Switch it on."
        settings = "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on;"
        return "bad", sentence, f"{settings} SELECT pg_reload_conf();"
    if holders and states[holders[0]] != "good":
        first = holders[0]
        of = [table.table for table, holder in kept.items() if holder == first]
        rows = f" of {', '.join(of[:3])}" if of else ""
        name = called(first)
        sentence = f"{name[0].upper()}{name[1:]} keeps dead rows{rows} from being removed. {ending(first)}"
        return states[first], sentence, end(first)
    late = [one for one in tables if state_of_table(on, one) != "good"]
    if late and on.server.workers >= on.server.most_workers:
        sentence = (
            f"All {on.server.most_workers} workers of autovacuum are busy, and {count(len(late), 'table')} need one. "
            "Let them work faster by a larger autovacuum_vacuum_cost_limit, or have more by autovacuum_max_workers."
        )
        return "attention", sentence, None
    running = f"{count(len(vacuums), 'vacuum')} running" if vacuums else "no vacuum runs now"
    return "good", f"Autovacuum is on, {running}, and nothing keeps dead rows for long.", None


def _running(one: Vacuum) -> dict[str, Cell]:
    kind = {True: "autovacuum", False: "VACUUM", None: "vacuum of another role"}[one.automatic]
    return {
        "what": kind,
        "name": one.table or f"process {one.pid}",
        "detail": one.phase,
        "seconds": one.seconds,
        "progress": one.progress,
        "transactions": None,
    }
