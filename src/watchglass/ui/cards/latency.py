"""Latency over time: P50, P95 and P99 of all requests, or one percentile of the endpoints with the most impact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from watchglass.api.answers import LatencyAnswer, Percentiles
from watchglass.api.models import Missing

PERCENTILES = ("p50", "p95", "p99")
ROLES = {"p50": "low", "p95": "main", "p99": "high"}
ENDPOINT_ROLES = "abcde"

Percentile = Literal["p50", "p95", "p99"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the legend, drawn as its role says (`charts.js`, `charts.css`); `endpoint` is its endpoint's id."""

    id: str
    name: str
    role: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class LatencyView:
    """`mode` is all or top, `percentile` the one shown of the top endpoints; `chart` is what the script draws."""

    sentence: str
    mode: str
    percentile: str
    lines: list[Line]
    chart: str
    missing: Missing | None


def view(answer: LatencyAnswer, query: Mapping[str, str]) -> LatencyView:
    """The lines that `latency` (all, top) and `percentile` of the URL choose; what is not known falls back."""
    mode = "top" if query.get("latency") == "top" else "all"
    percentile = query.get("percentile", "")
    percentile = percentile if percentile in PERCENTILES else "p95"
    lines, values = _of_endpoints(answer, percentile) if mode == "top" else _of_all(answer)
    chart = _chart(answer, lines, values)
    return LatencyView(answer.sentence, mode, percentile, lines, chart, answer.missing)


def _of_all(answer: LatencyAnswer) -> tuple[list[Line], list[list[float | None]]]:
    lines = [Line(name, name.upper(), ROLES[name]) for name in reversed(PERCENTILES)]
    return lines, [_values(answer.all, line.id) for line in lines]


def _of_endpoints(answer: LatencyAnswer, percentile: str) -> tuple[list[Line], list[list[float | None]]]:
    pairs = list(zip(ENDPOINT_ROLES, answer.endpoints, strict=False))
    lines = [Line(f"e{one.endpoint_id or role}", one.label, role, one.endpoint_id or "") for role, one in pairs]
    return lines, [_values(one, percentile) for _, one in pairs]


def _values(of: Percentiles, percentile: str) -> list[float | None]:
    return {"p50": of.p50, "p95": of.p95, "p99": of.p99}[percentile]


def _chart(answer: LatencyAnswer, lines: Sequence[Line], values: Sequence[Sequence[float | None]]) -> str:
    times = [time * 1000 for time in answer.times]
    return json.dumps(
        {
            "description": answer.sentence,
            "start": int(answer.window.start.timestamp() * 1000),
            "end": int(answer.window.end.timestamp() * 1000),
            "ends": not any(line.role in ENDPOINT_ROLES for line in lines),
            "samples": answer.all.samples,
            "slot": answer.resolution,
            "lines": [
                {
                    "id": line.id,
                    "name": line.name,
                    "role": line.role,
                    "endpoint": line.endpoint,
                    "values": list(zip(times, points, strict=True)),
                }
                for line, points in zip(lines, values, strict=True)
            ],
        },
        separators=(",", ":"),
    )
