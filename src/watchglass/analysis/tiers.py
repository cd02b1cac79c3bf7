"""The resolutions in which metrics are kept, and which of them serve a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from watchglass.analysis.windows import Window

TEN_SECONDS, MINUTE, HOUR, DAY = WIDTHS = (10, 60, 3600, 86_400)
"""Seconds of a row of each tier, finest first."""

CHUNKS = {MINUTE: 1800, HOUR: 3600, DAY: 86_400}
"""Seconds that are rolled up at once into each tier: half an hour of minutes is stored as one block."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One resolution: rows of `width` seconds, kept from `since` on, complete before `until` (unix seconds).

    `stale` are the spans, in order, for which something came that is not in its rows yet.
    """

    width: int
    since: float = -inf
    until: float = inf
    stale: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a window that one tier answers: rows that begin from `start` on and before `end`."""

    width: int
    start: float
    end: float


def stitch(window: Window, tiers: Sequence[Tier], step: int | None) -> list[Piece]:
    """The pieces of a window, in order of time, each from the coarsest tier that fits it; `tiers` are coarsest first.

    A tier fits where its rows are not stale and lie within the window and within the slots of `step` seconds (None: one
    slot). Where nothing finer is kept any more, it also serves when they reach over slots: they then belong to the slot
    they begin in.
    """
    return list(_stitch(window.start, window.end, tiers, step))


def _stitch(start: float, end: float, tiers: Sequence[Tier], step: int | None) -> Iterator[Piece]:
    if start >= end or not tiers:
        return
    tier, *finer = tiers
    first = _up(max(start, tier.since), tier.width)
    last = _down(min(end, tier.until), tier.width)
    if step is not None and step % tier.width:
        last = min(last, _up(min((one.since for one in finer), default=inf), tier.width))
    if not finer:
        first, last = max(start, tier.since), end
    if first >= last:
        yield from _stitch(start, end, finer, step)
        return
    yield from _stitch(start, first, finer, step)
    for stale in tier.stale if finer else ():
        out, back = max(first, _down(stale[0], tier.width)), min(last, _up(stale[1], tier.width))
        if out < back:
            if first < out:
                yield Piece(tier.width, first, out)
            yield from _stitch(out, back, finer, step)
            first = back
    if first < last:
        yield Piece(tier.width, first, last)
    yield from _stitch(last, end, finer, step)


def resolution(start: float, now: float, kept: Sequence[tuple[int, float]]) -> int:
    """The width of the finest rows that there still are at `start`; `kept` has for each width how many seconds."""
    for width, seconds in kept:
        if start >= now - seconds:
            return width
    return kept[-1][0]


def _up(time: float, width: int) -> float:
    return time if time in (inf, -inf) else -(-time // width) * width


def _down(time: float, width: int) -> float:
    return time if time in (inf, -inf) else time // width * width
