"""All requests of the service: the tile API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.asking import Asked, Parameters, Reading, Readings, Spec, figures
from watchglass.api.coverage import coverage
from watchglass.api.models import Tile
from watchglass.api.series import line, percentile_lines, ratio, ratio_line, total
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_REQUESTS

if TYPE_CHECKING:
    from watchglass.store.reader import Group

STATUS, ERROR = "http.response.status_code", "error.type"
NO_REQUESTS = "No requests in this window."

SPECS = {
    "p95": Spec("P95", "s", "p95", "up"),
    "rate": Spec("Requests", "{request}/s", "rate"),
    "errors": Spec("Errors", "1", "ratio", "up"),
}


def is_error(status: str | None, error: str | None) -> bool:
    """Whether a request failed: a 5xx, or an exception after the response had begun."""
    return bool(error) or (status or "").startswith("5")


async def read(asked: Asked, window: Window) -> Readings:
    """P95, requests/s and the share of errors, of one window."""
    step = asked.step
    slots = window.slots(step)
    durations = await asked.reader.select(HTTP_SERVER_REQUEST_DURATION.name, window, step=step)
    counts = await asked.reader.select(HTTP_SERVER_REQUESTS.name, window, by=(STATUS, ERROR), step=step)
    requests = line(counts, slots, lambda group: group.sum)
    number = round(sum(group.sum for group in counts))
    rate = (await coverage(asked, window)).reading(requests, slots, step, samples=number)
    return {"p95": _p95(durations, slots), "rate": rate, "errors": _errors(counts, slots, requests)}


def _p95(durations: Sequence[Group], slots: Sequence[int]) -> Reading:
    whole = total(durations)
    spark = percentile_lines(durations, slots)[0][1] if whole.count else None
    return Reading(whole.percentile(0.95), whole.count, None if whole.count else NO_REQUESTS, spark)


def _errors(counts: Sequence[Group], slots: Sequence[int], requests: list[float | None]) -> Reading:
    failed = [group for group in counts if is_error(*group.key)]
    spark = ratio_line(line(failed, slots, lambda group: group.sum), requests)
    return ratio(sum(group.sum for group in failed), sum(group.sum for group in counts), NO_REQUESTS, spark)


async def tile(asked: Asked, _parameters: Parameters) -> Tile:
    """P95, requests/s and errors of all requests."""
    found = await figures(asked, SPECS, read)
    sentence = words.sentence(
        found,
        ("p95", lambda p95: f"P95 is {words.figure(p95)}{words.change(p95, asked.than)}"),
        ("rate", lambda rate: words.rate(rate, "request")),
        ("errors", lambda errors: f"{words.figure(errors)} errors"),
    )
    return Tile(**asked.head("tile_api", "API", sentence), figures=found)
