"""Watchglass's own cost: what it writes, holds, drops and keeps from the service."""

from __future__ import annotations

from datetime import UTC, datetime

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.asking import Asked, Parameters, Reading, Readings, Spec, figures
from watchglass.api.coverage import coverage
from watchglass.api.footprint_answers import FootprintAnswer, FootprintDetails, Loss, OwnStatement, StoredTable
from watchglass.api.series import line, newest, percentile_lines, percentile_table, ratio, total
from watchglass.jobs.retention import kept_bytes
from watchglass.meters import (
    HTTP_SERVER_REQUEST_DURATION,
    WATCHGLASS_BACKLOG,
    WATCHGLASS_BACKLOG_USAGE,
    WATCHGLASS_CLAMPED,
    WATCHGLASS_CPU_TIME,
    WATCHGLASS_DROPPED,
    WATCHGLASS_ERRORS,
    WATCHGLASS_FLUSH_DURATION,
    WATCHGLASS_QUERY_DURATION,
    WATCHGLASS_QUEUE,
    WATCHGLASS_ROWS_WRITTEN,
    WATCHGLASS_SERIES,
    WATCHGLASS_SERIES_OVERFLOWED,
    WATCHGLASS_SPOOL_SET_ASIDE,
    WATCHGLASS_SPOOL_USAGE,
    WATCHGLASS_STORE_SIZE,
    Meter,
)
from watchglass.store.reader import TableSize

UNREAD = "Watchglass wrote nothing about itself in this window."

SPECS = {
    "rows": Spec("Rows written", "{row}/s", "rate"),
    "flush_p95": Spec("Flush, P95", "s", "p95", "up"),
    "series": Spec("Series of a process", "{series}", "max", "up"),
    "queue": Spec("Records waiting", "{record}", "max", "up"),
    "dropped": Spec("Records dropped", "{record}/h", "rate", "up"),
    "errors": Spec("Own errors", "{error}/h", "rate", "up"),
    "stored": Spec("Stored", "By", "last", "up"),
}
DETAILS = {
    **SPECS,
    "backlog": Spec("Batches waiting", "{batch}", "max", "up"),
    "backlog_bytes": Spec("Memory of these batches", "By", "max", "up"),
    "spool": Spec("Waiting on disk", "By", "max", "up"),
    "set_aside": Spec("Unreadable spools", "{file}", "max", "up"),
    "overflowed": Spec("Found no room", "{series}/h", "rate", "up"),
    "clamped": Spec("Times moved", "{row}/h", "rate", "up"),
    "cpu": Spec("CPU of own threads", "1", "rate", "up"),
    "cpu_request": Spec("Own CPU per request", "s", "mean", "up"),
    "queries_p95": Spec("Questions, P95", "s", "p95", "up"),
}

HOLDS = {
    "metrics": "metrics as the first version wrote them",
    "metrics_10s": "metrics in steps of ten seconds",
    "metrics_1m": "metrics in steps of a minute",
    "metrics_1h": "metrics in steps of an hour",
    "metrics_1d": "metrics in steps of a day",
    "logs": "log lines",
    "traces": "traces that were kept",
    "series": "what the numbers are about",
    "instances": "processes of the service",
    "batches": "the ledger of what was written",
    "rollups": "how far the coarser steps reach",
    "audit": "who did what",
    "incidents": "what was going on around an incident",
    "error_groups": "errors that are one and the same",
    "pending": "requests that run now",
    "backends": "connections that are held",
}
"""What each table holds, as people say it; the others are small."""


async def read(asked: Asked, window: Window) -> Readings:
    """Everything but the size of the store, of one window."""
    return {
        "rows": await _rate(asked, window, WATCHGLASS_ROWS_WRITTEN),
        "flush_p95": await _p95(asked, window, WATCHGLASS_FLUSH_DURATION),
        "series": await _gauge(asked, window, WATCHGLASS_SERIES),
        "queue": await _gauge(asked, window, WATCHGLASS_QUEUE, "signal"),
        "dropped": await _rate(asked, window, WATCHGLASS_DROPPED, 3600),
        "errors": await _rate(asked, window, WATCHGLASS_ERRORS, 3600),
        **({"stored": await _stored(asked)} if window is asked.window else {}),
    }


async def footprint(asked: Asked, _parameters: Parameters) -> FootprintAnswer:
    """The line in the footer of the page."""
    found = await figures(asked, SPECS, read)
    sentence = words.sentence(
        found,
        ("stored", lambda stored: f"Watchglass keeps {words.figure(stored)}"),
        ("rows", lambda rows: f"{words.rate(rows, 'row')} written"),
        ("dropped", lambda dropped: f"{words.rate(dropped, 'record')} dropped"),
    )
    return FootprintAnswer(**asked.head("footprint", "Watchglass", sentence), figures=found)


async def read_details(asked: Asked, window: Window) -> Readings:
    """What the footer shows, and what it takes to run; what waits is compared with nothing earlier."""
    found = {
        **await read(asked, window),
        "cpu": await _rate(asked, window, WATCHGLASS_CPU_TIME),
        "cpu_request": await _per_request(asked, window),
        "queries_p95": await _p95(asked, window, WATCHGLASS_QUERY_DURATION),
    }
    return {**found, **(await _waiting(asked) if window is asked.window else {})}


