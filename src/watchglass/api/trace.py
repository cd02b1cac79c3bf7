"""One trace: its waterfall over all processes that took part, with the log lines of each span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from watchglass.analysis.critical_path import Segment
from watchglass.analysis.waterfall import Row, Similar, Waterfall, waterfall
from watchglass.analysis.windows import Window
from watchglass.api import trace_lines, words
from watchglass.api.context import Context
from watchglass.api.endpoint import identify
from watchglass.api.log_lines import LogLine, instant, log_line
from watchglass.api.logs import SEARCHER
from watchglass.api.models import TimeWindow
from watchglass.api.pending import SILENT
from watchglass.api.trace_answers import SimilarSpans, SpanLine, Stretch, TraceAnswer, TraceLine, TraceNotKept
from watchglass.api.trace_spans import MOST_CHARACTERS, Part, Seen, Shown, documents, seen
from watchglass.api.traces import NOT_KEPT
from watchglass.errors import DatabaseNotConfigured
from watchglass.store import traces as store

if TYPE_CHECKING:
    import asyncpg

    from watchglass.store.database import Database

MARGIN = 60.0
"""Seconds before and after a trace in which its log lines are looked for: work goes on after a response."""

_SECOND = 1e9


async def trace(context: Context, trace_id: bytes) -> TraceAnswer | TraceNotKept:
    """The trace of that id, of all services in the store; where none was kept, its log lines."""
    if context.reader is None:
        raise DatabaseNotConfigured
    database = context.reader.database.beside(SEARCHER)
    rows = await store.parts(database, trace_id)
    pending = await store.pending_parts(database, trace_id)
    pending = [row for row in pending if row["span_id"] not in {ended["span_id"] for ended in rows}]
    if not rows and not pending:
        lines, more = await _lines(database, trace_id, None, kept=False)
        return TraceNotKept(error=NOT_KEPT, trace_id=trace_id.hex(), logs=lines, more_logs=more)
    parts = [*(_ended(row) for row in rows), *(_running(row) for row in pending)]
    spans = seen(parts)
    found = waterfall([one.span for one in spans])
    start, seconds = found.start_ns / _SECOND, found.duration / _SECOND
    window = Window(start, start + seconds)
    lines, more = await _lines(database, trace_id, Window(start - MARGIN, window.end + MARGIN), kept=bool(rows))
    roots = [*map(trace_lines.part, rows), *map(trace_lines.pending, pending)]
    return TraceAnswer(
        card="trace",
        title=roots[0].name,
        sentence=_sentence(spans, found, roots, _began(pending)),
        window=TimeWindow.of(window),
        trace_id=trace_id.hex(),
        start=instant(TimeWindow.of(window).start),
        duration=seconds,
        roots=roots,
        logs=lines,
        more_logs=more,
        pending=bool(pending),
        more_roots=rows[0]["parts"] - len(rows) if rows else 0,
        more_spans=sum(len(part.spans) for part in parts) - len(spans) + sum(root.dropped_spans for root in roots),
        **_of_waterfall(spans, found),
    )


async def _lines(
    database: Database, trace_id: bytes, window: Window | None, *, kept: bool
) -> tuple[list[LogLine], bool]:
    rows = await store.lines(database, trace_id, window, kept=kept)
    return [log_line(dict(row)) for row in rows[: store.MOST_LINES]], len(rows) > store.MOST_LINES


def _ended(row: asyncpg.Record) -> Part:
    return Part(*_process(row), row["time"], documents(row["spans"]))


def _running(row: asyncpg.Record) -> Part:
    """What had not ended reaches to when it was seen last."""
    return Part(*_process(row), row["started_at"], documents(row["spans"]), running=True)


def _process(row: asyncpg.Record) -> tuple[str, str, str]:
    return row["service_name"] or "", row["service_instance_id"] or "", row["host_name"] or ""


def _of_waterfall(spans: Sequence[Seen], found: Waterfall) -> dict[str, Any]:
    shown = Shown()
    return {
        "spans": [_line(spans[row.number], row, shown) for row in found.rows],
        "similar": [_similar(group, spans) for group in found.similar],
        "critical_path": [_stretch(segment, spans) for segment in found.critical_path],
        "gaps": [_stretch(gap, spans) for gap in found.gaps],
        "missing_parents": found.missing_parents,
    }


def _line(one: Seen, row: Row, shown: Shown) -> SpanLine:
    return SpanLine(
        span_id=one.span.span_id,
        parent_id=one.span.parent_id,
        depth=row.depth,
        name=one.name,
        kind=one.span.kind,
        service=one.part.service,
        instance=one.part.instance,
        start=row.start / _SECOND,
        duration=row.duration / _SECOND,
        self_time=row.self_time / _SECOND,
        error=one.error,
        attributes=shown.of(one.attributes),
        sql=one.sql[:MOST_CHARACTERS] if one.sql else None,
        fingerprint=one.fingerprint,
        redis=one.redis,
        cache_type=one.text("watchglass.cache.type"),
        cache_hit=one.cache_hit,
        pool_wait=one.pool_wait,
        endpoint_id=_endpoint_id(one),
        missing_parent=row.missing_parent,
        on_critical_path=row.on_critical_path,
        similar=row.similar,
        clock_shift=row.shift / _SECOND,
        running=one.part.running,
    )


def _endpoint_id(one: Seen) -> str | None:
    """Of a server span, the endpoint that it is a request of."""
    if one.span.kind != "server":
        return None
    method, route = one.text("http.request.method"), one.text("http.route")
    return identify((method, route) if route else (None, None)) if method else None


def _similar(group: Similar, spans: Sequence[Seen]) -> SimilarSpans:
    first, count = spans[group.numbers[0]], len(group.numbers)
    return SimilarSpans(
        name=first.name,
        count=count,
        total=group.total / _SECOND,
        note=f"{count:,} similar {group.noun}s",
        sequential=group.sequential,
        fingerprint=first.fingerprint,
        span_ids=[spans[number].span.span_id for number in group.numbers],
    )


def _stretch(segment: Segment, spans: Sequence[Seen]) -> Stretch:
    start, duration = segment.start / _SECOND, (segment.end - segment.start) / _SECOND
    return Stretch(span_id=spans[segment.number].span.span_id, start=start, duration=duration)


def _began(pending: Sequence[asyncpg.Record]) -> str:
    """What comes before how long it took."""
    if not pending:
        return "Took"
    return "Running for" if min(row["silent"] for row in pending) < SILENT else "Never ended; last seen after"


def _sentence(spans: Sequence[Seen], found: Waterfall, roots: Sequence[TraceLine], began: str) -> str:
    """How long it took, what of it most, and what was done over and over."""
    parts = [f"{began} {words.duration(found.duration / _SECOND)}, {words.plural(len(spans), 'span')}"]
    names = {root.service for root in roots}
    if len(names) > 1:
        parts[0] += f" of {len(names)} services"
    busiest = _busiest(found)
    alike = {group.numbers[0]: group for group in found.similar}
    if busiest is not None:
        number, spent = busiest
        group = alike.pop(number, None)
        what = f"{len(group.numbers):,} similar {group.noun}s: " if group else ""
        parts.append(f"{words.percent(spent / found.duration)} of it in {what}{spans[number].name}")
    if alike:
        most = max(alike.values(), key=lambda group: len(group.numbers))
        parts.append(f"{len(most.numbers):,} similar {most.noun}s: {spans[most.numbers[0]].name}")
    failed = next((root for root in roots if root.error_type), None)
    if failed is not None:
        parts.append(f"ended with {failed.error_type}")
    return f"{'; '.join(parts)}."


def _busiest(found: Waterfall) -> tuple[int, int] | None:
    """The span that the trace waited for longest, and the nanoseconds; similar spans count as their first."""
    first = {number: group.numbers[0] for group in found.similar for number in group.numbers}
    spent: Counter[int] = Counter()
    for segment in found.critical_path:
        spent[first.get(segment.number, segment.number)] += segment.end - segment.start
    return next(iter(spent.most_common(1)), None)
