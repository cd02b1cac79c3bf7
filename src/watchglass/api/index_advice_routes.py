"""The JSON routes of advice on slow statements, and of indexes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from watchglass.api import paths
from watchglass.api.asking import Asked
from watchglass.api.index_advice import SuggestionsParameters, indexes, suggestions
from watchglass.api.index_advice_answers import IndexesAnswer, SuggestionsAnswer

_WINDOW = "The window is range, or start and end, as everywhere."


def _asked(request: Request) -> Asked:
    return Asked.of(request.app.state.context, request.query_params)


Question = Annotated[Asked, Depends(_asked)]


def add(router: APIRouter) -> None:
    """Have the router answer them."""

    @router.get(paths.SUGGESTIONS, description=f"What would make slow statements faster. {_WINDOW}")
    async def advice(question: Question, parameters: Annotated[SuggestionsParameters, Depends()]) -> SuggestionsAnswer:
        return await suggestions(question, parameters)

    @router.get(paths.INDEXES, description="Indexes that cost and do not serve, as PostgreSQL has counted.")
    async def superfluous(question: Question) -> IndexesAnswer:
        return await indexes(question)