async def _waiting(asked: Asked) -> Readings:
    """What is held up, or had to be moved or merged."""
    window = asked.window
    return {
        "backlog": await _gauge(asked, window, WATCHGLASS_BACKLOG),
        "backlog_bytes": await _gauge(asked, window, WATCHGLASS_BACKLOG_USAGE),
        "spool": await _gauge(asked, window, WATCHGLASS_SPOOL_USAGE),
        "set_aside": await _gauge(asked, window, WATCHGLASS_SPOOL_SET_ASIDE),
        "overflowed": await _rate(asked, window, WATCHGLASS_SERIES_OVERFLOWED, 3600),
        "clamped": await _rate(asked, window, WATCHGLASS_CLAMPED, 3600),
    }


async def detailed(asked: Asked) -> FootprintDetails:
    """The page behind the footer's line."""
    found, losses = await figures(asked, DETAILS, read_details), await _losses(asked)
    sentence = words.sentence(
        found,
        ("stored", lambda stored: f"Watchglass keeps {words.figure(stored)}"),
        ("rows", lambda rows: f"it writes {words.rate(rows, 'row')}"),
        ("cpu", lambda cpu: f"its threads take {words.figure(cpu)} of a CPU"),
    )
    return FootprintDetails(
        **asked.head("footprint", "Cost of Watchglass", sentence),
        figures=found,
        tables=[
            StoredTable(
                name=one.name, holds=_holds(asked, one), partitions=one.partitions, rows=one.rows, bytes=one.bytes
            )
            for one in await asked.reader.sizes()
        ],
        losses=losses,
        statements=await _statements(asked),
    )


def _holds(asked: Asked, one: TableSize) -> str:
    """What is in a table, and where its limit in bytes decides how far back it reaches, or is exceeded."""
    settings = asked.context.settings
    said, limit = [HOLDS.get(one.name, "")], kept_bytes(settings).get(one.name)
    expired = asked.now - settings.retention_records_days * 86_400
    if one.trimmed_until and one.trimmed_until > expired:
        since = datetime.fromtimestamp(one.trimmed_until, UTC)
        said.append(f"back to {since:%a %d %b %H:%M} UTC, for {words.size(one.limit_bytes)} is the limit")
    if limit and one.bytes > (largest := max(limit, one.limit_bytes or 0)):
        said.append(f"more than the limit of {words.size(largest)} until the hour that is written ends")
    return "; ".join(said)


async def _losses(asked: Asked) -> list[Loss]:
    """Records dropped, by signal and reason, and own errors, by place: the most first."""
    dropped = await asked.reader.select(WATCHGLASS_DROPPED.name, asked.window, by=("signal", "reason"))
    failed = await asked.reader.select(WATCHGLASS_ERRORS.name, asked.window, by=("where",))
    found = [Loss(what=group.key[0] or "", why=group.key[1] or "", count=round(group.sum)) for group in dropped]
    found += [Loss(what="errors", why=group.key[0] or "", count=round(group.sum)) for group in failed]
    return sorted((loss for loss in found if loss.count), key=lambda loss: -loss.count)


async def _statements(asked: Asked) -> list[OwnStatement]:
    groups = await asked.reader.select(WATCHGLASS_QUERY_DURATION.name, asked.window, by=("statement",))
    table = percentile_table([total([group]) for group in groups])
    found = [
        OwnStatement(name=group.key[0] or "", calls=group.count, p95=row[1], max=group.max, total_seconds=group.sum)
        for group, row in zip(groups, table, strict=True)
    ]
    return sorted(found, key=lambda one: -one.total_seconds)


async def _per_request(asked: Asked, window: Window) -> Reading:
    """CPU time of the own threads over the requests that were served: not what a request itself waits for."""
    cpu = sum(group.sum for group in await asked.reader.select(WATCHGLASS_CPU_TIME.name, window))
    served = await asked.reader.select(HTTP_SERVER_REQUEST_DURATION.name, window)
    return ratio(cpu, sum(group.count for group in served), "No requests in this window.")


async def _stored(asked: Asked) -> Reading:
    """As it is now; its line is what the elected process read, each minute."""
    size = float(sum(table.bytes for table in await asked.reader.sizes()))
    groups = await asked.reader.select(WATCHGLASS_STORE_SIZE.name, asked.window, by=("table",), step=asked.step)
    return Reading(
        size, spark=line(groups, asked.window.slots(asked.step), lambda group: group.last) if groups else None
    )


async def _rate(asked: Asked, window: Window, meter: Meter, per: float = 1.0) -> Reading:
    groups = await asked.reader.select(meter.name, window, step=asked.step)
    slots = window.slots(asked.step)
    amounts = line(groups, slots, lambda group: group.sum)
    covered = await coverage(asked, window)
    return covered.reading(amounts, slots, asked.step, per, samples=round(sum(group.sum for group in groups)))


async def _gauge(asked: Asked, window: Window, meter: Meter, *by: str) -> Reading:
    """The largest a process has. Not their sum: in the newest slot some have not reported yet."""
    groups = await asked.reader.select(meter.name, window, by=by, step=asked.step)
    return newest(groups, window.slots(asked.step), UNREAD, lambda group: group.max)


async def _p95(asked: Asked, window: Window, meter: Meter) -> Reading:
    groups = await asked.reader.select(meter.name, window, step=asked.step)
    whole = total(groups)
    if not whole.count:
        return Reading(None, 0, UNREAD)
    lines, _ = percentile_lines(groups, window.slots(asked.step))
    return Reading(whole.percentile(0.95), whole.count, spark=lines[1])
