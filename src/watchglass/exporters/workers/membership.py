"""Joining a target and leaving it.

A target lives from the first process that listens on its address to the last; while it lives nothing that was counted
is lost. When nobody is left its total goes, and the counters begin anew with the next start, as those of any service
that was restarted; except where a supervisor (uvicorn --workers, gunicorn) has all its workers die and starts new ones:
to whoever scrapes that service never ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.exporters.workers import listening
from watchglass.exporters.workers.files import Files
from watchglass.exporters.workers.sheets import Sheet, encode

_PATIENCE = 1.0
"""Seconds to wait for another who joins or folds; one who is frozen meanwhile stops nobody."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Of one process in a target: its `life`, where the process listens, who starts it again, and its lock."""

    life: str
    listening: tuple[str, ...]
    supervisor: str
    lock: int


def join(files: Files, id: str, identity: str) -> Membership | None:
    """Become a member of the target whose address this process listens on; None while it listens on none.

    A target that nobody belongs to yet is named `identity`. Raises `OSError`.
    """
    where = listening.addresses(besides=files.folder)
    if not where:
        return None
    above = listening.supervisor()
    with files.alone(_PATIENCE):
        life, ended = _target(files, set(where), above, identity)
        lock = files.hold(files.path(life, id, "lock"))
        first = Sheet(id=id, life=life, listening=where, supervisor=above)
        files.write(files.path(life, id, "sheet"), encode(first))
        files.sweep(ended)
    return Membership(life, where, above, lock)


def leave(files: Files, id: str, member: Membership) -> bool:
    """Be a member no longer; whether what this process counted stays with the target.

    The last one takes all with it, unless a supervisor may start another.
    """
    with files.alone(_PATIENCE):
        files.let_go(member.lock)
        alive, _ = files.processes(member.life)
        stays = bool(alive or member.supervisor)
        if not stays:
            files.sweep({member.life[:8]})
        return stays


def _target(files: Files, where: set[str], above: str, identity: str) -> tuple[str, set[str]]:
    """The target to join, and those whose address is now taken by it, by the first letters of their names."""
    living = set(files.lives())
    known = [sheet for path in files.sheets() if (sheet := files.read(path)) and where & set(sheet.listening)]
    alive = sorted({sheet.life for sheet in known if sheet.life[:8] in living})
    heirless = [sheet for sheet in known if sheet.life[:8] not in living]
    own = sorted((sheet.written, sheet.life) for sheet in heirless if above and sheet.supervisor == above)
    life = alive[0] if alive else own[-1][1] if own else identity
    return life, {sheet.life[:8] for sheet in heirless} - {life[:8]}
