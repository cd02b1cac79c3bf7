"""Reading the pieces of a window from their tiers, a part at a time, so that the closed parts can be kept.

NumPy is imported here, so import this module on first use only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from math import ceil
from typing import TYPE_CHECKING

from watchglass import sql
from watchglass.analysis.points import Integers, Points, empty
from watchglass.analysis.tiers import CHUNKS, DAY, HOUR, MINUTE, TEN_SECONDS, Piece
from watchglass.store import blocks
from watchglass.store.cache import Cache, Question
from watchglass.store.grouping import Grouping

if TYPE_CHECKING:
    from watchglass.store.database import Fetch

PARTS = {TEN_SECONDS: 300, MINUTE: CHUNKS[MINUTE], HOUR: DAY, DAY: 1000 * DAY}
"""Seconds that are kept as one, by tier."""

AT_ONCE = 16
"""Parts that one statement reads: half an hour of minutes of 200 endpoints is 0.4 MB."""

SETTLED_SECONDS = 60
"""After which rows of ten seconds are no longer expected; those that come later change the version of a selection."""


def split(pieces: Sequence[Piece], now: float) -> Iterator[tuple[Piece, bool]]:
    """The pieces cut where parts begin and end, and whether each is closed."""
    for piece in pieces:
        seconds = PARTS[piece.width]
        settled = now - SETTLED_SECONDS if piece.width == TEN_SECONDS else piece.end
        start = piece.start
        while start < piece.end:
            end = min(piece.end, (start // seconds + 1) * seconds)
            yield Piece(piece.width, start, end), end <= settled
            start = end


async def read(
    fetch: Fetch,
    question: Question,
    pieces: Sequence[Piece],
    now: float,
    grouping: Grouping,
    gauges: Integers,
    cache: Cache,
) -> list[Points]:
    """The points of all pieces, those of each group and slot of a part as one; what is kept is not read again."""
    found: list[Points] = []
    parts = [(piece, closed, cache.get(question, piece)) for piece, closed in split(pieces, now)]
    for (width, is_missing), run in groupby(parts, lambda part: (part[0].width, part[2] is None)):
        if not is_missing:
            found += [known for _, _, known in run if known is not None]
            continue
        while some := list(islice(run, AT_ONCE)):
            whole = Piece(width, some[0][0].start, some[-1][0].end)
            read = grouping.parts(await _read(fetch, question.name, whole, grouping, gauges), PARTS[width])
            for piece, closed, _ in some:
                points = read.get(int(piece.start // PARTS[width]), empty())
                found.append(points)
                if closed:
                    cache.put(question, piece, points)
    return found


async def _read(fetch: Fetch, name: str, piece: Piece, grouping: Grouping, gauges: Integers) -> Points:
    queries = sql.load("metrics")
    series, processes = grouping.series.tolist(), None if grouping.everyone else grouping.processes.tolist()
    if piece.width == TEN_SECONDS:
        points = blocks.of_10s(await fetch(queries["read_10s"], name, processes, piece.start, piece.end), gauges)
    elif piece.width == MINUTE:
        points = blocks.of_1m(await fetch(queries["read_1m"], series, processes, piece.start, piece.end))
        points = points.where((points.time >= ceil(piece.start)) & (points.time < piece.end))
    elif piece.width == HOUR:
        step = grouping.step or DAY
        [row] = await fetch(queries["read_1h"], series, processes, piece.start, piece.end, HOUR if DAY % step else step)
        points = blocks.of_columns(row)
    else:
        [row] = await fetch(queries["read_1d"], series, processes, piece.start, piece.end, grouping.step)
        points = blocks.of_columns(row)
    return grouping.knows(points)
