"""Searching the traces that were kept, and what is said of them: how many were seen beside how many were kept.

A slot of a latency chart or a cell of a heatmap leads to its traces by parameters: `start` and `end` of the slot,
`endpoint_id` of its line or row, and `min_duration`, its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.exceptions import HTTPException

from watchglass.api import trace_lines, words
from watchglass.api.asking import Asked
from watchglass.api.endpoint import METHOD, OVERFLOW, ROUTE, label
from watchglass.api.models import Missing
from watchglass.api.trace_answers import TraceLine, TracesAnswer
from watchglass.api.trace_filters import TracesParameters, place_of, searcher, trace_id_of, wanted_of
from watchglass.meters import HTTP_SERVER_REQUESTS, TRACES_KEPT, TRACES_SEEN
from watchglass.store import traces as store
from watchglass.store.traces import Found, Wanted

SHORTEST = 1.0
"""Seconds of the shortest window that is searched: slots of charts are as short as half a minute."""

NOT_KEPT = (
    "This trace was not kept, or is not any more: of the requests that are seen, errors, slow ones and some of the"
    " others are kept."
)

_SERVICE = "service.name"


async def traces(asked: Asked, parameters: TracesParameters) -> TracesAnswer:
    """The newest kept traces that fit, with how many of all were kept. Raises HTTPException."""
    if parameters.trace_id:
        return await _of_one(asked, parameters.trace_id)
    wanted = await wanted_of(asked, parameters)
    found, seen, kept = Found([]), 0, 0
    if asked.reader.service in (None, wanted.service):
        found = await store.find(searcher(asked), wanted, asked.window, parameters.limit, place_of(parameters.before))
        seen, kept = await _counted(asked, wanted)
    return _answer(
        asked,
        [trace_lines.listed(row) for row in found.rows],
        _sentence(len(found.rows), seen, kept, wanted),
        _missing(asked, found, wanted, seen),
        seen=seen,
        kept=kept,
        older=str(found.older) if found.older else None,
        searched_from=found.reached,
        reach=await _reach(asked),
    )


async def _of_one(asked: Asked, text: str) -> TracesAnswer:
    """The parts of one trace, whenever it was; what was seen and kept is that of the window all the same."""
    trace_id = trace_id_of(text)
    if trace_id is None:
        raise HTTPException(422, "trace_id: A trace id is 32 hexadecimal digits.")
    rows = [trace_lines.part(row) for row in reversed(await store.parts(searcher(asked), trace_id))]
    seen, kept = await _counted(asked, Wanted(service=asked.reader.service))
    sentence = f"{words.plural(len(rows), 'part')} of the trace {trace_id.hex()}."
    missing = None if rows else Missing(reason=NOT_KEPT, remedy="Its log lines are kept all the same.")
    return _answer(asked, rows, sentence, missing, seen=seen, kept=kept)


def _answer(
    asked: Asked, rows: Sequence[TraceLine], sentence: str, missing: Missing | None, **more: object
) -> TracesAnswer:
    head = asked.head("traces", "Traces", sentence, missing) | {"compared_with": None, "resolution": None}
    return TracesAnswer(**head | {"traces": list(rows)} | more)


async def _reach(asked: Asked) -> datetime | None:
    """Since when traces are kept, where the limit in bytes has cut into the window."""
    trimmed = await store.trimmed(searcher(asked))
    if trimmed is None or trimmed[0] <= asked.window.start:
        return None
    return datetime.fromtimestamp(trimmed[0], UTC)


async def _counted(asked: Asked, wanted: Wanted) -> tuple[int, int]:
    """How many were seen and kept in the window: of the service, or of the endpoint."""
    select, window = asked.reader.select, asked.window
    where: dict[str, str | None] = {} if asked.reader.service or not wanted.service else {_SERVICE: wanted.service}
    if not wanted.of_endpoint:
        found = [await select(meter.name, window, where=where) for meter in (TRACES_SEEN, TRACES_KEPT)]
        seen, kept = [round(sum(group.sum for group in groups)) for groups in found]
        return max(seen, kept), kept
    where |= {ROUTE: None, OVERFLOW: None} if wanted.unmatched else {}
    where |= {name: value for name, value in ((METHOD, wanted.method), (ROUTE, wanted.route)) if value is not None}
    requests = round(sum(group.sum for group in await select(HTTP_SERVER_REQUESTS.name, window, where=where)))
    kept = await store.count(searcher(asked), wanted, window)
    return max(requests, kept), kept


def _sentence(shown: int, seen: int, kept: int, wanted: Wanted) -> str:
    of = f" of {label((wanted.method, wanted.route))}" if wanted.of_endpoint else ""
    requests = words.plural(seen, "request")
    return f"{words.plural(shown, 'trace')}, newest first; {kept:,} of {requests}{of} in this window were kept."


def _missing(asked: Asked, found: Found, wanted: Wanted, seen: int) -> Missing | None:
    if found.rows or found.older:
        return None
    if asked.reader.service not in (None, wanted.service):
        return Missing(reason=f"Here are the traces of {asked.reader.service} only.", remedy="Name no other service.")
    days = asked.context.settings.retention_records_days
    if asked.window.end < asked.now - days * 86_400:
        return Missing(reason=f"Traces are kept for {words.plural(days, 'day')}; this window is older.")
    if not seen:
        return Missing(reason="No requests in this window.", remedy="Choose a longer range.")
    return Missing(
        reason=f"No kept trace fits; {words.plural(seen, 'request')} in this window were seen.",
        remedy="Errors, slow requests and some of the others are kept. Ask for less, or choose a longer range.",
    )
