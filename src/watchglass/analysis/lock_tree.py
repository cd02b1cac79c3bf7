"""Who waits for whom, as a forest that people can read: at its roots are those who wait for nobody.

PostgreSQL tells all who are in a session's way, those who stand in the queue before it among them: of a hundred that
wait for one table the last has a hundred blockers. As a tree of all paths that would be endless; so each session stands
once, beneath the nearest to a root of those it waits for, and once more, cut, beneath each other root, which has to end
as well before it goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

DEEPEST: Final = 20
MOST: Final = 500
"""Nodes of a forest."""

Waits = Mapping[int, Sequence[int]]
"""The processes that block each one that waits; the longest waiting first."""


@dataclass(frozen=True, slots=True)
class Node:
    """A session. `total` counts all that wait for it or for those beneath it, shown or not.

    `cut` says that those who wait for it are not shown here: they are elsewhere, or would be too deep.
    """

    pid: int
    waiters: tuple[Node, ...] = ()
    total: int = 0
    cut: bool = False


def forest(waits: Waits, deepest: int = DEEPEST, most: int = MOST) -> list[Node]:
    """The trees, those first for which the most wait. A circle, which PostgreSQL will break, is cut where it closes."""
    waits = {pid: list(dict.fromkeys(one for one in blockers if one != pid)) for pid, blockers in waits.items()}
    waits = {pid: blockers for pid, blockers in waits.items() if blockers}
    behind: dict[int, list[int]] = {}
    for pid, blockers in waits.items():
        for blocker in blockers:
            behind.setdefault(blocker, []).append(pid)
    parents: dict[int, int] = {}
    roots = [pid for pid in behind if pid not in waits]
    _spread(roots, behind, parents)
    for pid in waits:
        if pid not in parents:
            roots.append(_in_circle(pid, waits))
            _spread(roots[-1:], behind, parents)
    totals = _Behind(behind, waits)
    planting = _Planting(behind, totals, parents, set(roots), deepest, most)
    return [planting.node(root, 0) for root in sorted(roots, key=lambda root: -totals.number(root))]


def _spread(roots: Iterable[int], behind: Mapping[int, Sequence[int]], parents: dict[int, int]) -> None:
    """Find the parent of each who waits: breadth first, so that it is the one nearest to a root."""
    level = list(roots)
    parents.update((root, root) for root in level)
    while level:
        following = []
        for pid in level:
            for waiter in behind.get(pid, ()):
                if waiter not in parents:
                    parents[waiter] = pid
                    following.append(waiter)
        level = following


def _in_circle(pid: int, waits: Waits) -> int:
    """One of a circle that this one is in or waits for: all ways from it lead into one."""
    passed: set[int] = set()
    while pid not in passed:
        passed.add(pid)
        pid = waits[pid][0]
    return pid


class _Behind:
    """How many wait for each, and for those beneath it: each a bit, for where all wait for all there are many ways."""

    def __init__(self, behind: Mapping[int, Sequence[int]], waits: Iterable[int]) -> None:
        self._behind = behind
        self._bits: dict[int, int] = {}
        self._known: dict[int, int] = {}
        for pid in reversed(list(waits)):  # those that fewest wait for first, which the others are made of
            self.number(pid)

    def number(self, pid: int) -> int:
        if pid not in self._known:
            self._known[pid] = self._all(pid)
        return (self._known[pid] & ~self._bit(pid)).bit_count()

    def _bit(self, pid: int) -> int:
        return self._bits.setdefault(pid, 1 << len(self._bits))

    def _all(self, pid: int) -> int:
        found, left = 0, [pid]
        while left:
            at = left.pop()
            if at in self._known:
                found |= self._known[at]
                continue
            for waiter in self._behind.get(at, ()):
                if not found & self._bit(waiter):
                    found |= self._bit(waiter)
                    left.append(waiter)
        return found


class _Planting:
    """Makes nodes while there is room."""

    def __init__(
        self,
        behind: Mapping[int, Sequence[int]],
        totals: _Behind,
        parents: Mapping[int, int],
        roots: set[int],
        deepest: int,
        most: int,
    ) -> None:
        self._behind, self._totals, self._parents, self._roots = behind, totals, parents, roots
        self._deepest, self._room = deepest, most

    def node(self, pid: int, depth: int) -> Node:
        self._room -= 1
        waiters, cut = [], False
        for waiter in self._behind.get(pid, ()):
            if self._room <= 0 or depth >= self._deepest:
                cut = True
                break
            if self._parents[waiter] == pid and waiter not in self._roots:
                waiters.append(self.node(waiter, depth + 1))
            elif pid in self._roots or waiter in self._roots:
                self._room -= 1
                waiters.append(Node(waiter, total=self._totals.number(waiter), cut=True))
        return Node(pid, tuple(waiters), self._totals.number(pid), cut)
