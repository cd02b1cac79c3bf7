"""The JSON routes of traces and of groups of errors."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from watchglass.api import paths
from watchglass.api.asking import Asked
from watchglass.api.error_groups import ErrorGroupsParameters, error_groups
from watchglass.api.trace import trace
from watchglass.api.trace_answers import ErrorGroupsAnswer, TraceAnswer, TraceNotKept, TracesAnswer
from watchglass.api.trace_filters import TracesParameters, trace_id_of
from watchglass.api.traces import SHORTEST, traces

_WINDOW = "The window is range, or start and end, as everywhere."


def _asked(request: Request) -> Asked:
    return Asked.of(request.app.state.context, request.query_params, SHORTEST)


def _wanted(request: Request) -> TracesParameters:
    """What a form leaves empty is not asked for."""
    return TracesParameters.model_validate({name: value for name, value in request.query_params.items() if value})


Question = Annotated[Asked, Depends(_asked)]
_PARAMETERS = [
    {"name": name, "in": "query", "schema": schema}
    for name, schema in TracesParameters.model_json_schema()["properties"].items()
]


def add(router: APIRouter) -> None:
    """Have the router answer them."""

    @router.get(
        f"{paths.API}/traces",
        description=f"Traces that were kept, newest first. {_WINDOW}",
        openapi_extra={"parameters": _PARAMETERS},
    )
    async def search(question: Question, parameters: Annotated[TracesParameters, Depends(_wanted)]) -> TracesAnswer:
        return await traces(question, parameters)

    @router.get(
        f"{paths.API}/traces/{{trace_id}}",
        response_model=TraceAnswer,
        responses={404: {"model": TraceNotKept}},
        description="One trace of any time, over all services in the store.",
    )
    async def one(trace_id: str, request: Request) -> Response:
        known = trace_id_of(trace_id)
        if known is None:
            raise HTTPException(404, "A trace id is 32 hexadecimal digits.")
        answer = await trace(request.app.state.context, known)
        status = 404 if isinstance(answer, TraceNotKept) else 200
        return Response(answer.model_dump_json(), status, media_type="application/json")

    @router.get(f"{paths.API}/errors", description=f"Groups of errors that were seen in the window. {_WINDOW}")
    async def errors(question: Question, parameters: Annotated[ErrorGroupsParameters, Depends()]) -> ErrorGroupsAnswer:
        return await error_groups(question, parameters)
