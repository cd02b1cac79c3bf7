"""Every endpoint over time: a heatmap of endpoints and hours, and now beside an hour, a day and a week ago."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from watchglass.api import words
from watchglass.api.answers import EndpointTrend, HeatmapAnswer, HeatmapRow, TrendsAnswer
from watchglass.api.asking import Asked, Parameters, Reading, Spec, figure
from watchglass.api.endpoint import METHOD, OVERFLOW, ROUTE, identify, key_of, label
from watchglass.api.models import Missing
from watchglass.api.ranges import COMPARISONS
from watchglass.api.requests import NO_REQUESTS
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION

if TYPE_CHECKING:
    from watchglass.store.questions import Key, Trend

DURATION = HTTP_SERVER_REQUEST_DURATION.name
BY = (METHOD, ROUTE, OVERFLOW)
CELLS = 48
"""Columns of a heatmap, at most: more are too narrow to be clicked."""

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_SPECS = {"p95": Spec("P95", "s", "p95", "up"), "rate": Spec("Requests", "{request}/s", "rate")}


class HeatmapParameters(Parameters):
    """Of a heatmap: which percentile a cell shows."""

    percentile: Literal["p50", "p95", "p99"] = "p95"


class TrendsParameters(Parameters):
    """Of the trends: how many endpoints, those with the most requests first."""

    limit: int = Field(50, ge=1, le=1000)


async def heatmap(asked: Asked, parameters: HeatmapParameters) -> HeatmapAnswer:
    """A percentile of each endpoint in each slot, the endpoints with the most requests first."""
    from watchglass.store import questions

    step = asked.steps(CELLS)
    quantile = _QUANTILES[parameters.percentile]
    found = await questions.heatmap(asked.reader, DURATION, asked.window, by=BY, step=step, quantile=quantile)
    rows = [_row(key, found.values[number], found.counts[number]) for number, key in enumerate(found.keys)]
    rows.sort(key=lambda row: row.requests, reverse=True)
    sentence = f"{words.plural(len(rows), 'endpoint')}, {words.plural(found.samples, 'request')}."
    head = asked.head("heatmap", "Latency by endpoint", sentence, None if rows else Missing(reason=NO_REQUESTS))
    return HeatmapAnswer(
        **head | {"resolution": step},
        statistic=parameters.percentile,
        samples=found.samples,
        times=found.times,
        endpoints=rows,
    )


def _row(key: Key, values: list[float | None], counts: list[int]) -> HeatmapRow:
    endpoint = key_of(key)
    return HeatmapRow(
        endpoint_id=identify(endpoint), label=label(endpoint), requests=sum(counts), values=values, samples=counts
    )


async def trends(asked: Asked, parameters: TrendsParameters) -> TrendsAnswer:
    """P95 and requests/s of each endpoint in the window, beside the same window 1 h, 1 d and 1 w before."""
    from watchglass.store import questions

    before = {name: seconds for name, seconds in COMPARISONS.items() if seconds}
    found = await questions.trend(asked.reader, DURATION, asked.window, before=list(before.values()), by=BY)
    rates = {
        seconds: (await questions.rate(asked.reader, DURATION, window, by=BY)).rates
        for seconds, window in {0: found.window, **found.earlier}.items()
    }
    by_key: dict[Key, dict[int, Trend]] = {}
    for one in found.rows:
        by_key.setdefault(one.key, {})[one.seconds] = one
    rows = [_trend(key, of_key, rates, before) for key, of_key in by_key.items()]
    rows.sort(key=lambda row: row.requests, reverse=True)
    sentence = f"{words.plural(len(rows), 'endpoint')} beside an hour, a day and a week ago."
    head = asked.head("trends", "Trends", sentence, None if rows else Missing(reason=NO_REQUESTS))
    return TrendsAnswer(
        **head | {"compared_with": None, "resolution": None},
        endpoints=rows[: parameters.limit],
        more=max(0, len(rows) - parameters.limit),
    )


def _trend(
    key: Key, found: Mapping[int, Trend], rates: Mapping[int, Mapping[Key, float]], before: Mapping[str, int]
) -> EndpointTrend:
    endpoint = key_of(key)
    rate = Reading(rates[0].get(key))
    figures = {}
    for name, seconds in before.items():
        one = found[seconds]
        now, earlier = Reading(one.value, one.samples), Reading(one.previous, one.previous_samples)
        figures[name] = {
            "p95": figure(_SPECS["p95"], now, earlier),
            "rate": figure(_SPECS["rate"], rate, Reading(rates[seconds].get(key))),
        }
    requests = next(iter(found.values())).samples
    return EndpointTrend(endpoint_id=identify(endpoint), label=label(endpoint), requests=requests, against=figures)
