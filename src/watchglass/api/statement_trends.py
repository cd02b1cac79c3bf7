"""How the time of each statement went over the window: what a small line beside it shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from watchglass.analysis.fingerprints import of_statement
from watchglass.api.asking import Asked
from watchglass.api.postgresql import POSTGRESQL, SYSTEM
from watchglass.api.statement_answers import StatementRow
from watchglass.api.statement_sides import TEXT, Sides
from watchglass.meters import DB_CLIENT_OPERATION_DURATION, FINGERPRINT, STATEMENT_EXEC_TIME

if TYPE_CHECKING:
    from watchglass.store.reader import Group

SLOTS: Final = 30
LEAST_STEP: Final = 120
"""Seconds of a slot: two readings of PostgreSQL's side."""

Lines = dict[str, dict[int, float]]


async def with_trends(asked: Asked, rows: Sequence[StatementRow], now: Sides) -> list[StatementRow]:
    """The rows, each with the seconds it took per slot, from the side that saw more; 0 where it was not executed.

    Slots that lie in the window as a whole, so that no line falls at its end; without two of them there is none.
    """
    step = max(asked.steps(SLOTS), LEAST_STEP)
    window = asked.window
    slots = [slot for slot in window.slots(step) if window.start <= slot and slot + step <= window.end]
    if len(slots) < 2 or not rows:
        return list(rows)
    where = {SYSTEM: POSTGRESQL}
    client = await asked.reader.select(DB_CLIENT_OPERATION_DURATION.name, window, by=(TEXT,), where=where, step=step)
    server = await asked.reader.select(STATEMENT_EXEC_TIME.name, window, by=(FINGERPRINT,), step=step)
    sent = _lines((of_statement(group.key[0]), group) for group in client if group.key[0])
    counted = _lines((group.key[0] or "", group) for group in server)
    found = []
    for row in rows:
        names = now.statements[row.fingerprint].counted_as if row.side == "server" else [row.fingerprint]
        lines = [(counted if row.side == "server" else sent)[name] for name in names]
        spark = [sum(line.get(slot, 0.0) for line in lines) for slot in slots]
        found.append(row.model_copy(update={"time": row.time.model_copy(update={"spark": spark})}))
    return found


def _lines(groups: Iterable[tuple[str, Group]]) -> Lines:
    """Seconds per slot by the name of the statement."""
    found: Lines = defaultdict(lambda: defaultdict(float))
    for name, group in groups:
        found[name][group.time or 0] += group.sum
    return found
