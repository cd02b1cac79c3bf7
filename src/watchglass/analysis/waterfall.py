"""One trace as people read it: what followed what, what took the time itself, and what was done over and over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from watchglass.analysis.critical_path import Segment, critical_path
from watchglass.analysis.spans import Span, Tree, tree

SIMILAR = 5
"""So many spans that are alike below one parent are one too many: the N+1 problem."""

SHOWN_GAPS = 20
_GAP = 0.05
"""The share of a trace from which on a stretch without children is worth a word."""


@dataclass(frozen=True, slots=True)
class Row:
    """One span of a waterfall, by its number in what came in; times in nanoseconds, `start` after the trace's.

    `self_time` is what no child of it ran in. `similar` is the number of spans in its group, itself included, 0 where
    it is in none. `shift` was added to its host's clock.
    """

    number: int
    parent: int | None
    depth: int
    start: int
    duration: int
    self_time: int
    missing_parent: bool
    on_critical_path: bool
    similar: int
    shift: int


@dataclass(frozen=True, slots=True)
class Similar:
    """Spans that are alike below one parent: `noun` says what they are, `total` is the sum of their nanoseconds.

    `sequential`: each began after the one before had ended, so that one round trip for all would have saved time.
    """

    noun: str
    numbers: list[int]
    total: int
    sequential: bool


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Rows in order, each parent before its children. `start_ns` is Unix time, all other times come after it.

    `gaps` are the longest stretches in which a span that has children had none running, longest first.
    `missing_parents` are the ids of parents that are not there.
    """

    start_ns: int
    duration: int
    rows: list[Row]
    critical_path: list[Segment]
    similar: list[Similar]
    gaps: list[Segment]
    missing_parents: list[str]


def waterfall(spans: Sequence[Span]) -> Waterfall:
    """The waterfall of the spans of one trace, in any order but for local roots, which come before their spans.

    Never raises, for any spans; n log n in their number.
    """
    found = tree(spans)
    start = min((found.starts[number] for number in found.order), default=0)
    end = max((found.ends[number] for number in found.order), default=0)
    path = [Segment(number, first - start, last - start) for number, first, last in critical_path(found)]
    on_path = {segment.number for segment in path}
    groups = _similar(spans, found)
    size = {number: len(group.numbers) for group in groups for number in group.numbers}
    idle = {number: list(_idle(found, number)) for number in found.order}
    rows = [
        Row(
            number,
            found.parents[number],
            found.depths[number],
            found.starts[number] - start,
            found.ends[number] - found.starts[number],
            sum(segment.end - segment.start for segment in idle[number]),
            found.missing[number],
            number in on_path,
            size.get(number, 0),
            found.shifts[number],
        )
        for number in found.order
    ]
    missing = dict.fromkeys(spans[row.number].parent_id or "" for row in rows if row.missing_parent)
    return Waterfall(start, end - start, rows, path, groups, _gaps(found, idle, start, end), list(missing))


def _idle(found: Tree, number: int) -> Iterator[Segment]:
    """The stretches of a span in which no child of it ran: what the union of its children leaves."""
    cursor, end = found.starts[number], found.ends[number]
    for child in found.children[number]:
        began = min(found.starts[child], end)
        if began > cursor:
            yield Segment(number, cursor, began)
        cursor = max(cursor, found.ends[child])
    if cursor < end:
        yield Segment(number, cursor, end)


def _gaps(found: Tree, idle: dict[int, list[Segment]], start: int, end: int) -> list[Segment]:
    least = max(1, round((end - start) * _GAP))
    long = [
        Segment(number, first - start, last - start)
        for number, segments in idle.items()
        if found.children[number]
        for _, first, last in segments
        if last - first >= least
    ]
    return sorted(long, key=lambda gap: (gap.start - gap.end, gap.start))[:SHOWN_GAPS]


def _similar(spans: Sequence[Span], found: Tree) -> list[Similar]:
    """The groups of spans that are alike below one parent, what took longest first."""
    alike: defaultdict[tuple[int | None, tuple[str, str]], list[int]] = defaultdict(list)
    for number in found.order:
        kind = spans[number].alike
        if kind is not None:
            alike[found.parents[number], kind].append(number)
    groups = [_group(kind[0], numbers, found) for (_, kind), numbers in alike.items() if len(numbers) >= SIMILAR]
    return sorted(groups, key=lambda group: group.total, reverse=True)


def _group(noun: str, numbers: list[int], found: Tree) -> Similar:
    """`numbers` are siblings by their start."""
    total = sum(found.ends[number] - found.starts[number] for number in numbers)
    sequential = all(found.ends[before] <= found.starts[after] for before, after in pairwise(numbers))
    return Similar(noun, numbers, total, sequential)
