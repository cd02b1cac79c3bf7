"""What a trace waited for: the chain of work that made it take as long as it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from watchglass.analysis.spans import Tree


class Segment(NamedTuple):
    """A stretch of time of one span, by its number, in the nanoseconds of the tree."""

    number: int
    start: int
    end: int


class _Frame:
    """A span on the way back in time: it is explained down to `cursor`, its children that may come next remain."""

    __slots__ = ("children", "cursor", "number", "start")

    def __init__(self, number: int, start: int, end: int, children: Iterator[tuple[int, int, int]]) -> None:
        self.number, self.start, self.cursor, self.children = number, start, end, children

    def before(self) -> tuple[int, int, int] | None:
        """The child that ended last before the cursor: its number, start and end within this span."""
        return next((child for child in self.children if child[2] <= self.cursor), None)


_TRACE = -1


def critical_path(tree: Tree) -> list[Segment]:
    """The critical path, by time: segments that do not overlap and cover each moment of a single root.

    From the end of a span back: the child that ended last was waited for, before its start the one that had ended last
    by then, and so on; what lies between is the span's own. A child that ran beside the one that was waited for is not
    on the path. Children count as far as they lie within their parent. This is the algorithm of CRISP, Zhang et al.,
    USENIX ATC 2022, https://www.usenix.org/conference/atc22/presentation/zhang-zhizhou. Several roots count as children
    of one span that is not shown.
    """
    tops = tree.tops
    if not tops:
        return []
    start, end = min(tree.starts[top] for top in tops), max(tree.ends[top] for top in tops)
    path: list[Segment] = []
    frames = [_Frame(_TRACE, start, end, _latest_first(tree, tops, start, end))]
    while frames:
        frame = frames[-1]
        child = frame.before()
        until = frame.start if child is None else child[2]
        _add(path, frame.number, until, frame.cursor)
        if child is None:
            frames.pop()
            continue
        number, frame.cursor, ended = child
        frames.append(
            _Frame(number, frame.cursor, ended, _latest_first(tree, tree.children[number], frame.cursor, ended))
        )
    return path[::-1]


def _latest_first(tree: Tree, numbers: Sequence[int], start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Children as far as they lie within start and end, the last one to end first, of two the longer."""
    within = [
        (number, max(tree.starts[number], start), min(tree.ends[number], end))
        for number in numbers
        if tree.starts[number] < end and tree.ends[number] > start
    ]
    return iter(sorted(within, key=lambda child: (-child[2], child[1])))


def _add(path: list[Segment], number: int, start: int, end: int) -> None:
    """The path grows backwards; the trace itself is nobody's work."""
    if number != _TRACE and start < end:
        path.append(Segment(number, start, end))
