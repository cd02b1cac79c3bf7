"""A span as a row of a waterfall: its bar on the axis of time, what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from watchglass.api import words
from watchglass.api.trace_answers import SpanLine, Stretch, TraceAnswer
from watchglass.ui import format
from watchglass.ui.drawing import Segment

LEAST = 0.15
"""The least width of a bar, in percent of the axis: whatever took part can be seen."""

MOST_BARS = 200
TICKS = 5
STEP = 12
"""Pixels by which what is below something is moved to the right; from so many levels on no further."""

DEEPEST = 24

_SHOWN_ELSEWHERE = frozenset(("db.query.text", "db.statement"))


@dataclass(frozen=True, slots=True)
class Scale:
    """The axis of time: seconds from the start of the trace to percent. `critical` are the stretches by span."""

    duration: float
    critical: Mapping[str, list[Stretch]]

    @classmethod
    def of(cls, answer: TraceAnswer) -> Scale:
        """The axis of a trace."""
        critical: dict[str, list[Stretch]] = {}
        for one in answer.critical_path:
            critical.setdefault(one.span_id, []).append(one)
        return cls(answer.duration, critical)

    def at(self, seconds: float) -> float:
        """Where on the axis, from 0 to 100; what lies beyond is at its ends."""
        return round(min(max(seconds / self.duration if self.duration else 0.0, 0.0), 1.0) * 100, 3)

    def bar(self, start: float, duration: float, name: str = "bar") -> Segment:
        """A bar of at least a visible width, within the axis."""
        width = max(LEAST, self.at(start + duration) - self.at(start))
        return Segment(name, round(min(self.at(start), 100 - width), 3), round(width, 3))


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span. `href` folds or unfolds what is `below` it."""

    line: SpanLine
    id: str
    indent: int
    below: bool
    folded: bool
    href: str
    bar: Segment
    critical: list[Segment]
    duration: format.Quantity
    self_time: str
    self_share: str
    says: str
    tags: list[str]
    attributes: list[tuple[str, str]]
    spoken: str


def row(line: SpanLine, scale: Scale, depth: int, below: bool, folded: bool, href: str, entered: str = "") -> SpanRow:
    """The row of a span; `depth` is that among the rows; `entered` the service where it begins."""
    share = line.self_time / line.duration if line.duration else 0.0
    own = words.duration(line.self_time)
    return SpanRow(
        line=line,
        id=f"s{line.span_id}" if line.span_id.isalnum() else f"s{crc32(line.span_id.encode(errors='replace')):08x}",
        indent=indent(depth),
        below=below,
        folded=folded,
        href=href,
        bar=scale.bar(line.start, line.duration),
        critical=[scale.bar(one.start, one.duration, "critical") for one in scale.critical.get(line.span_id, ())],
        duration=format.quantity(line.duration, "s"),
        self_time=own if below and share < 0.995 else "",
        self_share=words.percent(share),
        says=_says(line),
        tags=[*([entered] if entered else []), *_tags(line)],
        attributes=_attributes(line),
        spoken=_spoken(line),
    )


def indent(depth: int) -> int:
    """Pixels before a row's name."""
    return min(depth, DEEPEST) * STEP


def merged(lines: Sequence[SpanLine], scale: Scale) -> list[Segment]:
    """The bars of many spans on one row; those that touch are one."""
    found: list[Segment] = []
    for one in sorted((scale.bar(line.start, line.duration) for line in lines), key=lambda bar: bar.start):
        last = found[-1] if found else None
        if last and (one.start <= last.start + last.width or len(found) >= MOST_BARS):
            end = max(last.start + last.width, one.start + one.width)
            found[-1] = Segment(last.name, last.start, round(end - last.start, 3))
        else:
            found.append(one)
    return found


def ticks(duration: float) -> list[tuple[float, str]]:
    """Places and words of the axis: round times, the first at 0."""
    if duration <= 0:
        return [(0.0, "0")]
    rough = duration / TICKS
    size = 10.0 ** _exponent(rough)
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    count = int(duration / step + 1e-9)
    return [(round(step * at / duration * 100, 3), words.duration(step * at) if at else "0") for at in range(count + 1)]


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _says(line: SpanLine) -> str:
    """What it did, in one line."""
    text = line.sql or line.redis or _call(line)
    said = " ".join(text.split())[:300]
    return "" if said == line.name else said


def _call(line: SpanLine) -> str:
    """Of a call of another service, whom it asked."""
    if line.kind != "client":
        return ""
    url = line.attributes.get("url.full") or line.attributes.get("server.address")
    return url if isinstance(url, str) else ""


def _tags(line: SpanLine) -> list[str]:
    """Words beside its name."""
    cached = {True: "hit", False: "miss"}.get(line.cache_hit) if line.cache_hit is not None else None
    kind = f"{line.cache_type} " if line.cache_type and cached else ""
    return [
        *([f"{kind}{cached}"] if cached else []),
        *(["pool wait"] if line.pool_wait and line.name != "pool wait" else []),
        *(["still running"] if line.running else []),
        *(["parent not here"] if line.missing_parent else []),
    ]


def _attributes(line: SpanLine) -> list[tuple[str, str]]:
    own = {"kind": line.kind, "service": line.service, "span id": line.span_id}
    if line.clock_shift:
        own["clock moved by"] = words.duration(line.clock_shift)
    shown = {name: value for name, value in line.attributes.items() if name not in _SHOWN_ELSEWHERE or not line.sql}
    return [(name, _written(value)) for name, value in (*shown.items(), *own.items()) if value not in (None, "")]


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _spoken(line: SpanLine) -> str:
    """The bar in words."""
    took = f"{words.duration(line.duration)} from {words.duration(line.start)} on"
    return f"{took}, on the critical path" if line.on_critical_path else took
