"""What the time of requests is made of: its components, in one order and with one name each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.asking import Asked
from watchglass.api.budget_answers import BudgetShare
from watchglass.instrumentation.budget import HTTP, LOOP_LAG, OWN_CODE, POOL_WAIT, POSTGRESQL, REDIS
from watchglass.meters import HTTP_SERVER_BUDGET

COMPONENT: Final = "watchglass.budget.component"

LABELS: Final[Mapping[str, str]] = {
    OWN_CODE: "own code",
    POSTGRESQL: "PostgreSQL",
    REDIS: "Redis",
    HTTP: "outbound HTTP",
    POOL_WAIT: "waiting for a connection",
    LOOP_LAG: "event-loop lag",
}
"""Every component, in the order in which they are drawn."""

LEAST: Final = 0.005
"""The smallest share that is worth a word."""


async def seconds_by(
    asked: Asked, window: Window, by: Sequence[str], where: Mapping[str, str | None] | None = None
) -> dict[tuple[str | None, ...], float]:
    """Seconds of all requests by these attributes; those of the overflow series are no endpoint's."""
    groups = await asked.reader.select(HTTP_SERVER_BUDGET.name, window, by=tuple(by), where=where)
    return {group.key: group.sum for group in groups}


def shares(seconds: Mapping[str, float]) -> list[BudgetShare]:
    """The components that took any time, in their order; they add up to 1."""
    whole = sum(seconds.values())
    known = [name for name in (*LABELS, *(set(seconds) - set(LABELS))) if seconds.get(name, 0.0) > 0]
    return [
        BudgetShare(component=name, label=LABELS.get(name, name), seconds=seconds[name], share=seconds[name] / whole)
        for name in known
    ]


def add_up(found: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Several budgets as one."""
    whole: dict[str, float] = defaultdict(float)
    for one in found:
        for name, seconds in one.items():
            whole[name] += seconds
    return whole


def spoken(found: Iterable[BudgetShare], most: int = 6) -> str:
    """62 % PostgreSQL, 30 % own code: the largest first."""
    largest = sorted((one for one in found if one.share >= LEAST), key=lambda one: -one.share)
    return ", ".join(f"{words.percent(one.share)} {one.label}" for one in largest[:most])
