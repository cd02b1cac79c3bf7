"""What an advised index brought: the statement before it was there, and since."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.answers import Statement
from watchglass.api.asking import Asked
from watchglass.api.index_advice_answers import BuiltIndex, MeasuredCalls
from watchglass.api.postgresql import POSTGRESQL, SYSTEM
from watchglass.api.series import total
from watchglass.errors import WatchglassError
from watchglass.meters import DB_CLIENT_OPERATION_DURATION
from watchglass.store import advice as store
from watchglass.store.advising import Advised
from watchglass.store.database import Database


async def keep(asked: Asked, statement: Statement, advised: Advised) -> None:
    """Keep the advice, where this role may write to the store: the answer does not depend on it."""
    before = {"calls": statement.calls, "p95": statement.p95.value, "mean": statement.total_seconds / statement.calls}
    service = asked.reader.service
    if service is not None and statement.text and advised.indexes:
        with suppress(WatchglassError):
            await store.keep(asked.reader.database, service, statement.text, advised.indexes, before)


async def look(asked: Asked, application: Database) -> None:
    """Find out which of them are there now; the elected process does so once a minute, too."""
    if asked.reader.service is not None:
        with suppress(WatchglassError):

            async def fetch(query: str, *arguments: object) -> list[Any]:
                return await asked.reader.database.fetch(query, *arguments, readonly=False)

            await store.watch(fetch, application, asked.reader.service)


async def built(asked: Asked, fingerprint: str | None) -> list[BuiltIndex]:
    """Advised indexes that are there, with calls before and since."""
    found = await store.built(asked.reader.database, asked.reader.service, fingerprint)
    return [await _measured(asked, one) for one in found]


async def _measured(asked: Asked, one: store.Built) -> BuiltIndex:
    since = Window(min(one.built_at, asked.now - 1), asked.now)
    groups = await asked.reader.select(
        DB_CLIENT_OPERATION_DURATION.name, since, where={SYSTEM: POSTGRESQL, "db.query.text": one.detail["text"]}
    )
    whole = total(groups)
    after = MeasuredCalls(
        calls=whole.count,
        p95=whole.percentile(0.95) if whole.count else None,
        mean=whole.sum / whole.count if whole.count else None,
    )
    before = _before(one.before)
    return BuiltIndex(
        fingerprint=one.fingerprint,
        text=one.detail["text"],
        statement=one.statement,
        built_at=datetime.fromtimestamp(one.built_at, UTC),
        before=before,
        after=after,
        sentence=_sentence(before, after),
    )


def _before(known: Mapping[str, Any]) -> MeasuredCalls:
    return MeasuredCalls(calls=int(known.get("calls") or 0), p95=known.get("p95"), mean=known.get("mean"))


def _sentence(before: MeasuredCalls, after: MeasuredCalls) -> str:
    if not after.calls:
        return "The index is there; the statement was not called since."
    was, now = words.duration(before.p95), words.duration(after.p95)
    return f"P95 was {was} before the index, and is {now} since, of {words.plural(after.calls, 'call')}."
