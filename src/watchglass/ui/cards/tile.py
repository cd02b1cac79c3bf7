"""The four KPI tiles: every figure with its change, its sample, its line, and an indicator where limits are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watchglass.api.models import Figure, Missing, Tile
from watchglass.ui import drawing, format, levels

SHOWN = {
    "tile_api": ("p95", "rate", "errors"),
    "tile_redis": ("hit_rate", "memory_used", "evictions"),
    "tile_postgresql": ("connections", "cache_hit_ratio", "slow_statements", "size"),
    "tile_system": ("cpu", "memory", "disk"),
}

THINGS = {
    "tile_api.p95": "request",
    "tile_api.rate": "request",
    "tile_api.errors": "request",
    "tile_redis.hit_rate": "look-up",
    "tile_redis.evictions": "eviction",
    "tile_postgresql.cache_hit_ratio": "block",
    "tile_postgresql.slow_statements": "statement",
    "footprint_kept.rows": "row",
    "footprint_kept.clamped": "row",
    "footprint_flush.flush_p95": "write",
    "footprint_held.overflowed": "time",
    "footprint_run.cpu_request": "request",
    "footprint_run.queries_p95": "statement",
}
"""What the samples of a figure are; of the others they are readings of a gauge."""

LEADS = {"tile_api.errors": "errors"}
"""The view of the page of traces that says more of a figure."""

ERRORS_FULL = 0.1
"""The scale of the errors' indicator ends at 10 %: their limits lie at its lower end."""


@dataclass(frozen=True, slots=True)
class FigureView:
    """One figure, ready to be shown. `of` is the limit it is measured against, in words; `leads` a view of traces."""

    name: str
    label: str
    quantity: format.Quantity
    figure: Figure
    change: str
    compared: str
    sample: str
    of: str
    spark: drawing.Spark | None
    gauge: drawing.Gauge | None
    judgement: levels.Judgement
    leads: str = ""


@dataclass(frozen=True, slots=True)
class TileView:
    """A tile: its figures, the leading one first; `than` names what they are compared with."""

    card: str
    title: str
    sentence: str
    than: str
    figures: list[FigureView]
    missing: Missing | None


def view(answer: Tile, than: str) -> TileView:
    """The tile's figures in the order they are read."""
    names = [name for name in SHOWN.get(answer.card, answer.figures) if name in answer.figures]
    shown = [_figure(answer.card, name, answer.figures, than) for name in names]
    return TileView(answer.card, answer.title, answer.sentence, than, shown, answer.missing)


def _figure(card: str, name: str, figures: Mapping[str, Figure], than: str) -> FigureView:
    figure, judgement = figures[name], levels.judge(card, name, figures, than)
    change = format.change(figure.change, figure.unit)
    return FigureView(
        name=name,
        label=figure.label,
        quantity=format.of(figure),
        figure=figure,
        change=change,
        compared=judgement.sentence or format.compared(change, than),
        sample=format.samples(figure.samples, THINGS.get(f"{card}.{name}", "reading")),
        of=_of(judgement.rule, figures),
        spark=drawing.spark(figure.spark),
        gauge=_gauge(judgement, figure),
        judgement=judgement,
        leads=LEADS.get(f"{card}.{name}", ""),
    )


def _of(rule: levels.Rule | None, figures: Mapping[str, Figure]) -> str:
    limit = figures.get(rule.of) if rule and rule.of else None
    return f"of {format.of(limit)}" if limit is not None and limit.value is not None else ""


def _gauge(judgement: levels.Judgement, figure: Figure) -> drawing.Gauge | None:
    rule, share = judgement.rule, judgement.share
    if rule is None or share is None or not rule.limits:
        return None
    limits = " and ".join(str(format.quantity(limit, "1")) for limit in rule.limits)
    label = f"{figure.label} {format.quantity(share, '1')}; limit {'below ' if rule.below else ''}{limits}"
    return drawing.gauge(share, rule.limits, rule.below, ERRORS_FULL if figure.label == "Errors" else 1.0, label)
