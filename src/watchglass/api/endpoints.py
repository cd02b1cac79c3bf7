"""Every endpoint: latency, throughput and errors, over one window and with one denominator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.answers import Endpoint, EndpointsAnswer
from watchglass.api.asking import Asked, Parameters, Reading, Spec, figure
from watchglass.api.budget import budget
from watchglass.api.budget_answers import BudgetAnswer
from watchglass.api.components import COMPONENT, add_up, seconds_by, shares
from watchglass.api.coverage import NOTHING_COVERED, Coverage, coverage
from watchglass.api.endpoint import ALL, BEYOND, METHOD, OVERFLOW, ROUTE, Key, identified, identify, key_of, label
from watchglass.api.models import Missing
from watchglass.api.requests import ERROR, NO_REQUESTS, STATUS, is_error
from watchglass.api.series import Line, by_slot, percentile_table, ratio, total
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS

if TYPE_CHECKING:
    from watchglass.store.reader import Group

SPECS = {
    **{name: Spec(name.upper(), "s", name, "up") for name in ("p50", "p95", "p99")},
    "rate": Spec("Requests", "{request}/s", "rate"),
    "errors": Spec("Errors", "1", "ratio", "up"),
}

SPARK_SLOTS = 24


class EndpointsParameters(Parameters):
    """Of the card endpoints: the order, how many, and the id of the one whose budget is opened."""

    sort: Literal["impact", "p95", "requests", "errors"] = "impact"
    limit: int = Field(50, ge=1, le=1000)
    endpoint: str = Field("", max_length=2000)


@dataclass(slots=True)
class Part:
    """What one endpoint did in one window."""

    durations: list[Group] = field(default_factory=list)
    counts: list[Group] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    def add(self, other: Part) -> None:
        self.durations += other.durations
        self.counts += other.counts

    def requests(self) -> int:
        return round(sum(group.sum for group in self.counts))

    def failed(self) -> int:
        return round(sum(group.sum for group in self.counts if is_error(*group.key[3:])))

    def seconds(self) -> float:
        """The time its requests took."""
        return sum(group.sum for group in self.durations)

    def statuses(self) -> dict[str, int]:
        """Requests by status code; "none" where no response began."""
        found: dict[str, int] = defaultdict(int)
        for group in self.counts:
            found[group.key[3] or "none"] += round(group.sum)
        return dict(sorted(found.items()))


_ORDER: Mapping[str, Callable[[Endpoint], float]] = {
    "impact": lambda row: row.impact,
    "p95": lambda row: row.p95.value or 0.0,
    "requests": lambda row: row.requests,
    "errors": lambda row: row.error_count,
}


async def parts(asked: Asked, window: Window, step: int | None) -> dict[Key, Part]:
    """What each endpoint did, and all of them together (`ALL`); latencies in slots of `step`."""
    found: dict[Key, Part] = defaultdict(Part)
    by: tuple[str, ...] = (METHOD, ROUTE, OVERFLOW)
    for group in await asked.reader.select(HTTP_SERVER_REQUEST_DURATION.name, window, by=by, step=step):
        found[key_of(group.key)].durations.append(group)
    by = (METHOD, ROUTE, OVERFLOW, STATUS, ERROR)
    for group in await asked.reader.select(HTTP_SERVER_REQUESTS.name, window, by=by):
        found[key_of(group.key)].counts.append(group)
    whole = Part()
    for part in found.values():
        whole.add(part)
    return {**found, ALL: whole}


async def _add_budgets(asked: Asked, found: dict[Key, Part]) -> None:
    """Where the time of each endpoint went, and of all together."""
    for attributes, seconds in (await seconds_by(asked, asked.window, (METHOD, ROUTE, OVERFLOW, COMPONENT))).items():
        spent, component = {str(attributes[3]): seconds}, attributes[3]
        for key in (key_of(attributes), ALL) if component else ():
            if key in found:
                found[key].spent = add_up((found[key].spent, spent))


def readings(found: Mapping[Key, Part], covered: Coverage, slots: Sequence[int] = ()) -> dict[Key, dict[str, Reading]]:
    """The figures of each endpoint; with a line of P95 where slots are given."""
    totals = [total(part.durations) for part in found.values()]
    table = percentile_table(totals)
    lines = _lines(found, slots)
    result = {}
    for position, (key, part) in enumerate(found.items()):
        requests, samples = part.requests(), totals[position].count
        p50, p95, p99 = (Reading(value, samples, None if samples else NO_REQUESTS) for value in table[position])
        result[key] = {
            "p50": p50,
            "p95": replace(p95, spark=lines[position] if slots else None),
            "p99": p99,
            "rate": Reading(covered.rate(requests), requests, None if covered.seconds else NOTHING_COVERED),
            "errors": ratio(part.failed(), requests, NO_REQUESTS),
        }
    return result


def _lines(found: Mapping[Key, Part], slots: Sequence[int]) -> list[Line]:
    """P95 in each slot of each endpoint."""
    table = percentile_table([one for part in found.values() for one in by_slot(part.durations, slots)])
    p95 = [row[1] for row in table]
    return [p95[first : first + len(slots)] for first in range(0, len(p95), len(slots) or 1)]


def _row(key: Key, part: Part, now: Mapping[str, Reading], before: Mapping[str, Reading], seconds: float) -> Endpoint:
    figures = {name: figure(spec, now[name], before.get(name)) for name, spec in SPECS.items()}
    return Endpoint(
        endpoint_id=identify(key),
        label=label(key),
        method=key[0],
        route=key[1] if key[1] != BEYOND[1] else None,
        requests=part.requests(),
        error_count=part.failed(),
        statuses=part.statuses(),
        impact=part.seconds() / seconds if seconds else 0.0,
        budget=tuple(shares(part.spent)),
        **figures,
    )


async def endpoints(asked: Asked, parameters: EndpointsParameters) -> EndpointsAnswer:
    """Each endpoint and all of them together, the ones that matter most first."""
    step = asked.steps(SPARK_SLOTS)
    found = await parts(asked, asked.window, step)
    await _add_budgets(asked, found)
    now = readings(found, await coverage(asked, asked.window), asked.window.slots(step))
    before: Mapping[Key, Mapping[str, Reading]] = {}
    if asked.earlier:
        before = readings(await parts(asked, asked.earlier, None), await coverage(asked, asked.earlier))
    seconds = found[ALL].seconds()
    made = {key: _row(key, part, now[key], before.get(key, {}), seconds) for key, part in found.items()}
    whole = made.pop(ALL).model_copy(update={"endpoint_id": "", "route": None})
    rows = sorted(made.values(), key=_ORDER[parameters.sort], reverse=True)
    head = asked.head("endpoints", "Endpoints", _sentence(rows, whole), await _missing(asked, whole))
    return EndpointsAnswer(
        **head | {"resolution": step},
        endpoints=rows[: parameters.limit],
        total=whole,
        more=max(0, len(rows) - parameters.limit),
        opened=await _opened(asked, parameters.endpoint, found),
    )


async def _opened(asked: Asked, endpoint_id: str, found: Mapping[Key, Part]) -> BudgetAnswer | None:
    key = identified(endpoint_id) if endpoint_id else None
    return await budget(asked, key) if key in found and key is not None else None


def _sentence(rows: Sequence[Endpoint], whole: Endpoint) -> str:
    first = max(rows, key=lambda row: row.impact, default=None)
    if first is None:
        return NO_REQUESTS
    return (
        f"{words.plural(len(rows), 'endpoint')}, {words.rate(whole.rate, 'request')}; "
        f"{first.label} took {words.percent(first.impact)} of the time."
    )


async def _missing(asked: Asked, whole: Endpoint) -> Missing | None:
    if whole.requests:
        return None
    if (await coverage(asked, asked.window)).seconds:
        return Missing(reason=NO_REQUESTS, remedy="Send the service a request, or choose a longer range.")
    return Missing(reason=NOTHING_COVERED, remedy="See what is wrong.", command="watchglass doctor")
