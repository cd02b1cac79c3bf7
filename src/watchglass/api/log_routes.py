"""The JSON routes of log lines that are stored."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from watchglass.api import paths
from watchglass.api.asking import Asked
from watchglass.api.log_answers import LogsAnswer
from watchglass.api.log_export import Format, export, name_of
from watchglass.api.logs import logs, wanted_of

_FILTERS = "level (that and above), service, instance, logger, text, trace_id; range, or start and end"
_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def add(router: APIRouter) -> None:
    """Have the router answer them."""

    @router.get(
        f"{paths.API}/logs", description=f"Lines that are stored, newest first. Takes {_FILTERS}; limit, before, after."
    )
    async def history(request: Request) -> LogsAnswer:
        return await logs(Asked.of(request.app.state.context, request.query_params), request.query_params)

    @router.get(f"{paths.API}/logs/export", description=f"All of them as a file. Takes {_FILTERS}.")
    async def file(request: Request, form: Annotated[Format, Query(alias="format")] = "csv") -> StreamingResponse:
        asked = Asked.of(request.app.state.context, request.query_params)
        pieces = await export(asked, wanted_of(asked, request.query_params), form)
        disposition = f'attachment; filename="{name_of(asked, form)}"'
        return StreamingResponse(pieces, media_type=_TYPES[form], headers={"content-disposition": disposition})
