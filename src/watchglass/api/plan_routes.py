"""The JSON routes of plans."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException

from watchglass.analysis.fingerprints import is_fingerprint
from watchglass.api import paths
from watchglass.api.plan_answers import PlanAnswer, PlansAnswer
from watchglass.api.plans import analyze, plan, plans
from watchglass.api.visitors import Visitor, admin

_LARGEST_ID = 2**63 - 1


def _known(fingerprint: str) -> str:
    if not is_fingerprint(fingerprint):
        raise HTTPException(404, "A fingerprint is 16 hexadecimal digits. Take it from the list of statements.")
    return fingerprint


def add(router: APIRouter) -> None:
    """Have the router answer them."""
    of_statement = f"{paths.API}/postgres/statements/{{fingerprint}}"

    @router.get(f"{of_statement}/plans", description="The plans of a statement of any time, and when they changed.")
    async def listed(fingerprint: str, request: Request) -> PlansAnswer:
        return await plans(request.app.state.context, _known(fingerprint))

    @router.get(f"{paths.API}/postgres/plans/{{plan_id}}", description="One plan, step by step.")
    async def one(plan_id: int, request: Request) -> PlanAnswer:
        if not 0 < plan_id <= _LARGEST_ID:
            raise HTTPException(404, "There is no such plan: take its id from the plans of a statement.")
        return await plan(request.app.state.context, plan_id)

    @router.post(
        f"{of_statement}/analyze",
        description="EXPLAIN ANALYZE with the parameters of its latest slow execution, rolled back. For admins.",
    )
    async def by_running(fingerprint: str, request: Request, who: Annotated[Visitor, Depends(admin)]) -> PlanAnswer:
        context = request.app.state.context
        await context.tokens.audit(who.name, "explain analyze", _known(fingerprint))
        return await analyze(context, fingerprint)
