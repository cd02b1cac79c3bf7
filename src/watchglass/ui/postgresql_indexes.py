"""The section Indexes of PostgreSQL's page: which would help, and which cost and do not serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from watchglass.api import words
from watchglass.api.index_advice_answers import (
    AdvisedIndex,
    AdvisedRewrite,
    BuiltIndex,
    IndexesAnswer,
    StatementAdvice,
    SuggestionsAnswer,
    SuperfluousIndex,
)
from watchglass.ui import format

SHOWN = 9
"""Superfluous indexes of a kind that are seen at once; the others open below."""

KINDS = {
    "unused": ("Unused", "No index is known to be unused."),
    "duplicates": ("Duplicate", "No index does what another does."),
    "invalid": ("Not valid", ""),
}
"""The kinds of superfluous indexes: the title, and what is said where there is none; nothing of what is rare."""


@dataclass(frozen=True, slots=True)
class IndexAdvice:
    """An index to make. `statement` is all that is to be run, the extension it needs included."""

    id: str
    index: AdvisedIndex
    statement: str
    costs: str
    size: str


@dataclass(frozen=True, slots=True)
class Advised:
    """A statement with its advice."""

    statement: StatementAdvice
    line: str
    share: str
    calls: str
    indexes: list[IndexAdvice]
    rewrites: list[AdvisedRewrite]


@dataclass(frozen=True, slots=True)
class AdviceView:
    """Statements with advice, those of which something is not known, and indexes that were made since."""

    sentence: str
    advised: list[Advised]
    notes: list[tuple[StatementAdvice, str]]
    built: list[BuiltIndex]
    more: int


@dataclass(frozen=True, slots=True)
class Superfluous:
    """An index that may go, with the statement for it."""

    id: str
    index: SuperfluousIndex
    size: str
    scans: str


@dataclass(frozen=True, slots=True)
class Kind:
    """The superfluous indexes of one kind."""

    name: str
    title: str
    none: str
    size: str
    shown: list[Superfluous]
    rest: list[Superfluous]


@dataclass(frozen=True, slots=True)
class IndexesView:
    """`age` is how long scans are counted, since `since`."""

    sentence: str
    since: datetime
    age: str
    replica: bool
    caveat: str
    kinds: list[Kind]
    more: bool


def advice(answer: SuggestionsAnswer) -> AdviceView:
    """What would make slow statements faster."""
    helped = [one for one in answer.statements if one.indexes or one.rewrites]
    notes = [(one, one.note) for one in answer.statements if one.note and one not in helped]
    return AdviceView(answer.sentence, [_advised(one) for one in helped], notes, answer.built, answer.more)


def view(answer: IndexesAnswer) -> IndexesView:
    """What may go."""
    kinds = [_kind(name, getattr(answer, name)) for name in KINDS]
    return IndexesView(
        sentence=answer.sentence,
        since=answer.scans_since,
        age=words.duration(max((answer.window.end - answer.scans_since).total_seconds(), 0.0)),
        replica=answer.replica,
        caveat=answer.caveat,
        kinds=[one for one in kinds if one.shown or one.none],
        more=answer.more,
    )


def _advised(one: StatementAdvice) -> Advised:
    return Advised(
        statement=one,
        line=" ".join(one.text.split())[:300],
        share=words.percent(one.impact),
        calls=words.plural(one.calls, "call"),
        indexes=[_index(one, index) for index in one.indexes],
        rewrites=one.rewrites,
    )


def _index(one: StatementAdvice, index: AdvisedIndex) -> IndexAdvice:
    needs = f"CREATE EXTENSION IF NOT EXISTS {index.extension};\n" if index.extension else ""
    cost = f"{words.number(index.cost_before)} \N{RIGHTWARDS ARROW} {words.number(index.cost_after)}"
    return IndexAdvice(
        id=f"advice-{one.fingerprint}-{_mark(index.statement)}",
        index=index,
        statement=f"{needs}{index.statement}",
        costs=cost,
        size=index.size,
    )


def _kind(name: str, found: Sequence[SuperfluousIndex]) -> Kind:
    title, none = KINDS[name]
    rows = [_superfluous(name, one) for one in found]
    return Kind(name, title, none, words.size(sum(one.bytes for one in found)), rows[:SHOWN], rows[SHOWN:])


def _superfluous(kind: str, one: SuperfluousIndex) -> Superfluous:
    return Superfluous(
        id=f"{kind}-{_mark(one.statement)}",
        index=one,
        size=str(format.quantity(one.bytes, "By")),
        scans=f"{one.scans:,}",
    )


def _mark(text: str) -> str:
    """A part of an id, the same for the same text."""
    return f"{crc32(text.encode(errors='replace')):08x}"
