"""The shapes of the answers. Every figure says how it was got, over which window and from how many samples.

Units are UCUM as in `meters.py`: "s", "By", "1" (a ratio), "{request}/s", "{key}/h". Times are UTC. A value that is not
known is None with `basis` "unavailable" and a `reason`; it is never zero.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from watchglass.analysis.windows import Window

Basis = Literal["measured", "estimated", "unavailable"]
"""measured: counted, or read from histograms that hold every event; estimated: read from another source that stands in
for it, named in `reason`; unavailable: not known, and `reason` says why."""


class Model(BaseModel):
    """An immutable part of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TimeWindow(Model):
    """A span of time, start included, end excluded."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, window: Window) -> TimeWindow:
        return cls(start=datetime.fromtimestamp(window.start, UTC), end=datetime.fromtimestamp(window.end, UTC))


class Change(Model):
    """From the earlier value to this one. `relative` is None where the earlier value is zero.

    `verdict` is None where neither direction is worse; "same" below 5 %.
    """

    absolute: float
    relative: float | None
    direction: Literal["up", "down", "flat"]
    verdict: Literal["worse", "better", "same"] | None


class Figure(Model):
    """One number. `window` is None where it is the answer's own. `spark` is the value per slot of the window.

    `samples` is the number of events or readings behind `value`, `previous_samples` behind `previous`.
    """

    label: str
    value: float | None
    unit: str
    basis: Basis = "measured"
    reason: str | None = None
    statistic: str = "last"
    samples: int | None = None
    previous: float | None = None
    previous_samples: int | None = None
    change: Change | None = None
    window: TimeWindow | None = None
    spark: list[float | None] | None = None


class Missing(Model):
    """Why a card has nothing to show, and the command, statement or setting that changes it (None: only time does)."""

    reason: str
    remedy: str | None = None
    command: str | None = None


class Answer(Model):
    """What every card answers. `resolution` is the width of a slot in seconds; `compared_with` the earlier window."""

    card: str
    title: str
    sentence: str
    window: TimeWindow
    compared_with: TimeWindow | None = None
    resolution: int | None = None
    missing: Missing | None = None


class Tile(Answer):
    """A KPI tile: its figures by name, the main one first."""

    figures: dict[str, Figure]
