"""Everything that is known of a target now: the live ones' own word, else their last sheet, and what the dead left."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from watchglass.exporters.workers.asking import ask
from watchglass.exporters.workers.files import Files, usable
from watchglass.exporters.workers.past import besides
from watchglass.exporters.workers.sheets import Sheet, SheetDamaged, across, decode
from watchglass.exporters.workers.totals import Totals
from watchglass.settings import Settings


@dataclass(frozen=True, slots=True)
class Gathered:
    """The sheets of a target; `unfolded` says that there are dead whom the past does not have yet."""

    alive: list[Sheet]
    dead: list[Sheet]
    unfolded: bool


def gather(files: Files, life: str, own: Sheet | None = None) -> Gathered:
    """All sheets of a target, each process's once. `own` is that of the process that asks.

    The past is read last: who dies and is folded while this runs is then in the past, by its id, and left out of the
    rest.
    """
    alive, dead = files.processes(life)
    alive = [id for id in alive if own is None or id != own.id]
    answers = ask({id: files.path(life, id, "sock") for id in alive})
    living = [own, *(_sheet(files, life, id, answers.get(id)) for id in alive)]
    gone = [files.read(files.path(life, id, "sheet")) for id in dead]
    past = files.read(files.path_of_past(life))
    left = besides(past, filter(None, gone))
    return Gathered(besides(past, filter(None, living)), [past, *left] if past else left, bool(dead))


def of_host(settings: Settings) -> Totals:
    """The totals of all live workers of a service on this host, for a process that is none of them.

    Empty where there are none. Raises `FolderNotWritable` where the folder they would share cannot be used.
    """
    if not usable():
        return {}
    files = Files(settings)
    targets = [gather(files, life) for life in files.lives()]
    return across(
        [sheet for target in targets for sheet in target.alive], [sheet for target in targets for sheet in target.dead]
    )


def _sheet(files: Files, life: str, id: str, answer: bytes | None) -> Sheet | None:
    with suppress(SheetDamaged):
        if answer is not None and (sheet := decode(answer)) is not None:
            return sheet
    return files.read(files.path(life, id, "sheet"))
