"""The JSON routes of PostgreSQL: its statements, and what it does now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException

from watchglass.analysis.fingerprints import is_fingerprint
from watchglass.api import activity_routes, paths, plan_routes
from watchglass.api.asking import Asked
from watchglass.api.statement import statement
from watchglass.api.statement_answers import StatementAnswer, StatementsAnswer
from watchglass.api.statements import StatementsParameters, statements

_WINDOW = "The window is range, or start and end, as everywhere."


def _asked(request: Request) -> Asked:
    return Asked.of(request.app.state.context, request.query_params)


Question = Annotated[Asked, Depends(_asked)]


def add(router: APIRouter) -> None:
    """Have the router answer them."""
    activity_routes.add(router)
    plan_routes.add(router)

    @router.get(
        f"{paths.API}/postgres/statements",
        description=f"Statements by impact, as the service's client and PostgreSQL saw them. {_WINDOW}",
    )
    async def by_impact(question: Question, parameters: Annotated[StatementsParameters, Depends()]) -> StatementsAnswer:
        return await statements(question, parameters)

    @router.get(
        f"{paths.API}/postgres/statements/{{fingerprint}}",
        description=f"One statement: figures over time, callers, plans and advice. {_WINDOW}",
    )
    async def one(fingerprint: str, question: Question) -> StatementAnswer:
        if not is_fingerprint(fingerprint):
            raise HTTPException(404, "A fingerprint is 16 hexadecimal digits. Take it from the list of statements.")
        return await statement(question, fingerprint)
