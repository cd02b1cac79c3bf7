"""The page behind the footer's line: what Watchglass stores, how it gets there, what it loses, what it takes to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watchglass.api import words
from watchglass.api.footprint_answers import FootprintDetails, Loss, OwnStatement, StoredTable
from watchglass.api.models import Tile
from watchglass.ui import format
from watchglass.ui.cards import tile
from watchglass.ui.levels import Level

TILES = {
    "footprint_kept": ("Kept", ("stored", "rows", "clamped")),
    "footprint_flush": ("On the way", ("flush_p95", "queue", "backlog")),
    "footprint_held": ("Held", ("series", "overflowed", "spool")),
    "footprint_run": ("Running", ("cpu", "cpu_request", "queries_p95")),
}
"""The figures of each tile, the leading one first."""

SHOWN, MOST_STATEMENTS = 12, 8
SMALL = 0.01
"""The share of all bytes below which a table is not listed."""

LOSSES = {
    "queue_full": "the queue was full",
    "rejected": "the store refused them",
    "backlog_full": "too many waited",
}


@dataclass(frozen=True, slots=True)
class TableRow:
    """A table with its share of all bytes."""

    name: str
    holds: str
    bytes: format.Quantity
    share: float
    share_text: str
    rows: str
    partitions: str


@dataclass(frozen=True, slots=True)
class LossRow:
    """What was lost, and why."""

    what: str
    why: str
    count: str


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement of the page's own, with its share of the time they all took."""

    name: str
    share: float
    share_text: str
    calls: str
    p95: format.Quantity
    longest: format.Quantity


@dataclass(frozen=True, slots=True)
class FootprintPage:
    """`level` None is quiet; `more` counts the tables that are too small to be listed."""

    level: Level | None
    headline: str
    sentence: str
    tiles: list[tile.TileView]
    tables: list[TableRow]
    more: str
    losses: list[LossRow]
    statements: list[StatementRow]


def view(answer: FootprintDetails, than: str) -> FootprintPage:
    """Everything the page shows."""
    level, headline = _headline(answer)
    total = sum(one.bytes for one in answer.tables)
    shown = [one for one in answer.tables if one.bytes >= SMALL * total][:SHOWN]
    left = answer.tables[len(shown) :]
    size = words.size(sum(one.bytes for one in left))
    return FootprintPage(
        level,
        headline,
        answer.sentence,
        [_tile(answer, card, than) for card in TILES],
        _tables(shown, total),
        f"{words.plural(len(left), 'smaller table')}, {size} together" if left else "",
        [_loss(one) for one in answer.losses],
        _statements(answer.statements),
    )


def _tile(answer: FootprintDetails, card: str, than: str) -> tile.TileView:
    title, names = TILES[card]
    head = answer.model_dump(include={"window", "compared_with", "resolution", "missing"})
    figures = {name: answer.figures[name] for name in names}
    return tile.view(Tile(**{**head, "card": card, "title": title, "sentence": answer.sentence}, figures=figures), than)


def _headline(answer: FootprintDetails) -> tuple[Level | None, str]:
    """Losses, own errors and spools that nobody could read are findings, however few: there should be none."""
    dropped = sum(one.count for one in answer.losses if one.what != "errors")
    failed = sum(one.count for one in answer.losses if one.what == "errors")
    aside = int(answer.figures["set_aside"].value or 0)
    said = [f"{words.plural(dropped, 'record')} dropped"] if dropped else []
    said += [words.plural(failed, "own error")] if failed else []
    said += [f"{words.plural(aside, 'spool')} that could not be read"] if aside else []
    if not said:
        return None, "Nothing was dropped, and nothing of Watchglass failed in this window."
    return "warning", f"{', '.join(said)} in this window. The service was not affected."


def _tables(tables: Sequence[StoredTable], total: int) -> list[TableRow]:
    return [
        TableRow(
            name=one.name,
            holds=one.holds,
            bytes=format.quantity(one.bytes, "By"),
            share=round(one.bytes / total * 100, 1),
            share_text=words.percent(one.bytes / total),
            rows=f"{one.rows:,}" if one.rows else format.NOTHING,
            partitions=f"{one.partitions:,}" if one.partitions else format.NOTHING,
        )
        for one in tables
    ]


def _loss(one: Loss) -> LossRow:
    if one.what == "errors":
        return LossRow("own errors", f"in {one.why}", f"{one.count:,}")
    return LossRow(one.what, LOSSES.get(one.why, one.why.replace("_", " ")), f"{one.count:,}")


def _statements(statements: Sequence[OwnStatement]) -> list[StatementRow]:
    total = sum(one.total_seconds for one in statements) or 1.0
    return [
        StatementRow(
            name=one.name,
            share=round(one.total_seconds / total * 100, 1),
            share_text=words.percent(one.total_seconds / total),
            calls=f"{one.calls:,}",
            p95=format.quantity(one.p95, "s"),
            longest=format.quantity(one.max, "s"),
        )
        for one in statements[:MOST_STATEMENTS]
    ]
