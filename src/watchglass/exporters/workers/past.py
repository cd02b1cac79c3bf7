"""What the dead of a target have left: their counters and histograms, in one sheet, each process's once.

A process's id is in the sheet of the past from the moment that its counts are, and its own sheet goes after that: who
has read it before leaves out what the past already has. Whether the dead are folded yet changes no answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from watchglass.exporters.workers.files import Files
from watchglass.exporters.workers.sheets import Sheet, encode
from watchglass.exporters.workers.totals import added, bounded, lasting

_REMEMBERED = 3600.0
"""Seconds for which it is known who was folded; nobody reads for so long."""


def fold(files: Files, life: str, most: int) -> None:
    """Add the dead of a target to its past, unless another process is doing it."""
    with files.alone() as alone:
        if not alone:
            return
        _, dead = files.processes(life)
        sheets = {id: files.read(files.path(life, id, "sheet")) for id in dead}
        past = files.read(files.path_of_past(life)) or Sheet(id="past", life=life)
        new = besides(past, filter(None, sheets.values()))
        if new:
            files.write(files.path_of_past(life), encode(folded(past, new, most)))
        for id, sheet in sheets.items():
            if sheet or not files.path(life, id, "sheet").exists():  # else of another version, for another to fold
                files.remove(life, id)


def folded(past: Sheet, dead: Sequence[Sheet], most: int) -> Sheet:
    """The past with the dead in it, `most` series at the most."""
    now = time.time()
    known = {id: when for id, when in past.folded.items() if abs(now - when) < _REMEMBERED}
    newest = max(dead, key=lambda sheet: sheet.written)
    shared = set(past.listening or newest.listening).intersection(*(sheet.listening for sheet in dead))
    totals = added((part for sheet in (past, *dead) for part in lasting(sheet.totals)), up=True)
    return Sheet(
        id=past.id,
        life=past.life,
        written=max(past.written, newest.written),
        listening=tuple(sorted(shared)) or newest.listening,
        supervisor=newest.supervisor,
        totals=bounded(totals, most),
        folded=known | {sheet.id: now for sheet in dead},
    )


def besides(past: Sheet | None, sheets: Iterable[Sheet]) -> list[Sheet]:
    """The sheets that the past does not have already."""
    return [sheet for sheet in sheets if past is None or sheet.id not in past.folded]
