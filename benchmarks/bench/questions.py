"""What the dashboard asks, of Watchglass' reader and in PromQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.prometheus import Prometheus
from bench.scrapes import DURATION
from bench.traffic import HOUR
from watchglass.analysis.histograms import percentiles
from watchglass.analysis.windows import Window
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION
from watchglass.store.reader import Group, Reader

DAY = 24 * HOUR
METHOD, ROUTE = "http.request.method", "http.route"
LABELS = "le, http_request_method, http_route"


@dataclass(frozen=True)
class Question:
    """A question that looks back so many seconds from some end.

    `promql` is given the seconds that are in Prometheus when those are fewer. Where the question `grows` with them its
    time is then extrapolated.
    """

    title: str
    seconds: int
    ours: Callable[[Reader, float], Awaitable[int]]
    promql: Callable[[Prometheus, float, int], int]
    grows: bool = True


def p95(groups: Sequence[Group]) -> list[float]:
    """The P95 of each group, in seconds."""
    table = percentiles(
        [one.buckets for one in groups], [0.95], [one.min for one in groups], [one.max for one in groups]
    )
    return [float(row[0]) for row in table]


async def by_endpoint(reader: Reader, window: Window, step: int | None = None) -> list[Group]:
    return await reader.select(HTTP_SERVER_REQUEST_DURATION.name, window, by=(METHOD, ROUTE), step=step)


def all_endpoints(title: str, seconds: int) -> Question:
    async def ours(reader: Reader, end: float) -> int:
        return len(p95(await by_endpoint(reader, Window(end - seconds, end))))

    def promql(prometheus: Prometheus, end: float, there: int) -> int:
        return len(prometheus.instant(quantile(f"{there}s", LABELS), end))

    return Question(f"P95 of all endpoints, {title}", seconds, ours, promql)


def heatmap() -> Question:
    async def ours(reader: Reader, end: float) -> int:
        return len(p95(await by_endpoint(reader, Window(end - DAY, end), HOUR)))

    def promql(prometheus: Prometheus, end: float, there: int) -> int:
        return _ranged(prometheus, quantile("1h", LABELS), end, there, HOUR)

    return Question("heatmap: P95 of all endpoints in each of 24 hours", DAY, ours, promql)


def line(title: str, seconds: int, step: int, where: tuple[str, str] | None = None) -> Question:
    """P95 in each slot, of all requests or of one endpoint."""
    matching = {METHOD: where[0], ROUTE: where[1]} if where else {}
    selector = f'{{http_request_method="{where[0]}",http_route="{where[1]}"}}' if where else ""

    async def ours(reader: Reader, end: float) -> int:
        window = Window(end - seconds, end)
        groups = await reader.select(HTTP_SERVER_REQUEST_DURATION.name, window, where=matching, step=step)
        return len(p95(groups))

    def promql(prometheus: Prometheus, end: float, there: int) -> int:
        return _ranged(prometheus, quantile(f"{step}s", "le", selector), end, there, step)

    return Question(title, seconds, ours, promql)


def comparison() -> Question:
    """The last hour of every endpoint beside that of 1 h, 1 d and 1 w ago."""
    earlier = (0, HOUR, DAY, 7 * DAY)

    async def ours(reader: Reader, end: float) -> int:
        windows = [Window(end - HOUR - before, end - before) for before in earlier]
        return sum([len(p95(await by_endpoint(reader, window))) for window in windows])

    def promql(prometheus: Prometheus, end: float, there: int) -> int:
        offsets = [min(before, there - HOUR) for before in earlier]
        return sum(len(prometheus.instant(quantile("1h", LABELS), end - offset)) for offset in offsets)

    title = "trends: P95 of all endpoints now, 1 h, 1 d and 1 w ago"
    return Question(title, HOUR + earlier[-1], ours, promql, grows=False)


def questions(endpoint: tuple[str, str]) -> list[Question]:
    """Every question of the dashboard, about the traffic of which this is one of the endpoints."""
    return [
        all_endpoints("1 h", HOUR),
        all_endpoints("24 h", DAY),
        all_endpoints("7 d", 7 * DAY),
        all_endpoints("30 d", 30 * DAY),
        heatmap(),
        line("trend: P95 of all requests, 24 h in 72 slots", DAY, 1200),
        comparison(),
        line("one endpoint's line: P95, 24 h in 72 slots", DAY, 1200, endpoint),
        line("one endpoint's line: P95, 7 d in 84 slots", 7 * DAY, 7200, endpoint),
    ]


def quantile(span: str, by: str, selector: str = "", family: str = DURATION) -> str:
    return f"histogram_quantile(0.95, sum by ({by}) (rate({family}_bucket{selector}[{span}])))"


def _ranged(prometheus: Prometheus, promql: str, end: float, there: int, step: int) -> int:
    """A value at the end of each slot, as the slots of ours are aligned."""
    first = np.ceil((end - there) / step) * step + step
    return sum(len(series["values"]) for series in prometheus.range(promql, min(float(first), end), end, step))
