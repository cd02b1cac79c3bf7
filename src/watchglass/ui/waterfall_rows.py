"""The rows of a trace: its spans with their log lines at their time, and what is alike folded into one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from watchglass.api import words
from watchglass.api.log_lines import LogLine
from watchglass.api.trace_answers import SpanLine, TraceAnswer
from watchglass.ui import drawing, format, log_rows, spans
from watchglass.ui.log_rows import LogRow
from watchglass.ui.spans import Scale, SpanRow

RUN = 4
"""So many log lines without a finding between two spans are folded into one row."""


Line = tuple[float, LogLine]
"""A log line with its time in seconds after the trace's start."""


@dataclass(slots=True)
class Node:
    """A span with what is below it, spans and log lines, by their time."""

    line: SpanLine
    children: list[Node] = field(default_factory=list)
    logs: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fold:
    """A row that stands for several: `key` opens it. `spans` are theirs, drawn together; `lines` the log lines."""

    key: str
    indent: int
    text: str
    note: str
    opened: bool
    bars: list[drawing.Segment]
    duration: format.Quantity | None
    level: str
    href: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the waterfall: one of the three."""

    span: SpanRow | None = None
    log: LogRow | None = None
    fold: Fold | None = None


class Plan:
    """Puts the rows in order, and leaves out what is folded."""

    def __init__(self, answer: TraceAnswer, query: Mapping[str, str]) -> None:
        self._answer = answer
        self._scale = Scale.of(answer)
        self._opened = frozenset(query.get("open", "").split(","))
        self._folded = frozenset(query.get("fold", "").split(","))
        self._groups = {id: number for number, group in enumerate(answer.similar) for id in group.span_ids}
        self._runs = 0

    def rows(self) -> Iterator[Row]:
        """Every row that is not folded away."""
        tops, loose = nodes(self._answer)
        yield from self._below(tops, loose, 0, "")

    def _below(self, children: Sequence[Node], logs: Sequence[Line], depth: int, service: str) -> Iterator[Row]:
        """The rows of siblings and of the log lines between them."""
        at, done = 0, set[int]()
        for child in children:
            number = self._groups.get(child.line.span_id)
            if number in done:  # log lines from within a group come after it
                continue
            until = at
            while until < len(logs) and logs[until][0] < child.line.start:
                until += 1
            yield from self._lines(logs[at:until], depth)
            at = until
            if number is None:
                yield from self._span(child, depth, service)
            else:
                done.add(number)
                yield from self._group(number, children, depth, service)
        yield from self._lines(logs[at:], depth)

    def _span(self, node: Node, depth: int, service: str) -> Iterator[Row]:
        line = node.line
        below = len(node.children) + len(node.logs)
        folded = line.span_id in self._folded
        entered = line.service if line.service != service else ""
        href = _toggled(self._folded, line.span_id)
        yield Row(span=spans.row(line, self._scale, depth, bool(below), folded, href, entered))
        if not folded:
            yield from self._below(node.children, node.logs, depth + 1, line.service)

    def _group(self, number: int, siblings: Sequence[Node], depth: int, service: str) -> Iterator[Row]:
        group = self._answer.similar[number]
        mine = [node for node in siblings if self._groups.get(node.line.span_id) == number]
        key, text = f"g{number}", mine[0].line.sql or mine[0].line.redis or group.name
        opened = key in self._opened
        share = group.total / self._answer.duration if self._answer.duration else 0.0
        note = f"{group.note}, {words.percent(share)} of this request" if share <= 1 else group.note
        bars = spans.merged([node.line for node in mine], self._scale)
        took, href = format.quantity(group.total, "s"), _toggled(self._opened, key)
        yield Row(fold=Fold(key, spans.indent(depth), text, note, opened, bars, took, "warning", href))
        if opened:
            for node in mine:
                yield from self._span(node, depth + 1, service)

    def _lines(self, lines: Sequence[Line], depth: int) -> Iterator[Row]:
        """Log lines; many without a finding are one row until it is opened."""
        if len(lines) <= RUN or any(line.severity >= log_rows.WARNING for _, line in lines):
            for offset, line in lines:
                yield Row(log=log_rows.row(line, offset, depth, self._scale))
            return
        self._runs += 1
        key = f"l{self._runs}"
        opened = key in self._opened
        marks = log_rows.marks([offset for offset, _ in lines], self._scale)
        text = f"{len(lines):,} log lines"
        yield Row(fold=Fold(key, spans.indent(depth), text, "", opened, marks, None, "", _toggled(self._opened, key)))
        for offset, line in lines if opened else ():
            yield Row(log=log_rows.row(line, offset, depth + 1, self._scale))


def nodes(answer: TraceAnswer) -> tuple[list[Node], list[Line]]:
    """The spans on top with what is below them, and the log lines of no span that is here; all by their time."""
    tops: list[Node] = []
    path: list[Node] = []
    known: dict[str, Node] = {}
    for line in answer.spans:
        node = Node(line)
        del path[line.depth :]
        (path[-1].children if path else tops).append(node)
        path.append(node)
        known.setdefault(line.span_id, node)
    loose: list[Line] = []
    start = datetime.fromisoformat(answer.start)
    for one in answer.logs:
        offset = (datetime.fromisoformat(one.time) - start).total_seconds()
        node_of = known.get(one.span_id or "") or (tops[0] if tops else None)
        (node_of.logs if node_of else loose).append((offset, one))
    return tops, loose


def _toggled(keys: frozenset[str], key: str) -> str:
    """The keys with this one added, or taken away, as the address has them."""
    return ",".join(sorted((keys ^ {key}) - {""}))
