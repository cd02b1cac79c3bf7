"""What cumulative figures of a server gained between two readings, through its resets and what it forgets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

Figures = tuple[float, ...]

MOST_REMEMBERED: Final = 20_000
"""Entries of former readings that are remembered beside those of the last one."""


class Entry(NamedTuple):
    """One entry: since when it counts (None: not told), and its figures, which only grow until it begins anew."""

    key: Hashable
    began: datetime | None
    figures: Figures


class Gains:
    """Made once per server; `read` is given each reading in turn. The first one only begins."""

    def __init__(self) -> None:
        self._last: dict[Hashable, Entry] | None = None
        self._reset: datetime | None = None
        self._read_at: datetime | None = None
        self._complete = False

    def read(
        self, entries: Iterable[Entry], *, reset: datetime | None, now: datetime, complete: bool
    ) -> dict[Hashable, Figures]:
        """What each entry gained since the last reading, those that gained nothing left out.

        `reset` changes when the server begins all anew; `now` is its clock; `complete` says that these are all entries
        there are. An entry is never counted twice; of one that began anew counts what it has since. What is not known
        to be new is not counted: it may have been there before, among those that were not read.
        """
        found = {entry.key: entry for entry in entries}
        first, anew = self._last is None, self._last is not None and reset != self._reset
        before = {} if anew else self._last or {}
        gained = {} if first else {key: self._gain(entry, before.get(key), anew) for key, entry in found.items()}
        rest = {} if complete else {key: entry for key, entry in before.items() if key not in found}
        self._last = dict(list(rest.items())[-MOST_REMEMBERED:]) | found
        self._reset, self._read_at, self._complete = reset, now, complete
        return {key: figures for key, figures in gained.items() if any(figures)}

    def knows(self, key: Hashable) -> bool:
        """Whether it was in a reading that is remembered."""
        return self._last is not None and key in self._last

    def _gain(self, entry: Entry, before: Entry | None, anew: bool) -> Figures:
        if before is not None and before.began == entry.began and not _fell(entry.figures, before.figures):
            return tuple(max(0.0, now - then) for now, then in zip(entry.figures, before.figures, strict=True))
        if before is not None or anew or self._complete or self._is_new(entry):
            return entry.figures
        return ()

    def _is_new(self, entry: Entry) -> bool:
        return entry.began is not None and self._read_at is not None and entry.began >= self._read_at


def _fell(now: Figures, before: Figures) -> bool:
    """The first figure counts how often: it falls where an entry began anew."""
    return now[0] < before[0]


def add_up(gained: Iterable[tuple[Hashable, Figures]]) -> Mapping[Hashable, Figures]:
    """The gains of entries that are one and the same."""
    whole: dict[Hashable, Figures] = {}
    for key, figures in gained:
        known = whole.get(key)
        whole[key] = figures if known is None else tuple(a + b for a, b in zip(known, figures, strict=True))
    return whole
