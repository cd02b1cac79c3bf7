"""The latency budget of one endpoint: where the time of its requests went, in the window and in the earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.asking import Asked, Reading, Spec, figure
from watchglass.api.budget_answers import BudgetAnswer, BudgetComponent, BudgetDetail, BudgetShare
from watchglass.api.components import COMPONENT, LABELS, add_up, seconds_by, shares, spoken
from watchglass.api.endpoint import METHOD, OVERFLOW, ROUTE, Key, identify, label
from watchglass.api.models import Basis, Missing
from watchglass.api.requests import NO_REQUESTS
from watchglass.instrumentation.budget import LOOP_LAG
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION

BY = (COMPONENT, "db.query.summary", "db.query.text", "watchglass.cache.type", "server.address")
MOST = 50
WHOLE = 0.99
"""The part of the requests' time that has to be told apart for the means to be measured."""

NOT_RECORDED = "The requests of this window were recorded without a budget."
ESTIMATED = "Estimated from how late the event loop ran its timers while replies came in."

Detail = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Spent:
    """What was recorded of an endpoint in one window: its requests, their seconds, and where those went."""

    requests: int
    seconds: float
    details: Mapping[Detail, float]

    def components(self) -> dict[str, float]:
        return add_up({str(key[0]): seconds} for key, seconds in self.details.items())

    @property
    def told_apart(self) -> float:
        return sum(self.details.values())

    def per_request(self, seconds: float) -> float:
        """Seconds per request, as a share of the mean duration: right where only some processes tell budgets, too."""
        return seconds / self.told_apart * self.seconds / self.requests


async def budget(asked: Asked, key: Key) -> BudgetAnswer:
    """Where the time of an endpoint's requests went: components, and the statements, cache types and hosts behind."""
    now = await _read(asked, asked.window, key)
    before = await _read(asked, asked.earlier, key) if asked.earlier else None
    found = shares(now.components()) if now.requests else []
    details = _details(now) if found else []
    mean = Reading(now.seconds / now.requests, now.requests) if now.requests else Reading(None, 0, NO_REQUESTS)
    missing = None if found else Missing(reason=NOT_RECORDED if now.requests else NO_REQUESTS)
    return BudgetAnswer(
        **asked.head("budget", label(key), _sentence(key, now, found), missing),
        endpoint_id=identify(key),
        label=label(key),
        requests=now.requests,
        seconds=now.seconds,
        duration=figure(Spec("Duration", "s", "mean", "up"), mean, _whole(before)),
        components=[_component(one, now, before) for one in found],
        details=details[:MOST],
        more=max(0, len(details) - MOST),
    )


async def _read(asked: Asked, window: Window, key: Key) -> _Spent:
    where = {METHOD: key[0], ROUTE: key[1], OVERFLOW: None}
    if key == (None, None):  # all unmatched paths, whatever their methods
        where = {ROUTE: None, OVERFLOW: None}
    durations = await asked.reader.select(HTTP_SERVER_REQUEST_DURATION.name, window, where=where)
    details = await seconds_by(asked, window, BY, where)
    return _Spent(sum(one.count for one in durations), sum(one.sum for one in durations), details)


def _whole(spent: _Spent | None) -> Reading | None:
    return Reading(spent.seconds / spent.requests, spent.requests) if spent and spent.requests else None


def _component(one: BudgetShare, now: _Spent, before: _Spent | None) -> BudgetComponent:
    spec = Spec(one.label[:1].upper() + one.label[1:], "s", "mean", "up")
    basis, reason = _basis(one.component, now)
    reading = Reading(now.per_request(one.seconds), now.requests, reason, basis=basis)
    earlier = None
    if before and before.requests and before.told_apart:
        seconds = before.components().get(one.component, 0.0)
        earlier = Reading(before.per_request(seconds), before.requests)
    return BudgetComponent(**one.model_dump(), mean=figure(spec, reading, earlier))


def _basis(component: str, now: _Spent) -> tuple[Basis, str | None]:
    if component == LOOP_LAG:
        return "estimated", ESTIMATED
    part = now.told_apart / now.seconds if now.seconds else 1.0
    if part < WHOLE:
        return "estimated", f"From the {words.percent(part)} of the requests' time that was recorded with a budget."
    return "measured", None


def _details(now: _Spent) -> list[BudgetDetail]:
    """What is known in detail, by time."""
    whole = now.told_apart
    found = [
        BudgetDetail(
            component=str(key[0]),
            label=_name(key),
            summary=key[1],
            text=key[2],
            cache_type=key[3],
            address=key[4],
            seconds=seconds,
            share=seconds / whole,
            mean=now.per_request(seconds),
        )
        for key, seconds in now.details.items()
        if seconds > 0 and any(key[1:])
    ]
    return sorted(found, key=lambda one: -one.seconds)


def _name(key: Detail) -> str:
    return next((part for part in key[1:] if part), LABELS.get(str(key[0]), str(key[0])))


def _sentence(key: Key, now: _Spent, found: Sequence[BudgetShare]) -> str:
    if not found:
        return NOT_RECORDED
    mean = words.duration(now.seconds / now.requests)
    return f"A request of {label(key)} takes {mean} on average: {spoken(found)}."
