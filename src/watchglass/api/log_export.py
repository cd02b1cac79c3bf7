"""Everything that a search finds, as a file: sent as it is read, chunk by chunk, so that no size takes more memory."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Literal

from watchglass.api.asking import Asked
from watchglass.api.log_lines import LogLine, log_line
from watchglass.api.logs import bounds_of, search_of
from watchglass.errors import WatchglassError
from watchglass.store.logs import LogFilter, Place

Format = Literal["csv", "json"]

EXPORTER = "watchglass exporter"
"""The application_name of the connection for exports: nobody's search waits for one."""

CHUNK = 1_000
"""Lines of one question to the store, and of one piece of the file."""

_CHUNK_SECONDS = 4.0
_COLUMNS = tuple(LogLine.model_fields)
_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


async def export(asked: Asked, wanted: LogFilter, form: Format) -> AsyncIterator[str]:
    """The file in pieces. What goes wrong before the first piece is raised; after it, the file ends with its reason."""
    chunks = _chunks(asked, wanted)
    first = await anext(chunks)
    return (_as_csv if form == "csv" else _as_json)(first, chunks)


async def _chunks(asked: Asked, wanted: LogFilter) -> AsyncIterator[list[LogLine]]:
    """All lines, the newest first; at least one chunk."""
    search, (start, end) = search_of(asked, EXPORTER), bounds_of(asked)
    place: Place | None = None
    while True:
        page = await search.before(wanted, start, end, CHUNK, place, _CHUNK_SECONDS)
        yield [log_line(row) for row in page.rows]
        if page.complete and not page.more:
            return
        place = Place.of(page.rows[-1]) if page.more else Place.at(page.reached)


async def _as_csv(first: list[LogLine], rest: AsyncIterator[list[LogLine]]) -> AsyncIterator[str]:
    """With the names of the columns. A file that is not whole ends with a line that begins with #."""
    yield _rows([_COLUMNS])
    yield _rows(map(_cells, first))
    try:
        async for chunk in rest:
            yield _rows(map(_cells, chunk))
    except WatchglassError as error:
        yield _rows([[f"# This file ends too early. {error}"]])


async def _as_json(first: list[LogLine], rest: AsyncIterator[list[LogLine]]) -> AsyncIterator[str]:
    """One object: records, complete, and error where it is not. ASCII, so that a terminal shows it safely."""
    yield '{"records":[\n'
    separator, error = "", None
    try:
        for text in _documents(first):
            yield f"{separator}{text}"
            separator = ",\n"
        async for chunk in rest:
            if text := ",\n".join(_documents(chunk)):
                yield f"{separator}{text}"
                separator = ",\n"
    except WatchglassError as failure:
        error = str(failure)
    yield f'\n],"complete":{json.dumps(error is None)},"error":{json.dumps(error)}}}\n'


def _documents(lines: Iterable[LogLine]) -> list[str]:
    return [json.dumps(line.model_dump(), separators=(",", ":")) for line in lines]


def _cells(line: LogLine) -> list[str]:
    return [_cell(json.dumps(value) if isinstance(value, dict) else value) for value in line.model_dump().values()]


def _cell(value: object) -> str:
    """The text of a cell: no formula, and nothing that moves a terminal's cursor.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = _CONTROLS.sub(_escaped, str(value))
    return f"'{text}" if isinstance(value, str) and _FORMULA.match(text) else text


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("ascii", "backslashreplace").decode() if found[0] > "\x7f" else f"\\x{ord(found[0]):02x}"


def _rows(rows: Iterable[Iterable[str]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def name_of(asked: Asked, form: Format) -> str:
    """logs-20261123T140000Z-20261123T150000Z.csv"""
    start, end = (datetime.fromtimestamp(at, UTC) for at in (asked.window.start, asked.window.end))
    return f"logs-{start:%Y%m%dT%H%M%SZ}-{end:%Y%m%dT%H%M%SZ}.{form}"
