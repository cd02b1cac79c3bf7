"""Watchglass's own cost: what it writes, holds, drops and keeps from the service."""

from __future__ import annotations

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.answers import FootprintAnswer
from watchglass.api.asking import Asked, Parameters, Reading, Readings, Spec, figures
from watchglass.api.coverage import coverage
from watchglass.api.series import line, newest, percentile_lines, total
from watchglass.meters import (
    WATCHGLASS_DROPPED,
    WATCHGLASS_ERRORS,
    WATCHGLASS_FLUSH_DURATION,
    WATCHGLASS_QUEUE,
    WATCHGLASS_ROWS_WRITTEN,
    WATCHGLASS_SERIES,
    Meter,
)

UNREAD = "Watchglass wrote nothing about itself in this window."

SPECS = {
    "rows": Spec("Rows written", "{row}/s", "rate"),
    "flush_p95": Spec("Flush, P95", "s", "p95", "up"),
    "series": Spec("Series of a process, at most", "{series}", "max", "up"),
    "queue": Spec("Records waiting in a process, at most", "{record}", "max", "up"),
    "dropped": Spec("Records dropped", "{record}/h", "rate", "up"),
    "errors": Spec("Own errors", "{error}/h", "rate", "up"),
    "stored": Spec("Stored", "By", "last", "up"),
}


async def read(asked: Asked, window: Window) -> Readings:
    """Everything but the size of the store, of one window."""
    return {
        "rows": await _rate(asked, window, WATCHGLASS_ROWS_WRITTEN),
        "flush_p95": await _flush(asked, window),
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


async def _stored(asked: Asked) -> Reading:
    return Reading(float(sum(table.bytes for table in await asked.reader.sizes())))


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


async def _flush(asked: Asked, window: Window) -> Reading:
    groups = await asked.reader.select(WATCHGLASS_FLUSH_DURATION.name, window, step=asked.step)
    whole = total(groups)
    if not whole.count:
        return Reading(None, 0, UNREAD)
    lines, _ = percentile_lines(groups, window.slots(asked.step))
    return Reading(whole.percentile(0.95), whole.count, spark=lines[1])
