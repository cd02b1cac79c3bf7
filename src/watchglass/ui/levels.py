"""When a figure of a tile is worth a colour: over a limit, or notably worse than before.

Everything else stays grey. The limits are the defaults of the alert rules; a change counts from 20 % on, and for
figures of events only when both windows hold enough of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from watchglass.api import words
from watchglass.api.models import Figure
from watchglass.ui import format

Level = Literal["warning", "critical"]

ENOUGH = 30
"""Events in each of two windows from which on a change between them is more than chance."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`warning` and `critical` are limits of the value, or of its share of the figure `of`; `below` turns them round.

    `rise` is the relative change for the worse that is notable, once the value reaches `least`.
    """

    warning: float | None = None
    critical: float | None = None
    below: bool = False
    of: str | None = None
    rise: float | None = None
    least: float = 0.0

    @property
    def levels(self) -> tuple[tuple[Level, float | None], ...]:
        """Each level with its limit, the worse first."""
        return ("critical", self.critical), ("warning", self.warning)

    @property
    def limits(self) -> tuple[float, ...]:
        return tuple(limit for limit in (self.warning, self.critical) if limit is not None)


NOTHING_EARLIER = "with nothing earlier to compare with"

SLOWER = Rule(rise=0.2)
"""The rule of every latency."""

RULES: Mapping[str, Rule] = {
    "tile_api.p95": SLOWER,
    "tile_api.errors": Rule(warning=0.01, critical=0.05),
    "tile_redis.hit_rate": Rule(warning=0.7, below=True),
    "tile_redis.memory_used": Rule(critical=0.8, of="memory_max"),
    "tile_redis.evictions": Rule(rise=0.2, least=100),
    "tile_postgresql.connections": Rule(warning=0.8, critical=0.95, of="connections_max"),
    "tile_postgresql.cache_hit_ratio": Rule(warning=0.9, below=True),
    "tile_postgresql.slow_statements": Rule(rise=0.2, least=1),
    "tile_system.cpu": Rule(warning=0.85, critical=0.95),
    "tile_system.memory": Rule(warning=0.9, critical=0.97),
    "tile_system.disk": Rule(warning=0.85, critical=0.95),
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a figure's value means. `share` is the value on its rule's scale.

    `verdict` says in two or three words why it has a level, `sentence` with what it is compared with.
    """

    rule: Rule | None = None
    share: float | None = None
    level: Level | None = None
    verdict: str = ""
    sentence: str = ""


def judge(card: str, name: str, figures: Mapping[str, Figure], than: str) -> Judgement:
    """The judgement of one figure of a tile; `than` names the earlier window ("an hour ago")."""
    figure, rule = figures[name], RULES.get(f"{card}.{name}")
    if rule is None or figure.value is None:
        return Judgement(rule)
    share = _share(figure, rule, figures)
    for level, limit in rule.levels:
        if share is not None and limit is not None and _beyond(share, limit, rule):
            verdict = f"{'below' if rule.below else 'over'} {words.percent(limit)}"
            whole = f" of {words.figure(figures[rule.of])}" if rule.of else ""
            return Judgement(rule, share, level, verdict, verdict + whole)
    if notably_worse(figure, rule):
        verdict = format.change(figure.change, figure.unit)
        sentence = format.compared(verdict, than) or (NOTHING_EARLIER if than else "")
        return Judgement(rule, share, "warning", verdict, sentence)
    return Judgement(rule, share)


def _share(figure: Figure, rule: Rule, figures: Mapping[str, Figure]) -> float | None:
    if rule.of is None:
        return figure.value
    whole = figures.get(rule.of)
    return figure.value / whole.value if figure.value is not None and whole and whole.value else None


def _beyond(share: float, limit: float, rule: Rule) -> bool:
    return share < limit if rule.below else share > limit


def notably_worse(figure: Figure, rule: Rule) -> bool:
    """Whether the figure changed for the worse by more than the rule lets pass, on enough events.

    With nothing earlier to compare with, what should not happen at all (a rule that has a `least`) is worse than none.
    """
    change = figure.change
    if rule.rise is None or (figure.value or 0) < rule.least:
        return False
    if change is None:
        return rule.least > 0
    if change.verdict != "worse":
        return False
    if figure.unit == "s" and min(figure.samples or 0, figure.previous_samples or 0) < ENOUGH:
        return False
    return change.relative is None or abs(change.relative) >= rule.rise


def latency_level(p95: Figure, slow: float) -> Level | None:
    """A P95 is a finding over `slow` seconds, or when it is notably worse than before."""
    return "warning" if (p95.value or 0.0) > slow or notably_worse(p95, SLOWER) else None
