"""What the questions about latency budgets answer."""

from __future__ import annotations

from watchglass.api.models import Answer, Figure, Model


class BudgetShare(Model):
    """One component of an endpoint's time: its seconds in the window, and its share of all of them."""

    component: str
    label: str
    seconds: float
    share: float


class BudgetComponent(BudgetShare):
    """The same with its mean per request, beside that of the earlier window. Lag of the event loop is estimated."""

    mean: Figure


class BudgetDetail(Model):
    """One statement, cache type or host behind a component; `mean` in seconds per request of the endpoint."""

    component: str
    label: str
    summary: str | None
    text: str | None
    cache_type: str | None
    address: str | None
    seconds: float
    share: float
    mean: float


class BudgetAnswer(Answer):
    """Where the time of one endpoint's requests went: the shares add up to 1, the means to `duration`.

    `requests` is the sample of all of it, `duration` their mean in seconds.
    """

    endpoint_id: str
    label: str
    requests: int
    seconds: float
    duration: Figure
    components: list[BudgetComponent]
    details: list[BudgetDetail]
    more: int = 0
