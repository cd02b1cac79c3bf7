"""The sentence at the top: what is over a limit or notably worse, worst first; otherwise that all is quiet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watchglass.ui import format
from watchglass.ui.cards.tile import FigureView, TileView
from watchglass.ui.levels import Level

ORDER = {"critical": 0, "warning": 1}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that is not as it should be; `card` and `figure` say where it is seen."""

    level: Level
    text: str
    card: str
    figure: str


@dataclass(frozen=True, slots=True)
class Headline:
    """`level` None is quiet. `evidence` holds what the sentence rests on."""

    level: Level | None
    sentence: str
    evidence: list[Evidence]

    @property
    def count(self) -> int:
        """How many things are not as they should be."""
        return len(self.evidence) + (self.level is not None)


def view(tiles: Sequence[TileView], problem: str | None = None) -> Headline:
    """`problem` is what keeps telemetry from being stored; it comes first."""
    found = sorted((_evidence(tile, one) for tile in tiles for one in tile.figures if one.judgement.level), key=_order)
    if problem:
        return Headline("critical", problem, found)
    if found:
        return Headline(found[0].level, found[0].text, found[1:])
    return Headline(None, _quiet(tiles), [])


def _evidence(tile: TileView, one: FigureView) -> Evidence:
    level = one.judgement.level
    assert level is not None
    before = f" (was {_before(one)})" if one.figure.previous is not None and one.change not in ("", "same") else ""
    why = f", {one.judgement.sentence}" if one.judgement.sentence else ""
    text = f"{tile.title} {_lower(one.label)} {one.quantity}{why}{before}"
    return Evidence(level, text, tile.card, one.name)


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
