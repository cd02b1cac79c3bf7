"""Latency over time: of all requests, and of the five endpoints that took the most time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from watchglass.api import words
from watchglass.api.answers import LatencyAnswer, Percentiles
from watchglass.api.asking import Asked, Parameters
from watchglass.api.endpoint import METHOD, ROUTE, Key, identify, label
from watchglass.api.models import Missing
from watchglass.api.requests import NO_REQUESTS
from watchglass.api.series import percentile_lines, total
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION

if TYPE_CHECKING:
    from watchglass.store.reader import Group

DURATION = HTTP_SERVER_REQUEST_DURATION.name


class LatencyParameters(Parameters):
    """Of the card latency: how many endpoints beside all requests."""

    top: int = Field(5, ge=0, le=20)


async def latency(asked: Asked, parameters: LatencyParameters) -> LatencyAnswer:
    """P50, P95 and P99 in each slot of the window."""
    slots = asked.window.slots(asked.step)
    everything = await asked.reader.select(DURATION, asked.window, step=asked.step)
    whole = total(everything)
    lines = [await _endpoint(asked, key, slots) for key in await _top(asked, parameters.top)]
    sentence = (
        f"P50 is {words.duration(whole.percentile(0.5))}, P95 {words.duration(whole.percentile(0.95))}, "
        f"P99 {words.duration(whole.percentile(0.99))} over {words.plural(whole.count, 'request')}."
    )
    missing = None if whole.count else Missing(reason=NO_REQUESTS)
    return LatencyAnswer(
        **asked.head("latency", "Latency", sentence, missing),
        times=slots,
        all=_percentiles("all requests", everything, slots),
        endpoints=lines,
    )


async def of_endpoint(asked: Asked, key: Key) -> LatencyAnswer:
    """P50, P95 and P99 of one endpoint in each slot of the window, as `all`."""
    slots = asked.window.slots(asked.step)
    line = await _endpoint(asked, key, slots)
    number = sum(line.samples)
    sentence = f"{label(key)}: {words.plural(number, 'request')}."
    missing = None if number else Missing(reason=NO_REQUESTS)
    return LatencyAnswer(**asked.head("latency", label(key), sentence, missing), times=slots, all=line, endpoints=[])


async def _top(asked: Asked, number: int) -> list[Key]:
    """The endpoints whose requests took the most time; unmatched paths are not one."""
    groups = await asked.reader.select(DURATION, asked.window, by=(METHOD, ROUTE))
    matched = [group for group in groups if group.key[1] is not None]
    matched.sort(key=lambda group: group.sum, reverse=True)
    return [(group.key[0], group.key[1]) for group in matched[:number]]


async def _endpoint(asked: Asked, key: Key, slots: Sequence[int]) -> Percentiles:
    where = {METHOD: key[0], ROUTE: key[1]}
    return _percentiles(
        label(key), await asked.reader.select(DURATION, asked.window, where=where, step=asked.step), slots, key
    )


def _percentiles(name: str, groups: Sequence[Group], slots: Sequence[int], key: Key | None = None) -> Percentiles:
    (p50, p95, p99), samples = percentile_lines(groups, slots)
    method, route = key or (None, None)
    endpoint_id = identify(key) if key else None
    return Percentiles(
        label=name, p50=p50, p95=p95, p99=p99, samples=samples, method=method, route=route, endpoint_id=endpoint_id
    )
