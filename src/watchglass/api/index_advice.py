"""What would make slow statements faster, and which indexes cost and do not serve."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field

from watchglass.analysis import index_advice, index_usage
from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.index_advice import Advice
from watchglass.analysis.index_usage import Superfluous
from watchglass.analysis.rewrites import Rewrite, n_plus_one
from watchglass.analysis.shapes import as_statement
from watchglass.api import built_indexes, words
from watchglass.api.answers import Statement
from watchglass.api.asking import Asked, Parameters
from watchglass.api.index_advice_answers import (
    AdvisedIndex,
    AdvisedRewrite,
    IndexesAnswer,
    StatementAdvice,
    SuggestionsAnswer,
    SuperfluousIndex,
)
from watchglass.api.models import Missing
from watchglass.api.repeated import calls_per_request
from watchglass.api.slow_statements import NO_STATEMENTS, SlowStatementsParameters, slow_statements
from watchglass.errors import DatabaseNotConfigured
from watchglass.store import relations
from watchglass.store.advice import captured_plan
from watchglass.store.advising import Advised, advise
from watchglass.store.database import Database
from watchglass.store.explain import Explainer

ADVISER = "watchglass advice"
SECONDS = 10.0
"""After so long no other statement is planned for one answer."""

CUT_OFF = "Its text is cut off: it is longer than what is kept of a statement."
MOST_LISTED = 200


class SuggestionsParameters(Parameters):
    """How many statements are planned, or which one by its fingerprint."""

    limit: int = Field(10, ge=1, le=50)
    fingerprint: str | None = Field(None, max_length=16)


async def suggestions(asked: Asked, parameters: SuggestionsParameters) -> SuggestionsAnswer:
    """Indexes and other ways to ask, for the statements that took the most time in the window."""
    slow = await slow_statements(asked, SlowStatementsParameters(limit=200))
    wanted = [one for one in slow.statements if one.text and _is_asked_for(one.text, parameters)]
    repeated = await calls_per_request(asked, wanted)
    await built_indexes.look(asked, _database(asked))
    found = _within_others(await _looked_at(asked, wanted[: parameters.limit], repeated))
    helped = sum(bool(one.indexes or one.rewrites) for one in found)
    sentence = f"{words.plural(len(found), 'statement')} looked at: there is advice for {helped}."
    missing = None if found else Missing(reason=NO_STATEMENTS)
    return SuggestionsAnswer(
        **asked.head("suggestions", "Suggestions", sentence, missing),
        looked_at=len(found),
        more=len(wanted) - len(found) + slow.more,
        statements=found,
        built=await built_indexes.built(asked, parameters.fingerprint),
    )


async def indexes(asked: Asked) -> IndexesAnswer:
    """Indexes that were never scanned, those that another makes superfluous, and those that are not valid."""
    usage = await relations.usage(_database(asked))
    server, all_of_them = usage.server, usage.indexes
    unused = index_usage.unused(all_of_them, server.counted_seconds)
    twice = index_usage.duplicates(all_of_them)
    bytes_idle = sum(one.bytes for one in {found.index for found in (*unused, *twice)})
    young = server.counted_seconds < index_usage.LEAST_DAYS * index_usage.DAY
    counted = f"{len(all_of_them):,} {'index' if len(all_of_them) == 1 else 'indexes'}"
    sentence = f"{counted}: {len(unused)} unused, {len(twice)} twice, {words.size(bytes_idle)} in all."
    return IndexesAnswer(
        **asked.head("indexes", "Indexes", sentence + (f" {index_usage.TOO_YOUNG}" if young else "")),
        indexes=len(all_of_them),
        bytes=sum(one.bytes for one in all_of_them),
        scans_since=datetime.fromtimestamp(server.counted_since, UTC),
        replica=server.replica,
        caveat=index_usage.REPLICAS,
        unused=_superfluous(unused),
        duplicates=_superfluous(twice),
        invalid=_superfluous(index_usage.invalid(all_of_them)),
        more=usage.more,
    )


def _is_asked_for(text: str, parameters: SuggestionsParameters) -> bool:
    return parameters.fingerprint in (None, of_statement(text))


async def _looked_at(
    asked: Asked, statements: Sequence[Statement], repeated: Mapping[str, tuple[int, int]]
) -> list[StatementAdvice]:
    """One after the other, for as long as an answer may take."""
    settings, loop = asked.context.settings, asyncio.get_running_loop()
    assert settings.application_dsn
    explainer = Explainer(settings.application_dsn, settings.explain_dsn)
    database, until, found = _database(asked), loop.time() + SECONDS, []
    for one in statements:
        if loop.time() > until:
            break
        assert one.text
        text = as_statement(one.text)
        captured = await captured_plan(asked.reader.database, asked.reader.service, of_statement(one.text))
        advised = await advise(database, explainer, text, captured=captured) if text else Advised(note=CUT_OFF)
        await built_indexes.keep(asked, one, advised)
        found.append(_advice(one, advised, n_plus_one(*repeated.get(one.text, (0, 0)))))
    return found


def _within_others(found: Sequence[StatementAdvice]) -> list[StatementAdvice]:
    """Say of each index that another one of them does all it would do."""
    every = [index for one in found for index in one.indexes]
    return [
        one.model_copy(
            update={"indexes": [index.model_copy(update={"within": _within(index, every)}) for index in one.indexes]}
        )
        for one in found
    ]


def _within(index: AdvisedIndex, every: Sequence[AdvisedIndex]) -> str | None:
    longer = [one for one in every if index_advice.makes_needless(one, index)]
    return max(longer, key=lambda one: len(one.keys)).statement if longer else None


def _database(asked: Asked) -> Database:
    """The service's own. Raises `DatabaseNotConfigured`."""
    dsn = asked.context.settings.application_dsn
    if dsn is None:
        raise DatabaseNotConfigured
    return asked.reader.database.beside(ADVISER, dsn)


def _advice(statement: Statement, advised: Advised, repeated: Rewrite | None) -> StatementAdvice:
    assert statement.text
    rewrites = [*advised.rewrites, *filter(None, [repeated])]
    return StatementAdvice(
        fingerprint=of_statement(statement.text),
        summary=statement.summary,
        text=statement.text,
        calls=statement.calls,
        total_seconds=statement.total_seconds,
        impact=statement.impact,
        cost=advised.cost,
        how=advised.how,
        indexes=[_index(one) for one in advised.indexes],
        rewrites=[AdvisedRewrite.model_validate(one, from_attributes=True) for one in rewrites],
        note=advised.note,
    )


def _index(advice: Advice) -> AdvisedIndex:
    made = ("sentence", "within", "size", "size_bytes", "least_size_bytes")
    fields = {name: getattr(advice, name) for name in AdvisedIndex.model_fields if name not in made}
    least, most = advice.size
    size = words.size_between(least, most)
    sentence = f"{advice.basis}: cost {_cost(advice.cost_before)} -> {_cost(advice.cost_after)}, about {size}"
    return AdvisedIndex(**fields, sentence=sentence, size=size, size_bytes=most, least_size_bytes=least)


def _cost(cost: float) -> str:
    return f"{cost:,.1f}" if cost < 100 else f"{cost:,.0f}"


def _superfluous(found: Sequence[Superfluous]) -> list[SuperfluousIndex]:
    return [
        SuperfluousIndex(
            table=one.index.quoted_table,
            name=one.index.name,
            bytes=one.index.bytes,
            scans=one.index.scans,
            reason=one.reason,
            statement=one.statement,
            serving=one.serving,
        )
        for one in found[:MOST_LISTED]
    ]
