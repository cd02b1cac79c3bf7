"""Batches of log lines as they are shown, each read and put into words once for all who watch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from watchglass.api.live.position import text_of
from watchglass.api.log_lines import log_line_json
from watchglass.store.log_tail import Cursor, LogTail, Unread

MOST_KEPT = 8_000_000
"""Characters of lines that are kept for those who come back after a break."""

_LINES, _CHARACTERS = 500, 128_000
"""What one event holds at most, unless a single line is longer."""

A_READ = 2_000
"""Lines that are read at once, at least a batch."""


class Line(NamedTuple):
    """A row of `logs` with its process's fields, and the same as JSON."""

    row: dict[str, Any]
    json: str


class Part(NamedTuple):
    """Lines for one event, the oldest first, and the position after them."""

    lines: Sequence[Line]
    position: str


class Reading:
    """Reads batches; those read last stay in memory, within a bound."""

    def __init__(self, tail: LogTail) -> None:
        self._tail = tail
        self._kept: OrderedDict[tuple[int, int], list[Line]] = OrderedDict()
        self._size = 0

    async def lines(self, batches: Sequence[Unread]) -> list[Line]:
        """The lines of these batches, the oldest first, those of one process in their order."""
        unknown = [one for one in batches if (one.instance_id, one.sequence) not in self._kept]
        found: dict[tuple[int, int], list[Line]] = {(one.instance_id, one.sequence): [] for one in unknown}
        for row in await self._tail.lines([one._replace(taken=0, lines=one.taken + one.lines) for one in unknown]):
            found[row["instance_id"], row["sequence"]].append(Line(row, log_line_json(row)))
        known = {key: self._kept[key] for one in batches if (key := one[:2]) in self._kept}
        for key, lines in found.items():
            self._keep(key, lines)
        return _in_order([line for one in batches for line in _after(one, found.get(one[:2]) or known.get(one[:2]))])

    def _keep(self, key: tuple[int, int], lines: list[Line]) -> None:
        self._kept[key] = lines
        self._size += sum(len(line.json) for line in lines)
        while self._size > MOST_KEPT:
            _, gone = self._kept.popitem(last=False)
            self._size -= sum(len(line.json) for line in gone)


def reads(batches: Sequence[Unread]) -> Iterator[Sequence[Unread]]:
    """The batches in groups that are read at once."""
    group: list[Unread] = []
    lines = 0
    for batch in batches:
        group.append(batch)
        lines += batch.lines
        if lines >= A_READ:
            yield group
            group, lines = [], 0
    if group:
        yield group


def after(cursor: Cursor, batches: Sequence[Unread]) -> Cursor:
    """The cursor once these batches were read, which come next."""
    ids = {batch.instance_id for batch in batches}
    known = {**cursor.known, **{batch.instance_id: batch.sequence for batch in batches}}
    part = {id: taken for id, taken in cursor.part.items() if id not in ids}
    return Cursor(cursor.born, cursor.since, known, part)


def parts(lines: Sequence[Line], cursor: Cursor, batches: Sequence[Unread]) -> Iterator[Part]:
    """The lines of these batches, event by event, each with the position of who had read up to `cursor` before."""
    sizes = {batch[:2]: batch.taken + batch.lines for batch in batches}
    known, part, begin, size = dict(cursor.known), dict(cursor.part), 0, 0
    for number, line in enumerate(lines):
        if number > begin and (number - begin >= _LINES or size + len(line.json) > _CHARACTERS):
            yield Part(lines[begin:number], text_of(Cursor(cursor.born, cursor.since, known, part)))
            begin, size = number, 0
        size += len(line.json)
        _pass(line.row, sizes, known, part)
    if lines:
        yield Part(lines[begin:], text_of(after(cursor, batches)))


def _pass(row: dict[str, Any], sizes: dict[tuple[int, int], int], known: dict[int, int], part: dict[int, int]) -> None:
    """Note that a line was read."""
    id, sequence, read = row["instance_id"], row["sequence"], row["position"] + 1
    whole = read >= sizes[id, sequence]
    known[id] = sequence if whole else sequence - 1
    if whole:
        part.pop(id, None)
    else:
        part[id] = read


def _after(batch: Unread, lines: list[Line] | None) -> list[Line]:
    """The lines of a batch less those that were read already."""
    return [line for line in lines or () if line.row["position"] >= batch.taken]


def _in_order(lines: list[Line]) -> list[Line]:
    """By time, but those of one process, which are in order already, stay as they are."""
    newest: dict[int, datetime] = {}
    keyed = []
    for line in lines:
        id, time = line.row["instance_id"], line.row["time"]
        newest[id] = max(newest.get(id, time), time)
        keyed.append((newest[id], line))
    return [line for _, line in sorted(keyed, key=lambda pair: pair[0])]
