"""What a question is given, and how readings of two windows become figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from watchglass.analysis.tiers import resolution
from watchglass.analysis.trends import Worse, change
from watchglass.analysis.windows import Window
from watchglass.api.context import Context
from watchglass.api.models import Basis, Change, Figure, Missing, TimeWindow
from watchglass.api.ranges import SHORTEST, comparison_of, earlier_of, window_of
from watchglass.errors import DatabaseNotConfigured

if TYPE_CHECKING:
    from watchglass.store.reader import Reader


class Parameters(BaseModel):
    """What a card takes besides the range; most take nothing. Unknown names are ignored: a URL carries those of all."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: over which window, beside which earlier one, in slots of which width.

    `memo` keeps what several parts of one answer need, for the time of the answer.
    """

    context: Context
    window: Window
    earlier: Window | None
    now: float
    than: str = ""
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, context: Context, query: Mapping[str, str], shortest: float = SHORTEST) -> Asked:
        """From the URL's range, start, end and compare. Raises `InvalidRange`."""
        now = context.clock()
        window = window_of(query, now, context.settings.kept, shortest)
        return cls(context, window, earlier_of(query, window), now, comparison_of(query))

    def head(self, card: str, title: str, sentence: str, missing: Missing | None = None) -> dict[str, Any]:
        """What every answer begins with."""
        return {
            "card": card,
            "title": title,
            "sentence": missing.reason if missing else sentence,
            "window": TimeWindow.of(self.window),
            "compared_with": TimeWindow.of(self.earlier) if self.earlier else None,
            "resolution": self.step,
            "missing": missing,
        }

    @property
    def reader(self) -> Reader:
        """The store's reader. Raises `DatabaseNotConfigured`."""
        if self.context.reader is None:
            raise DatabaseNotConfigured
        return self.context.reader

    @property
    def step(self) -> int:
        """Seconds of a slot of this question's lines: at least two flushes, so that each slot has data."""
        return self.steps(90)

    def steps(self, most: int) -> int:
        """Seconds of a slot when the window is cut into at most `most`; never finer than what is kept of its start."""
        settings = self.context.settings
        finest = resolution(self.window.start, self.now, settings.kept)
        return self.window.step(max(30.0, 2 * settings.flush_interval, finest), most)


@dataclass(frozen=True, slots=True)
class Reading:
    """A value over one window and the number of events or readings behind it; None with the reason why."""

    value: float | None
    samples: int | None = None
    reason: str | None = None
    spark: list[float | None] | None = None
    basis: Basis = "measured"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a figure is, whichever its value: `statistic` says how it is computed over the window."""

    label: str
    unit: str
    statistic: str
    worse: Worse | None = None


Readings = Mapping[str, Reading]
Read = Callable[[Asked, Window], Awaitable[Readings]]

_NO_TELEMETRY = "No telemetry in this window."


async def figures(asked: Asked, specs: Mapping[str, Spec], read: Read) -> dict[str, Figure]:
    """Each figure of `specs` over the asked window, with its change against the earlier one."""
    now = await read(asked, asked.window)
    before: Readings = await read(asked, asked.earlier) if asked.earlier else {}
    return {name: figure(spec, now.get(name), before.get(name), asked.window) for name, spec in specs.items()}


def figure(spec: Spec, now: Reading | None, before: Reading | None, window: Window | None = None) -> Figure:
    """One figure from its readings; an absent reading is unavailable."""
    now = now or Reading(None, reason=_NO_TELEMETRY)
    before = before or Reading(None)
    difference = change(now.value, before.value, spec.worse)
    return Figure(
        label=spec.label,
        unit=spec.unit,
        statistic=spec.statistic,
        value=now.value,
        basis="unavailable" if now.value is None else now.basis,
        reason=now.reason or (_NO_TELEMETRY if now.value is None else None),
        samples=now.samples,
        previous=before.value,
        previous_samples=before.samples,
        change=Change.model_validate(difference, from_attributes=True) if difference else None,
        window=TimeWindow.of(window) if window else None,
        spark=now.spark,
    )
