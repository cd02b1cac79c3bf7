"""The section Statements of PostgreSQL's page: which there are by impact, with what became of them, and a filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from watchglass.api import words
from watchglass.api.models import Missing
from watchglass.api.statement_answers import ServerState, StatementRow, StatementsAnswer
from watchglass.ui import drawing, format
from watchglass.ui.levels import Level, latency_level
from watchglass.ui.pages import WINDOW

SORTS = {"impact": "Share of time", "trend": "Trend", "p95": "P95", "calls": "Calls", "errors": "Errors"}
"""What statements are sorted by, in the order of the columns."""

ONLY: Mapping[str, tuple[str, Callable[[StatementRow], bool]]] = {
    "plan": ("whose plan changed", lambda row: row.plan_changed_at is not None),
    "advice": ("with an index advised", lambda row: row.open_advice > 0),
    "new": ("that are new", lambda row: row.is_new),
    "slow": ("with slow calls", lambda row: bool(row.client and row.client.over_threshold)),
    "errors": ("with errors", lambda row: bool(row.client and row.client.errors)),
}
"""What the filter can keep: the words, and which statements."""

NAMES = (*WINDOW, "sort", "find", "only", "statements")
"""Parameters of the page's address."""

SHOWN, MOST = 15, 500
NOTABLE = 0.2
"""The growth of a statement's time from which on it has a colour, where it takes a notable share of all."""
NOTABLE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the address asks for, as the form shows it."""

    find: str
    only: str
    sort: str
    all: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Chosen:
        only, sort = query.get("only", ""), query.get("sort", "")
        return cls(
            query.get("find", "")[:500],
            only if only in ONLY else "",
            sort if sort in SORTS else "impact",
            query.get("statements") == "all",
        )

    @property
    def filters(self) -> bool:
        return bool(self.find or self.only)

    def keeps(self, row: StatementRow) -> bool:
        """Whether a statement has every word that is looked for, in its text or in the endpoints that call it."""
        if self.only and not ONLY[self.only][1](row):
            return False
        callers = " ".join(one.label for one in row.callers)
        searched = f"{row.summary} {row.text or ''} {callers} {row.fingerprint}".lower()
        return all(word in searched for word in self.find.lower().split())


@dataclass(frozen=True, slots=True)
class Row:
    """One statement; `line` is as much of its text as one line holds."""

    id: str
    fingerprint: str
    summary: str
    line: str
    caller: str
    caller_id: str
    more_callers: str
    share: float
    share_text: str
    time: format.Quantity
    trend: str
    spark: drawing.Spark | None
    trend_level: Level | None
    p95: format.Quantity
    p95_level: Level | None
    p95_why: str
    calls: str
    errors: str
    plan_changed_at: datetime | None
    plan_change: str
    advice: str


@dataclass(frozen=True, slots=True)
class StatementsView:
    """`more` counts those that fit and are not shown, `beyond` those that were not looked at."""

    sentence: str
    chosen: Chosen
    rows: list[Row]
    more: int
    beyond: int
    server: ServerState
    missing: Missing | None


def view(answer: StatementsAnswer, query: Mapping[str, str], slow: float) -> StatementsView:
    """The rows in the order of the answer that the filter keeps; from `slow` seconds on a call is slow."""
    chosen = Chosen.of(query)
    kept = [one for one in answer.statements if chosen.keeps(one)]
    shown = kept if chosen.all else kept[:SHOWN]
    sentence = f"{len(kept)} of {words.plural(len(answer.statements), 'statement')} fit." if chosen.filters else ""
    return StatementsView(
        sentence=sentence or answer.sentence,
        chosen=chosen,
        rows=[_row(one, slow) for one in shown],
        more=len(kept) - len(shown),
        beyond=answer.more,
        server=answer.server,
        missing=answer.missing,
    )


def _row(one: StatementRow, slow: float) -> Row:
    first = one.callers[0] if one.callers else None
    others = len(one.callers) - 1 + one.more_callers
    errors = one.client.errors if one.client else 0
    return Row(
        id=f"statement-{one.fingerprint}",
        fingerprint=one.fingerprint,
        summary=one.summary,
        line=" ".join((one.text or one.summary).split())[:300],
        caller=first.label if first else "",
        caller_id=first.endpoint_id if first else "",
        more_callers=words.plural(others, "more endpoint") if others > 0 else "",
        share=round(one.impact * 100, 1),
        share_text=words.share(one.impact),
        time=format.quantity(one.seconds, "s"),
        trend="new" if one.is_new else format.change(one.time.change, "s"),
        spark=drawing.spark(one.time.spark),
        trend_level=_trend_level(one),
        p95=format.of(one.p95),
        p95_level=latency_level(one.p95, slow),
        p95_why=one.p95.reason or "",
        calls=f"{one.calls:,}",
        errors=f"{errors:,}" if errors else "",
        plan_changed_at=one.plan_changed_at,
        plan_change=one.plan_change or "",
        advice=_advice(one.open_advice),
    )


def _advice(count: int) -> str:
    return f"{count} indexes advised" if count > 1 else "index advised" if count else ""


def _trend_level(one: StatementRow) -> Level | None:
    """Growth is a finding where the statement matters."""
    if one.impact < NOTABLE_SHARE:
        return None
    if one.is_new:
        return "warning"
    change = one.time.change
    grown = change is not None and change.verdict == "worse" and (change.relative is None or change.relative >= NOTABLE)
    return "warning" if grown else None
