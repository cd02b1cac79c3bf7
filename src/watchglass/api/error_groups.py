"""Errors by type and place in the code: each once, with how often it came, a stack and an example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from watchglass.api import words
from watchglass.api.asking import Asked, Parameters
from watchglass.api.models import Missing
from watchglass.api.trace_answers import ErrorGroup, ErrorGroupsAnswer
from watchglass.api.trace_filters import Text, endpoint_of
from watchglass.store import traces as store
from watchglass.store.traces import Wanted

if TYPE_CHECKING:
    import asyncpg

NO_ERRORS = "No errors in this window."


class ErrorGroupsParameters(Parameters):
    """Which groups: those of an endpoint, as far as its kept traces say."""

    endpoint_id: Text = ""
    method: Text = ""
    route: Text = ""
    limit: int = Field(50, ge=1, le=200)


async def error_groups(asked: Asked, parameters: ErrorGroupsParameters) -> ErrorGroupsAnswer:
    """The groups that were seen in the window, the one seen last first."""
    method, route, unmatched = endpoint_of(parameters.endpoint_id, parameters.method, parameters.route)
    wanted = Wanted(asked.reader.service, method, route, unmatched)
    rows = await store.error_groups(asked.reader.database, wanted, asked.window, parameters.limit + 1)
    groups = [_group(row) for row in rows[: parameters.limit]]
    return ErrorGroupsAnswer(
        **asked.head("errors", "Errors", _sentence(groups), None if groups else Missing(reason=NO_ERRORS)),
        groups=groups,
        more=len(rows) > parameters.limit,
    )


def _sentence(groups: list[ErrorGroup]) -> str:
    if not groups:
        return NO_ERRORS
    most = max(groups, key=lambda group: group.count)
    kinds, times = words.plural(len(groups), "group"), words.plural(most.count, "time")
    return f"{kinds} of errors; most often {most.error_type}, {times} since it was first seen."


def _group(row: asyncpg.Record) -> ErrorGroup:
    return ErrorGroup(
        id=row["id"],
        service=row["service_name"],
        error_type=row["error_type"],
        frame=row["frame"],
        message=row["message"],
        stack=row["stack"],
        count=row["count"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        trace_id=row["trace_id"],
    )
