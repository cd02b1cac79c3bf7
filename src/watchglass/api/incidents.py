"""Black boxes that were frozen: which there are, what one holds, and freezing one by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from starlette.exceptions import HTTPException

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.asking import Asked, Parameters
from watchglass.api.context import Context
from watchglass.api.incident_answers import (
    FrozenAnswer,
    Held,
    IncidentAnswer,
    IncidentLine,
    IncidentsAnswer,
)
from watchglass.api.models import Missing, TimeWindow
from watchglass.errors import DatabaseNotConfigured
from watchglass.store import incidents as store
from watchglass.store.text import storable_json

if TYPE_CHECKING:
    import asyncpg

PAGE = "/ui/monitoring/incidents"
NO_INCIDENTS = "No black box was frozen in this window."
NOT_KEPT = "There is no such incident, or it is not kept any more."
NO_PROCESS = "This process is none of the service's, and has no black box. Ask the service itself."
NO_BOX = "This process has no black box, because WATCHGLASS_BLACK_BOX_SECONDS is 0."

_WHY = {
    "alert": "an alert fired",
    "error_burst": "errors burst",
    "sigterm": "the process ended",
    "by_hand": "somebody asked for it",
}


class IncidentsParameters(Parameters):
    """How many incidents."""

    limit: int = Field(100, ge=1, le=500)


class IncidentParameters(Parameters):
    """Which of an incident's requests, in which order, and how many log lines."""

    sort: Literal["newest", "slowest", "failed"] = "newest"
    limit: int = Field(200, ge=0, le=5_000)
    log_limit: int = Field(500, ge=0, le=10_000)


async def incidents(asked: Asked, parameters: IncidentsParameters, base: str) -> IncidentsAnswer:
    """The incidents of the window; `base` is what every address of ours begins with."""
    limit = parameters.limit
    rows = await store.incidents(asked.reader.database, asked.reader.service, asked.window, limit + 1)
    lines = [_line(row, base) for row in rows[:limit]]
    sentence = f"{words.plural(len(lines), 'incident')}; the newest because {_why(lines)}."
    missing = None if lines else Missing(reason=NO_INCIDENTS)
    head = asked.head("incidents", "Incidents", sentence if lines else NO_INCIDENTS, missing)
    return IncidentsAnswer(**head, incidents=lines, more=len(rows) > limit)


async def incident(context: Context, id: str, parameters: IncidentParameters, base: str) -> IncidentAnswer:
    """One incident. Raises HTTPException where there is none."""
    if context.reader is None:
        raise DatabaseNotConfigured
    row = await store.incident(context.reader.database, context.reader.service, id)
    if row is None:
        raise HTTPException(404, NOT_KEPT)
    content = json.loads(row["content"])
    requests, logs = await asyncio.to_thread(store.unpacked, content)
    shown = _ordered(requests, parameters.sort)[: parameters.limit]
    line = _line(row, base)
    return IncidentAnswer(
        card="incident",
        title=line.title,
        sentence=f"Frozen because {_why([line])}: {words.plural(len(requests), 'request')} and "
        f"{words.plural(len(logs), 'log line')} of the last minutes.",
        window=line.window,
        incident=line,
        process=_mapping(content.get("process")),
        requests_held=_held(content.get("requests"), len(shown)),
        logs_held=_held(content.get("logs"), len(logs[: parameters.log_limit])),
        requests=_plain(shown),
        logs=_plain(logs[: parameters.log_limit]),
        open=_mappings(content.get("open")),
        stacks=_mappings(content.get("stacks")),
        statements=_mappings(content.get("statements")),
    )


async def freeze(context: Context, title: str, base: str) -> FrozenAnswer:
    """Freeze the black box of the process that answers, by hand. Raises HTTPException where it has none."""
    if context.freeze is None:
        raise HTTPException(503, NO_PROCESS)
    if context.settings.store_dsn is None:
        raise DatabaseNotConfigured
    frozen = await context.freeze("by_hand", title)
    if frozen is None:
        raise HTTPException(409, NO_BOX)
    return FrozenAnswer(id=frozen.id, link=f"{base}{PAGE}/{frozen.id}")


def _line(row: asyncpg.Record, base: str) -> IncidentLine:
    return IncidentLine(
        id=row["id"],
        time=datetime.fromtimestamp(row["time"], UTC),
        reason=row["reason"],
        title=row["title"],
        service=row["service_name"],
        instance=row["service_instance_id"],
        host=row["host_name"],
        pid=row["process_pid"],
        window=TimeWindow.of(Window(row["window_start"], row["window_end"])),
        bytes=row["bytes"],
        link=f"{base}{PAGE}/{row['id']}",
    )


def _why(lines: Sequence[IncidentLine]) -> str:
    return _WHY.get(lines[0].reason, lines[0].reason) if lines else ""


_ORDER: Mapping[str, Callable[[dict[str, Any]], float]] = {
    "newest": lambda request: -_number(request.get("time")),
    "slowest": lambda request: -_number(request.get("duration")),
    "failed": lambda request: -_number(request.get("time")),
}


def _ordered(requests: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    found = [request for request in requests if request.get("error_type")] if sort == "failed" else requests
    return sorted(found, key=_ORDER[sort])


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _held(counts: Any, shown: int) -> Held:
    known = _mapping(counts)
    return Held(held=int(_number(known.get("held"))), left_out=int(_number(known.get("left_out"))), shown=shown)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _plain(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what no JSON of ours holds: lone surrogates, and control characters that end texts elsewhere."""
    return [json.loads(storable_json(document)) for document in documents]
