"""The JSON routes of what PostgreSQL does now, and of ending it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from watchglass.api import paths
from watchglass.api.activity import activity
from watchglass.api.activity_answers import ActivityAnswer, EndedAnswer, EndSession
from watchglass.api.activity_ending import end
from watchglass.api.visitors import Visitor, admin

Pid = Annotated[int, Path(ge=1, le=2**31 - 1)]
Admin = Annotated[Visitor, Depends(admin)]


def add(router: APIRouter) -> None:
    """Have the router answer them."""
    session = f"{paths.API}/postgres/sessions/{{pid}}"

    @router.get(f"{paths.API}/postgres/now", description="Sessions, locks and connections, and who holds them, now.")
    async def now(request: Request) -> ActivityAnswer:
        return await activity(request.app.state.context)

    @router.post(f"{session}/cancel", description="Cancel the statement that the session runs. For admins.")
    async def cancel(pid: Pid, wanted: EndSession, request: Request, who: Admin) -> EndedAnswer:
        return await end(request.app.state.context, who, pid, "cancel", wanted)

    @router.post(f"{session}/terminate", description="End the session, and its transaction with it. For admins.")
    async def terminate(pid: Pid, wanted: EndSession, request: Request, who: Admin) -> EndedAnswer:
        return await end(request.app.state.context, who, pid, "terminate", wanted)
