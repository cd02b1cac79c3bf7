"""The table of endpoints: where the time goes, how fast, how often, how many fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watchglass.api import components, words
from watchglass.api.answers import Endpoint, EndpointsAnswer
from watchglass.api.models import Figure, Missing
from watchglass.ui import drawing, format
from watchglass.ui.cards import budget
from watchglass.ui.cards.budget import BudgetView
from watchglass.ui.levels import RULES, Level, latency_level

SORTS = {"impact": "Share of time", "requests": "Requests", "p95": "P95", "errors": "Errors"}
_SHORT = 10

ENOUGH_ERRORS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint, or all together. `share` is its part of all requests' time, from 0 to 100.

    `budget` is where its time goes as a stacked bar, `budget_text` the same in words, `most` what takes the most of it.
    """

    id: str
    method: str
    route: str
    share: float
    share_text: str
    budget: list[drawing.Segment]
    budget_text: str
    most: str
    requests: str
    rate: format.Quantity
    p50: format.Quantity
    p95: format.Quantity
    p99: format.Quantity
    p95_seconds: float | None
    p95_change: str
    p95_level: Level | None
    spark: drawing.Spark | None
    errors: format.Quantity
    error_count: str
    errors_level: Level | None


@dataclass(frozen=True, slots=True)
class EndpointsView:
    """`sort` is the order in force; `more` the number of endpoints that are left out.

    `legend` names the components of the budgets, in their order; `opened` is the budget of the endpoint with that id.
    """

    sentence: str
    sort: str
    rows: list[Row]
    total: Row
    legend: list[tuple[str, str]]
    opened: BudgetView | None
    more: int
    missing: Missing | None


def parameters(query: Mapping[str, str]) -> dict[str, str]:
    """What the question takes from the page's address; an order that does not exist is the default."""
    sort = query.get("sort", "")
    limit = "1000" if query.get("endpoints") == "all" else str(_SHORT)
    return {"sort": sort if sort in SORTS else "impact", "limit": limit, "endpoint": query.get("endpoint", "")[:2000]}


def view(answer: EndpointsAnswer, query: Mapping[str, str], slow: float) -> EndpointsView:
    """The rows in the order of the answer; a P95 over `slow` seconds is a finding, compared or not."""
    return EndpointsView(
        sentence=answer.sentence,
        sort=parameters(query)["sort"],
        rows=[_row(one, slow) for one in answer.endpoints],
        total=_row(answer.total, slow),
        legend=[(one.component, one.label) for one in answer.total.budget],
        opened=budget.view(answer.opened) if answer.opened else None,
        more=answer.more,
        missing=answer.missing,
    )


def _row(one: Endpoint, slow: float) -> Row:
    return Row(
        id=one.endpoint_id,
        method=one.method or "",
        route=one.route if one.route is not None else one.label,
        share=round(one.impact * 100, 1),
        share_text=words.percent(one.impact),
        budget=drawing.stacked([(part.component, part.share) for part in one.budget]),
        budget_text=components.spoken(one.budget),
        most=components.spoken(one.budget, 1),
        requests=words.plural(one.requests, "request"),
        rate=format.of(one.rate),
        p50=format.of(one.p50),
        p95=format.of(one.p95),
        p99=format.of(one.p99),
        p95_seconds=one.p95.value,
        p95_change=format.change(one.p95.change, "s"),
        p95_level=latency_level(one.p95, slow),
        spark=drawing.spark(one.p95.spark),
        errors=format.of(one.errors),
        error_count=f"{one.error_count:,}" if one.error_count else "",
        errors_level=_errors_level(one.errors, one.error_count),
    )


def _errors_level(errors: Figure, count: int) -> Level | None:
    """A handful of errors on a rare endpoint is no finding; the count beside it is seen anyway."""
    rule, value = RULES["tile_api.errors"], errors.value or 0.0
    if count < ENOUGH_ERRORS:
        return None
    if rule.critical is not None and value > rule.critical:
        return "critical"
    return "warning" if rule.warning is not None and value > rule.warning else None
