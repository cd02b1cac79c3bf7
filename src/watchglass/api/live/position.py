"""Where a viewer of the live tail is, as text that fits a header and a URL: `Last-Event-ID`.

    1w4k2a-6925f3c0.3-120.4-88-17

Which store it is and up to when (both hexadecimal); then of each process that wrote lately its number, the sequence of
its last batch that was read, and of the next one how many lines were read, if any.
"""

from __future__ import annotations

import re

from watchglass.store.log_tail import Cursor

MOST_PROCESSES = 300
"""Processes that a position names. Of the rest, lines of two minutes may be sent again after it, under the same ids."""

LONGEST = 8_000
"""Characters of a position."""

_HEAD = re.compile(r"([0-9a-f]{1,10})-([0-9a-f]{1,10})", re.ASCII)
_ENTRY = re.compile(r"(\d{1,10})-(\d{1,18})(?:-(\d{1,9}))?", re.ASCII)
_LARGEST_ID = 2**31 - 1


def text_of(cursor: Cursor) -> str:
    """The position as text."""
    ids = sorted(cursor.known, key=lambda id: (id in cursor.part, id), reverse=True)[:MOST_PROCESSES]
    entries = [
        f".{id}-{cursor.known[id]}-{cursor.part[id]}" if id in cursor.part else f".{id}-{cursor.known[id]}"
        for id in ids
    ]
    return f"{cursor.born:x}-{cursor.since:x}{''.join(entries)}"


def cursor_of(text: str) -> Cursor | None:
    """What `text_of` made it from; None for anything else."""
    if len(text) > LONGEST:
        return None
    first, *rest = text.split(".")
    head = _HEAD.fullmatch(first)
    entries = [_ENTRY.fullmatch(entry) for entry in rest[: MOST_PROCESSES + 1]]
    if head is None or len(entries) > MOST_PROCESSES or None in entries:
        return None
    found = [(int(one[1]), int(one[2]), int(one[3] or 0)) for one in entries if one]
    if any(id > _LARGEST_ID for id, _, _ in found):
        return None
    known = {id: sequence for id, sequence, _ in found}
    return Cursor(int(head[1], 16), int(head[2], 16), known, {id: part for id, _, part in found if part})
