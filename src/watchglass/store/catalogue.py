"""What the store knows of series, processes and tiers: read again only when there is more of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.analysis.tiers import CHUNKS, DAY, HOUR, Tier
from watchglass.store.text import storable

if TYPE_CHECKING:
    from watchglass.store.database import Fetch

OF_PROCESSES = frozenset(
    ("service.instance.id", "service.name", "service.namespace", "service.version", "host.name", "process.pid")
)
"""Attributes of the process that wrote a row, not of its series."""

OF_RELEASES = frozenset(("service.name", "service.namespace", "service.version"))
"""Those that all processes of a release share: of amounts, hours and days keep no others."""

_LOOK_AGAIN_SECONDS = 30.0
_DAYS = 8
"""Lists of processes that are kept: by the day from which on they were there."""

Key = tuple[str | None, ...]
Where = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Known:
    """One series, or one process, by its id."""

    id: int
    kind: str
    attributes: Mapping[str, str]

    def fits(self, where: Where) -> bool:
        return all(self.attributes.get(name) == value for name, value in where.items())

    def key(self, by: Sequence[str]) -> Key:
        return tuple(self.attributes.get(name) for name in by)


@dataclass(frozen=True, slots=True)
class Selection:
    """The series and the processes that a question is about, and the tiers that may answer it, coarsest first.

    `everyone` says that these are all processes there are. `now` is the database's clock; `version` changes when
    something that was closed has changed.
    """

    series: Sequence[Known]
    processes: Sequence[Known]
    everyone: bool
    tiers: Sequence[Tier]
    now: float
    version: str

    @property
    def gauges(self) -> list[int]:
        """The ids of series that are states, not amounts, in order."""
        return sorted(one.id for one in self.series if one.kind in ("gauge", "updown"))


class Catalogue:
    """Of one service, or of all when it is None."""

    def __init__(self, service: str | None) -> None:
        self._service = service
        self._series: dict[str, tuple[int, list[Known]]] = {}
        self._processes: dict[float, tuple[str, float, list[Known]]] = {}

    async def select(self, fetch: Fetch, name: str, start: float, by: Sequence[str], where: Where) -> Selection:
        """What a question about the metric `name` from `start` on needs, with what has come since the last one."""
        [state] = await fetch(sql.load("metrics")["known_series"], name)
        series = await self._known_series(fetch, name, state["series"])
        processes = await self._known_processes(fetch, state["instances"], start)
        own = {key: storable(value) if value else value for key, value in where.items() if key not in OF_PROCESSES}
        of_processes = {key: value for key, value in where.items() if key in OF_PROCESSES}
        chosen = [one for one in series if one.fits(own)]
        amounts = any(one.kind not in ("gauge", "updown") for one in chosen)
        single = amounts and (OF_PROCESSES - OF_RELEASES) & {*by, *where}
        writers = [one for one in processes if self._service in (None, one.kind) and one.fits(of_processes)]
        return Selection(
            chosen,
            writers,
            len(writers) == len(processes),
            [tier for tier in _tiers(state) if tier.width < HOUR or not single],
            state["now"],
            state["version"],
        )

    async def _known_series(self, fetch: Fetch, name: str, number: int) -> list[Known]:
        known = self._series.get(name)
        if known is None or known[0] != number:
            rows = await fetch(sql.load("metrics")["series_of_name"], name)
            known = len(rows), [Known(row["id"], row["kind"], json.loads(row["attributes"])) for row in rows]
            self._series[name] = known
        return known[1]

    async def _known_processes(self, fetch: Fetch, version: str, start: float) -> list[Known]:
        """Those that were there from `start` on; read again now and then, because one that had slept may be back."""
        day, now = (start - HOUR) // DAY, time.monotonic()
        known = self._processes.get(day)
        if known is None or known[0] != version or now - known[1] > _LOOK_AGAIN_SECONDS:
            rows = await fetch(sql.load("metrics")["processes"], day * DAY)
            found = [Known(row["id"], row["service_name"], json.loads(row["attributes"])) for row in rows]
            kept = sorted(self._processes.items(), key=lambda one: one[1][1])[-_DAYS:]
            self._processes = {**dict(kept), day: (version, now, found)}
            return found
        return known[2]


def _tiers(state: Any) -> list[Tier]:
    """Coarsest first. What is late in a tier is missing in the coarser ones as well."""
    late = list(zip(state["late_widths"], state["late"], strict=True))
    tiers = zip(state["widths"], state["since"], state["until"], strict=True)
    return [
        Tier(*tier, stale=tuple((start, start + CHUNKS[width]) for width, start in late if width <= tier[0]))
        for tier in sorted(tiers, reverse=True)
    ]
