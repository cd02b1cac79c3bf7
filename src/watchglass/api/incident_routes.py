"""The JSON routes of incidents and of requests that have not ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request

from watchglass.api import paths
from watchglass.api.asking import Asked
from watchglass.api.incident_answers import FrozenAnswer, IncidentAnswer, IncidentsAnswer, PendingAnswer
from watchglass.api.incidents import IncidentParameters, IncidentsParameters, freeze, incident, incidents
from watchglass.api.pending import pending
from watchglass.api.visitors import Visitor, admin

_WINDOW = "The window is range, or start and end, as everywhere."
_TITLE = Body(embed=True, max_length=300, description="What it is about.")


def _asked(request: Request) -> Asked:
    return Asked.of(request.app.state.context, request.query_params)


def _base(request: Request) -> str:
    return paths.base(request.scope, request.app.state.context.settings.path_prefix)


Question = Annotated[Asked, Depends(_asked)]
Base = Annotated[str, Depends(_base)]


def add(router: APIRouter) -> None:
    """Have the router answer them; before those of traces, whose ids are no words."""

    @router.get(f"{paths.API}/traces/pending", description="Requests that run now, and those that never ended.")
    async def running(question: Question) -> PendingAnswer:
        return await pending(question)

    @router.get(f"{paths.API}/incidents", description=f"Black boxes that were frozen, newest first. {_WINDOW}")
    async def listed(
        question: Question, parameters: Annotated[IncidentsParameters, Depends()], base: Base
    ) -> IncidentsAnswer:
        return await incidents(question, parameters, base)

    @router.get(f"{paths.API}/incidents/{{incident_id}}", description="One incident of any time, with what it holds.")
    async def one(
        incident_id: str, parameters: Annotated[IncidentParameters, Depends()], request: Request, base: Base
    ) -> IncidentAnswer:
        return await incident(request.app.state.context, incident_id, parameters, base)

    @router.post(
        f"{paths.API}/incidents", status_code=202, description="Freeze the black box of the process that answers."
    )
    async def by_hand(
        request: Request,
        who: Annotated[Visitor, Depends(admin)],
        base: Base,
        title: Annotated[str, _TITLE] = "Frozen by hand.",
    ) -> FrozenAnswer:
        frozen = await freeze(request.app.state.context, title, base)
        await request.app.state.context.tokens.audit(who.name, "freeze black box", frozen.id)
        return frozen
