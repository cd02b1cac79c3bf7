"""Whether PostgreSQL is where the time of requests goes: its share, and the statement that takes most of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.windows import Window
from watchglass.api.asking import Asked, Reading, Spec, figure
from watchglass.api.components import COMPONENT, seconds_by
from watchglass.api.models import Figure
from watchglass.instrumentation.budget import POOL_WAIT, POSTGRESQL
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION

PER_REQUEST = Spec("PostgreSQL per request", "s", "mean", "up")
NO_BUDGET = "No requests were recorded in this window with where their time went."
NO_REQUESTS = "No requests were recorded in this window."
BY = (COMPONENT, "db.query.summary", "db.query.text")


@dataclass(frozen=True, slots=True)
class Dearest:
    """The statement that takes the largest share of the time of requests in PostgreSQL."""

    fingerprint: str
    summary: str
    share: float


@dataclass(frozen=True, slots=True)
class PostgresqlShare:
    """`share` of the requests' time is PostgreSQL's, `pool_wait` was waiting for a connection; None if not known."""

    requests: int
    share: float | None
    pool_wait: float | None
    per_request: Figure
    dearest: Dearest | None


@dataclass(frozen=True, slots=True)
class _Spent:
    requests: int
    seconds: float
    parts: Mapping[tuple[str | None, ...], float]

    @property
    def told(self) -> float:
        return sum(self.parts.values())

    def of(self, component: str) -> float:
        return sum(seconds for key, seconds in self.parts.items() if key[0] == component)

    def reading(self) -> Reading:
        """PostgreSQL's part of the mean request, as far as requests tell where their time went."""
        if not self.requests or not self.told:
            return Reading(None, 0, NO_BUDGET if self.requests else NO_REQUESTS)
        return Reading(self.of(POSTGRESQL) / self.told * self.seconds / self.requests, self.requests)


async def postgresql_share(asked: Asked) -> PostgresqlShare:
    """Of all requests in the window, beside the earlier one."""
    now = await _read(asked, asked.window)
    before = await _read(asked, asked.earlier) if asked.earlier else None
    return PostgresqlShare(
        requests=now.requests,
        share=now.of(POSTGRESQL) / now.told if now.told else None,
        pool_wait=now.of(POOL_WAIT) / now.told if now.told else None,
        per_request=figure(PER_REQUEST, now.reading(), before.reading() if before else None),
        dearest=_dearest(now),
    )


async def _read(asked: Asked, window: Window) -> _Spent:
    groups = await asked.reader.select(HTTP_SERVER_REQUEST_DURATION.name, window)
    parts = await seconds_by(asked, window, BY)
    return _Spent(sum(one.count for one in groups), sum(one.sum for one in groups), parts)


def _dearest(spent: _Spent) -> Dearest | None:
    known = {key: seconds for key, seconds in spent.parts.items() if key[0] == POSTGRESQL and key[2] and seconds > 0}
    if not known:
        return None
    key = max(known, key=lambda one: known[one])
    return Dearest(of_statement(key[2] or ""), key[1] or "a statement", known[key] / spent.of(POSTGRESQL))
