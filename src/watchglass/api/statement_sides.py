"""The two sides of a statement: what the service's client measured, and what PostgreSQL counted, joined.

Texts with one fingerprint are one statement. Others are joined by PostgreSQL's query identifier, where the plan of a
slow execution told it (`Query Identifier` of EXPLAIN VERBOSE, which is the `queryid` of pg_stat_statements), else by
what the texts have in common (`analysis.statement_keys`): PostgreSQL's has not the literals that the client's has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.statement_keys import Joined
from watchglass.analysis.windows import Window
from watchglass.api.asking import Asked
from watchglass.api.postgresql import POSTGRESQL, SYSTEM
from watchglass.api.requests import ERROR
from watchglass.api.series import total
from watchglass.api.slow_statements import UNKNOWN
from watchglass.api.statement_answers import ClientSide, ServerSide, Side
from watchglass.instrumentation.statements import parse
from watchglass.meters import (
    DB_CLIENT_OPERATION_DURATION,
    FINGERPRINT,
    OF_STATEMENTS,
    STATEMENT_BLKS_HIT,
    STATEMENT_BLKS_READ,
    STATEMENT_CALLS,
    STATEMENT_EXEC_TIME,
    STATEMENT_IO_TIME,
    STATEMENT_ROWS,
    STATEMENT_TEMP_READ,
    STATEMENT_TEMP_WRITTEN,
    STATEMENT_WAL,
    Meter,
)
from watchglass.store import statements as store

if TYPE_CHECKING:
    from watchglass.store.reader import Group

TEXT: Final = "db.query.text"
BY: Final = (TEXT, "db.query.summary", "db.operation.name", ERROR)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
TIMEOUTS: Final = frozenset({"TimeoutError", "55P03", "25P03", "25P04", "57P05"})
CANCELLED: Final = frozenset({"CancelledError", "57014"})

Figures = Mapping[Meter, float]


@dataclass(slots=True)
class Statement:
    """One statement in one window. `counted_as` are the fingerprints under which PostgreSQL's side is kept."""

    text: str | None
    summary: str
    operation: str | None
    groups: list[Group] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    counted_as: list[str] = field(default_factory=list)
    figures: dict[Meter, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def fingerprint(self) -> str:
        return of_statement(self.text or self.summary)

    @property
    def side(self) -> Side:
        """The side that saw more: the client waits for the network too, the server works for other clients too."""
        return "server" if self.seconds_of("server") > self.seconds_of("client") else "client"

    def seconds_of(self, side: Side) -> float:
        if side == "server":
            return self.figures.get(STATEMENT_EXEC_TIME, 0.0)
        return sum(group.sum for group in self.groups)

    def client(self, threshold: float) -> ClientSide | None:
        if not self.groups:
            return None
        whole = total(self.groups)
        return ClientSide(
            calls=whole.count,
            seconds=whole.sum,
            mean=whole.sum / whole.count if whole.count else 0.0,
            p50=whole.percentile(0.5),
            p95=whole.percentile(0.95),
            p99=whole.percentile(0.99),
            max=whole.high,
            errors=self.errors.total(),
            timeouts=sum(number for kind, number in self.errors.items() if kind in TIMEOUTS),
            cancelled=sum(number for kind, number in self.errors.items() if kind in CANCELLED),
            over_threshold=whole.over(threshold),
        )

    def server(self) -> ServerSide | None:
        if not self.counted_as:
            return None
        one = self.figures
        calls, hit, read = one[STATEMENT_CALLS], one[STATEMENT_BLKS_HIT], one[STATEMENT_BLKS_READ]
        return ServerSide(
            calls=round(calls),
            seconds=one[STATEMENT_EXEC_TIME],
            mean=one[STATEMENT_EXEC_TIME] / calls if calls else 0.0,
            rows=round(one[STATEMENT_ROWS]),
            rows_per_call=one[STATEMENT_ROWS] / calls if calls else 0.0,
            shared_blks_hit=round(hit),
            shared_blks_read=round(read),
            hit_ratio=hit / (hit + read) if hit + read else None,
            temp_blks_read=round(one[STATEMENT_TEMP_READ]),
            temp_blks_written=round(one[STATEMENT_TEMP_WRITTEN]),
            io_seconds=one[STATEMENT_IO_TIME] or None,
            wal_bytes=round(one[STATEMENT_WAL]),
        )


@dataclass(frozen=True, slots=True)
class Sides:
    """The statements of a window by fingerprint, and the seconds of those that PostgreSQL's side keeps as one."""

    statements: Mapping[str, Statement]
    beyond_seconds: float

    @property
    def seconds(self) -> float:
        return sum(one.seconds_of(one.side) for one in self.statements.values()) + self.beyond_seconds

    def find(self, *fingerprints: str) -> Statement | None:
        """By its own fingerprint, or by one under which PostgreSQL's side is kept."""
        own = next((self.statements[name] for name in fingerprints if name in self.statements), None)
        return own or next((one for one in self.statements.values() if set(fingerprints) & set(one.counted_as)), None)


async def read(asked: Asked, window: Window) -> Sides:
    """Both sides of every statement in a window."""
    found = await _of_client(asked, window)
    figures = await _of_server(asked, window)
    known = await store.known(asked.reader.database, asked.reader.service, sorted({*figures, *found}))
    client = {one.text: one.seconds_of("client") for one in found.values() if one.text}
    joined = Joined(client, {text: row.queryid for text in client if (row := known.get(of_statement(text)))})
    for fingerprint, row in known.items():
        if fingerprint not in figures:
            continue
        text = joined.find(row.text, row.queryid) or row.text
        statement = found.setdefault(of_statement(text), _described(text))
        statement.counted_as.append(fingerprint)
        for meter, value in figures[fingerprint].items():
            statement.figures[meter] += value
    beyond = sum(one.get(STATEMENT_EXEC_TIME, 0.0) for name, one in figures.items() if name not in known)
    return Sides(found, beyond)


async def _of_client(asked: Asked, window: Window) -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    where = {SYSTEM: POSTGRESQL}
    for group in await asked.reader.select(DB_CLIENT_OPERATION_DURATION.name, window, by=BY, where=where):
        text, summary, operation, error = group.key
        one = Statement(text, summary or operation or UNKNOWN, operation)
        one = found.setdefault(one.fingerprint, one)
        one.groups.append(group)
        if error:
            one.errors[error] += group.count
    return found


async def _of_server(asked: Asked, window: Window) -> dict[str, dict[Meter, float]]:
    """Figures by the fingerprint under which they are kept; what found no room in a process has none."""
    found: dict[str, dict[Meter, float]] = defaultdict(dict)
    for meter in OF_STATEMENTS:
        for group in await asked.reader.select(meter.name, window, by=(FINGERPRINT,)):
            found[group.key[0] or ""][meter] = group.sum
    return found


def _described(text: str) -> Statement:
    parsed = parse(text)
    return Statement(text, parsed.summary, parsed.operation)
