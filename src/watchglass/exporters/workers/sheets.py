"""What a process writes down of itself: lines of JSON, and their digest on the last one.

The first line says whose it is; each further line is a meter and some of its series. Lines are short, so that writing
one never keeps the interpreter for long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any

from watchglass.exporters.workers.totals import Exemplar, Exemplars, Key, Total, Totals, added, lasting, meter_of
from watchglass.meters import Meter

FORMAT = 2
LARGEST = 64 * 1024 * 1024
"""Bytes of a sheet; a larger one is not read."""

_SERIES_A_LINE = 100


class SheetDamaged(ValueError):
    """What was read is not what a process of Watchglass has written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A process's totals at a moment, or, with `folded`, what dead processes left.

    `life` names the target from its start to its end; `listening` are its addresses; `supervisor` is the process that
    starts workers again, "" where there is none; `folded` has the ids of the dead that are in it, and when they came.
    """

    id: str
    life: str
    pid: int = 0
    written: float = 0.0
    listening: tuple[str, ...] = ()
    supervisor: str = ""
    totals: Totals = field(default_factory=dict)
    folded: dict[str, float] = field(default_factory=dict)


def encode(sheet: Sheet) -> bytes:
    """The sheet as bytes that `decode` takes."""
    header = {"format": FORMAT, "id": sheet.id, "life": sheet.life, "pid": sheet.pid, "written": sheet.written}
    header |= {"listening": sheet.listening, "supervisor": sheet.supervisor, "folded": sheet.folded}
    text = "".join(json.dumps(line) + "\n" for line in (header, *_lines(sheet.totals)))
    body = text.encode()
    return body + _digest(body) + b"\n"


def decode(data: bytes) -> Sheet | None:
    """The sheet, or None if it is of another version of the format. Raises `SheetDamaged`."""
    body, _, digest = data.removesuffix(b"\n").rpartition(b"\n")
    body += b"\n"
    if len(data) > LARGEST or digest != _digest(body):
        raise SheetDamaged("the digest does not fit")
    try:
        header, *lines = (json.loads(line) for line in body.splitlines())
        if header.pop("format") != FORMAT:
            return None
        header["listening"] = tuple(header["listening"])
        return Sheet(**header, totals=dict(_series(lines)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SheetDamaged(str(error)) from error


def across(alive: Iterable[Sheet], dead: Iterable[Sheet]) -> Totals:
    """The totals of the target: each meter's as `Meter.across` says; of the dead, counters and histograms."""
    parts: list[tuple[Key, Total]] = []
    latest: Totals = {}
    for sheet in sorted(alive, key=lambda sheet: sheet.written):
        latest |= {key: total for key, total in sheet.totals.items() if key[0].across == "latest"}
    for sheet in sorted(alive, key=lambda sheet: sheet.pid):
        for key, total in sheet.totals.items():
            if key[0].across != "latest":
                parts.append((_of_process(key, sheet.pid) if key[0].across == "process" else key, total))
    for sheet in dead:
        parts += lasting(sheet.totals)
    return added([*parts, *latest.items()])


def _of_process(key: Key, pid: int) -> Key:
    return key[0], tuple(sorted((*key[1], ("process.pid", str(pid)))))


def _lines(totals: Mapping[Key, Total]) -> Iterator[list[Any]]:
    by_meter: dict[Meter, list[Any]] = {}
    for (meter, attributes), total in totals.items():
        bins = None if total.bins is None else [*total.bins.items()]
        marks = [[[edge, *astuple(one)] for edge, one in total.exemplars.items()]] if total.exemplars else []
        by_meter.setdefault(meter, []).append([attributes, total.sum, bins, *marks])
    for meter, series in by_meter.items():
        left = iter(series)
        while some := list(islice(left, _SERIES_A_LINE)):
            yield [[meter.name, meter.kind, meter.unit, meter.description, meter.across], some]


def _series(lines: Iterable[Any]) -> Iterator[tuple[Key, Total]]:
    for definition, series in lines:
        meter = meter_of(*definition)
        for attributes, total, bins, *marks in series:
            key = meter, tuple((name, value) for name, value in attributes)
            yield key, Total(total, None if bins is None else dict(bins), _exemplars(marks[0]) if marks else None)


def _exemplars(marks: Iterable[Any]) -> Exemplars:
    return {edge: Exemplar(*one) for edge, *one in marks}


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16, person=b"watchglass sheet"[:16]).hexdigest().encode()
