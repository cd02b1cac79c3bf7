"""The spans of one trace as a tree, whatever came in: several processes, missing parents, clocks that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """One span. `start_ns` and `end_ns` are Unix time by the clock of `host`.

    `root` numbers the local root (the part of the trace that one process did for one request) that it belongs to; the
    first span with a number is that root itself. `alike` are a noun and a key: spans with the same are similar.
    """

    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    kind: str = "internal"
    root: int = 0
    host: str = ""
    alike: tuple[str, str] | None = None


@dataclass(slots=True)
class Tree:
    """Spans by their number in the sequence they came in; a number that is in no `order` is a duplicate.

    `parents` has None for those on top. `starts`, `ends` are in nanoseconds by one clock: `shifts` was added to what
    came in. `missing` says whose parent is not there: they are on top, or below their local root. `order` goes from a
    parent to its children, those by their start; `depths` are by number as well.
    """

    parents: list[int | None]
    children: list[list[int]]
    missing: list[bool]
    starts: list[int]
    ends: list[int]
    shifts: list[int]
    order: list[int]
    depths: list[int]

    @property
    def tops(self) -> list[int]:
        """The spans without a parent, by their start."""
        return [number for number in self.order if self.parents[number] is None]


def tree(spans: Sequence[Span]) -> Tree:
    """The tree of the spans of one trace. Linear but for sorting siblings, for any input."""
    kept = _distinct(spans)
    parents, missing = _parents(spans, kept)
    _break_cycles(spans, kept, parents, missing)
    found = Tree(
        parents,
        [[] for _ in spans],
        missing,
        [span.start_ns for span in spans],
        [max(span.start_ns, span.end_ns) for span in spans],
        [0] * len(spans),
        [],
        [0] * len(spans),
    )
    for number in kept:
        parent = parents[number]
        if parent is not None:
            found.children[parent].append(number)
    tops = [number for number in kept if parents[number] is None]
    _align_clocks(spans, found, tops)
    _sort(found, tops)
    return found


def _distinct(spans: Sequence[Span]) -> list[int]:
    """The numbers without those of spans that came twice."""
    seen: set[tuple[object, ...]] = set()
    kept = []
    for number, span in enumerate(spans):
        identity = (span.span_id, span.parent_id, span.start_ns, span.end_ns, span.kind, span.host)
        if identity not in seen:
            seen.add(identity)
            kept.append(number)
    return kept


def _parents(spans: Sequence[Span], kept: Sequence[int]) -> tuple[list[int | None], list[bool]]:
    """Each span's parent, of its own local root before any other; and whether it had one that is not there."""
    roots: dict[int, int] = {}
    nearby: dict[tuple[int, str], int] = {}
    anywhere: dict[str, int] = {}
    for number in kept:
        span = spans[number]
        roots.setdefault(span.root, number)
        nearby.setdefault((span.root, span.span_id), number)
        anywhere.setdefault(span.span_id, number)
    parents: list[int | None] = [None] * len(spans)
    missing = [False] * len(spans)
    for number in kept:
        span, root = spans[number], roots[spans[number].root]
        parent = nearby.get((span.root, span.parent_id or ""), anywhere.get(span.parent_id or ""))
        missing[number] = span.parent_id is not None and parent in (None, number)
        if parent is None or parent == number:
            parent = None if root == number else root
        parents[number] = parent
    return parents, missing


def _break_cycles(spans: Sequence[Span], kept: Sequence[int], parents: list[int | None], missing: list[bool]) -> None:
    """Put the earliest span of each cycle on top: no clock and no process makes such, an odd client can."""
    walked = [-1] * len(spans)
    for first in kept:
        number: int | None = first
        while number is not None and walked[number] < 0:
            walked[number] = first
            number = parents[number]
        if number is not None and walked[number] == first:
            earliest = min(_cycle(parents, number), key=lambda one: (spans[one].start_ns, one))
            parents[earliest], missing[earliest] = None, True


def _cycle(parents: Sequence[int | None], first: int) -> Iterator[int]:
    yield first
    number = parents[first]
    while number is not None and number != first:
        yield number
        number = parents[number]


def _align_clocks(spans: Sequence[Span], found: Tree, tops: Sequence[int]) -> None:
    """Shift what another host did so that it lies where its caller waited for it.

    As Jaeger does (https://pkg.go.dev/github.com/jaegertracing/jaeger/model/adjuster#ClockSkew): in the middle of the
    caller's span, or at its start where it is longer. What began while the caller waited and took longer than it did
    stays: the caller hung up. Messages that nobody waits for stay, too.
    """
    shifts: dict[int, int] = {}
    waiting = list(tops)
    while waiting:
        number = waiting.pop()
        span, parent = spans[number], found.parents[number]
        if span.root not in shifts:
            shifts[span.root] = 0 if parent is None else _shift(spans, found, parent, number)
        shift = found.shifts[number] = shifts[span.root]
        found.starts[number] += shift
        found.ends[number] += shift
        waiting.extend(found.children[number])


def _shift(spans: Sequence[Span], found: Tree, parent: int, number: int) -> int:
    """What to add to the times of a local root below a span of another process, whose times are right already."""
    if spans[parent].host == spans[number].host:
        return found.shifts[parent]
    if spans[number].kind != "server":
        return 0
    low, high = found.starts[parent], found.ends[parent]
    start, end = found.starts[number], found.ends[number]
    room = (high - low) - (end - start)
    if (low <= start and end <= high) or (room < 0 and low <= start < high):
        return 0
    return low + max(room, 0) // 2 - start


def _sort(found: Tree, tops: Sequence[int]) -> None:
    def by_time(number: int) -> tuple[int, int, int]:
        return found.starts[number], -found.ends[number], number

    for siblings in found.children:
        siblings.sort(key=by_time)
    waiting = sorted(tops, key=by_time, reverse=True)
    while waiting:
        number = waiting.pop()
        parent = found.parents[number]
        found.depths[number] = 0 if parent is None else found.depths[parent] + 1
        found.order.append(number)
        waiting.extend(reversed(found.children[number]))
