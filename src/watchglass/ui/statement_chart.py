"""How long a statement took over time: percentiles as its callers saw them, else PostgreSQL's mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from watchglass.api.statement_answers import StatementAnswer, StatementLines

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Legend:
    """One line's name, drawn as its role says (`charts.js`, `charts.css`)."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`data` is what the script draws; empty where nothing was measured."""

    data: str
    legend: list[Legend]


def chart(answer: StatementAnswer) -> Chart:
    """The lines of the statement's window."""
    lines = answer.lines
    if lines is None:
        return Chart("", [])
    if any(value is not None for value in lines.p95):
        drawn = [("p99", "P99", "high", lines.p99), ("p95", "P95", "main", lines.p95), ("p50", "P50", "low", lines.p50)]
        return _chart(answer, drawn, lines.calls, answer.fingerprint)
    mean = _means(lines)
    if any(value is not None for value in mean):
        return _chart(answer, [("mean", "mean", "main", mean)], lines.server_calls, "")
    return Chart("", [])


def _means(lines: StatementLines) -> Values:
    pairs = zip(lines.server_seconds, lines.server_calls, strict=True)
    return [seconds / calls if seconds is not None and calls else None for seconds, calls in pairs]


def _chart(
    answer: StatementAnswer, drawn: Sequence[tuple[str, str, str, Values]], calls: Values, statement: str
) -> Chart:
    """A point leads to the traces that ran the `statement`, where the service's own processes sent it."""
    times = [time * 1000 for time in answer.times]
    data = {
        "description": f"How long the statement took over time. {answer.sentence}",
        "start": int(answer.window.start.timestamp() * 1000),
        "end": int(answer.window.end.timestamp() * 1000),
        "ends": True,
        "samples": calls,
        "thing": "calls",
        "slot": answer.resolution if statement else None,
        "lines": [
            {
                "id": id,
                "name": name,
                "role": role,
                "endpoint": "",
                "statement": statement,
                "values": list(zip(times, values, strict=True)),
            }
            for id, name, role, values in drawn
        ],
    }
    return Chart(json.dumps(data, separators=(",", ":")), [Legend(id, name, role) for id, name, role, _ in drawn])
