"""The sentence at the top: what is wrong, worst first, a cause before what follows; otherwise that all is quiet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watchglass.api.answers import Pressing
from watchglass.ui import format
from watchglass.ui.cards.tile import FigureView, TileView
from watchglass.ui.levels import RULES, Level
from watchglass.ui.postgresql_sessions import WAITS_LONG

ORDER = {"critical": 0, "warning": 1}


UNKNOWN = "Not part of this, because not known: whether sessions of PostgreSQL wait for locks."

_CONNECTIONS = "tile_postgresql.connections"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that is not as it should be. `link` is where it is seen: on the page (#), or below /ui/monitoring."""

    level: Level
    text: str
    link: str


@dataclass(frozen=True, slots=True)
class Headline:
    """`level` None is quiet. `link` leads to what the sentence says, `evidence` is what else was found.

    `unknown` says what the sentence does not know of.
    """

    level: Level | None
    sentence: str
    evidence: list[Evidence]
    link: str = ""
    unknown: str = ""

    @property
    def count(self) -> int:
        """How many things are not as they should be."""
        return len(self.evidence) + (self.level is not None)


def view(tiles: Sequence[TileView], problem: str | None = None, pressing: Sequence[Pressing] | None = ()) -> Headline:
    """What is in the requests' way now explains their figures, and comes before them; None: it is not known.

    `problem` is what keeps telemetry from being stored: the figures are old then, and come after it.
    """
    now = [one for one in (_pressing(one) for one in pressing or ()) if one]
    told_of = {one.what for one in pressing or ()}
    unknown = "" if pressing is not None else UNKNOWN
    figures = [
        _evidence(tile, one)
        for tile in tiles
        for one in tile.figures
        if one.judgement.level and not ("connections" in told_of and f"{tile.card}.{one.name}" == _CONNECTIONS)
    ]
    stored = [Evidence("critical", problem, "")] if problem else []
    found = sorted([*now, *stored, *figures], key=_order)
    if found:
        return Headline(found[0].level, found[0].text, found[1:], found[0].link, unknown)
    return Headline(None, _quiet(tiles), [], unknown=unknown)


def _pressing(one: Pressing) -> Evidence | None:
    """With where an admin does something about it."""
    if one.what == "away":
        return Evidence("critical", one.sentence, "postgresql#now")
    if one.what == "locks":
        level: Level = "critical" if (one.seconds or 0.0) >= WAITS_LONG else "warning"
        return Evidence(level, one.sentence, f"postgresql#lock-{one.pid}")
    if one.what == "pool":
        return Evidence("critical", one.sentence, "postgresql#pools")
    if one.what == "redis":
        return Evidence("critical", one.sentence, "#setup")
    over = next((level for level, limit in RULES[_CONNECTIONS].levels if limit and (one.share or 0.0) > limit), None)
    return Evidence(over, one.sentence, "postgresql#connections") if over else None


def _evidence(tile: TileView, one: FigureView) -> Evidence:
    level = one.judgement.level
    assert level is not None
    before = f" (was {_before(one)})" if one.figure.previous is not None and one.change not in ("", "same") else ""
    why = f", {one.judgement.sentence}" if one.judgement.sentence else ""
    text = f"{tile.title} {_lower(one.label)} {one.quantity}{why}{before}"
    return Evidence(level, text, f"#{tile.card}-{one.name}")


def _before(one: FigureView) -> str:
    return str(format.quantity(one.figure.previous, one.figure.unit))


def _lower(label: str) -> str:
    return label if label[1:2].isupper() or label[1:2].isdigit() else label[:1].lower() + label[1:]


def _order(one: Evidence) -> int:
    return ORDER[one.level]


def _quiet(tiles: Sequence[TileView]) -> str:
    figures = [one.figure for tile in tiles for one in tile.figures]
    if not any(one.value for one in figures):
        return "Not enough data yet: nothing was measured in this window."
    if all(one.previous is None for one in figures):
        return "Quiet: no figure is over its limit. There is nothing earlier to compare with yet."
    than = next((tile.than for tile in tiles), "")
    return f"Quiet: no figure is over its limit{f' or notably worse than {than}' if than else ''}."
