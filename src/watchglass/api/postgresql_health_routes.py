"""The JSON routes of PostgreSQL's health and of the service's connection pools."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from watchglass.api import paths
from watchglass.api.asking import Asked
from watchglass.api.pool import pool
from watchglass.api.pool_answers import PoolsAnswer
from watchglass.api.postgresql_health import health
from watchglass.api.postgresql_health_answers import HealthChecksAnswer

_WINDOW = "The window is range, or start and end, as everywhere."


def _asked(request: Request) -> Asked:
    return Asked.of(request.app.state.context, request.query_params)


Question = Annotated[Asked, Depends(_asked)]


def add(router: APIRouter) -> None:
    """Have the router answer them."""

    @router.get(
        f"{paths.API}/postgres/health",
        description=f"What goes wrong slowly in PostgreSQL, checked now, each with what to do. {_WINDOW}",
    )
    async def checks(question: Question) -> HealthChecksAnswer:
        return await health(question)

    @router.get(paths.POOL, description=f"The service's connection pools, of every process. {_WINDOW}")
    async def of_all_processes(question: Question) -> PoolsAnswer:
        return await pool(question)
