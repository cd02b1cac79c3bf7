"""The JSON routes. Each asks one question; what it means is said where the question is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from watchglass.api import (
    cards,
    footprint,
    incident_routes,
    index_advice_routes,
    log_routes,
    overview,
    paths,
    postgres_routes,
    postgresql_health_routes,
    pressing,
    ranges,
    recording,
    redis,
    system,
    trace_routes,
)
from watchglass.api.answers import (
    EndpointsAnswer,
    HeatmapAnswer,
    LatencyAnswer,
    MetersAnswer,
    RedisAnswer,
    SlowStatementsAnswer,
    SummaryAnswer,
    TrendsAnswer,
)
from watchglass.api.asking import Asked, Parameters
from watchglass.api.auth import bears, guard_token
from watchglass.api.budget import budget
from watchglass.api.budget_answers import BudgetAnswer
from watchglass.api.context import Context
from watchglass.api.endpoint import Key, identified
from watchglass.api.endpoints import EndpointsParameters, endpoints
from watchglass.api.footprint_answers import FootprintDetails
from watchglass.api.health import HealthAnswer
from watchglass.api.history import HeatmapParameters, TrendsParameters, heatmap, trends
from watchglass.api.latency import LatencyParameters, latency, of_endpoint
from watchglass.api.live import routes as live_routes
from watchglass.api.models import Tile
from watchglass.api.slow_statements import SlowStatementsParameters, slow_statements
from watchglass.api.status_answers import StatusAnswer
from watchglass.api.visitors import Visitor, admin, viewer

_RANGE = Query(description=f"One of {', '.join(ranges.RANGES)}.")
_START = Query(description="ISO 8601 with a zone; goes before range.")
_END = Query(description="ISO 8601 with a zone; now without.")
_COMPARE = Query(description=f"One of {', '.join(ranges.THAN)}.")


def asked(
    request: Request,
    range: Annotated[str, _RANGE] = ranges.DEFAULT_RANGE,
    start: Annotated[str | None, _START] = None,
    end: Annotated[str | None, _END] = None,
    compare: Annotated[str, _COMPARE] = ranges.DEFAULT_COMPARISON,
) -> Asked:
    """The window of a question, from the URL."""
    return Asked.of(request.app.state.context, request.query_params)


Question = Annotated[Asked, Depends(asked)]


def router() -> APIRouter:
    """Every route that answers JSON, and `/metrics`."""
    found = APIRouter()
    for group in (_public, _answers, _concepts, _performance, _changes):
        group(found)
    log_routes.add(found)
    incident_routes.add(found)
    index_advice_routes.add(found)
    live_routes.add(found)
    postgres_routes.add(found)
    postgresql_health_routes.add(found)
    trace_routes.add(found)
    return found


def _public(add: APIRouter) -> None:
    @add.get(paths.HEALTH)
    async def health(request: Request, response: Response) -> HealthAnswer:
        answer: HealthAnswer = await request.app.state.health.now()
        response.status_code = 503 if answer.status == "critical" else 200
        return answer

    @add.get(paths.LIVE)
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @add.get(paths.READY)
    async def ready(request: Request, response: Response) -> dict[str, str]:
        is_ready = await request.app.state.health.ready()
        response.status_code = 200 if is_ready else 503
        return {"status": "ready" if is_ready else "not ready"}

    @add.get(paths.METRICS, response_class=Response)
    async def metrics(request: Request) -> Response:
        context: Context = request.app.state.context
        if not _may_scrape(context, request):
            return JSONResponse(
                {"error": "This needs the token of WATCHGLASS_METRICS_TOKEN, as Authorization: Bearer."},
                401,
                headers={"www-authenticate": "Bearer"},
            )
        if context.render_metrics is None:
            raise HTTPException(404, "This process serves no application, so that it has no meters of its own.")
        body, kind = await asyncio.to_thread(context.render_metrics, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": kind})


def _answers(add: APIRouter) -> None:
    @add.get(f"{paths.API}/advanced/summary")
    async def summary(question: Question) -> SummaryAnswer:
        return await overview.summary(question, lambda: pressing.known(question.context))

    @add.get(f"{paths.API}/status")
    async def status(request: Request) -> StatusAnswer:
        return await overview.status(request.app.state.context, await request.app.state.health.now())

    @add.get(f"{paths.API}/metrics")
    async def metrics(question: Question) -> Tile:
        return await overview.metrics(question)

    @add.get(f"{paths.API}/session")
    async def session(request: Request) -> dict[str, str]:
        visitor = viewer(request)
        return {"name": visitor.name, "role": visitor.role, "csrf_token": await guard_token(request)}

    @add.get(f"{paths.API}/cards")
    async def registry() -> list[dict[str, Any]]:
        return [card.described() for card in cards.CARDS.values()]

    @add.get(f"{paths.API}/cards/{{name}}", response_model=None)
    async def card(name: str, question: Question, request: Request) -> Response:
        if name not in cards.CARDS:
            raise HTTPException(404, f"There is no card {name[:100]}. There are: {', '.join(cards.CARDS)}.")
        answer = await cards.CARDS[name].answer(question, request.query_params)
        return Response(answer.model_dump_json(), media_type="application/json")


def _concepts(add: APIRouter) -> None:
    @add.get(f"{paths.API}/api/endpoints")
    async def per_endpoint(question: Question, sorting: Annotated[EndpointsParameters, Depends()]) -> EndpointsAnswer:
        return await endpoints(question, sorting)

    @add.get(f"{paths.API}/api/endpoints/{{endpoint_id}}/latency")
    async def of_one(endpoint_id: str, question: Question) -> LatencyAnswer:
        return await of_endpoint(question, _known(endpoint_id))

    @add.get(f"{paths.API}/api/endpoints/{{endpoint_id}}/budget")
    async def where_time_goes(endpoint_id: str, question: Question) -> BudgetAnswer:
        return await budget(question, _known(endpoint_id))

    @add.get(f"{paths.API}/api/latency")
    async def over_time(question: Question, parameters: Annotated[LatencyParameters, Depends()]) -> LatencyAnswer:
        return await latency(question, parameters)

    @add.get(f"{paths.API}/api/heatmap")
    async def by_endpoint_and_time(
        question: Question, parameters: Annotated[HeatmapParameters, Depends()]
    ) -> HeatmapAnswer:
        return await heatmap(question, parameters)

    @add.get(f"{paths.API}/trends")
    async def beside_earlier(question: Question, parameters: Annotated[TrendsParameters, Depends()]) -> TrendsAnswer:
        return await trends(question, parameters)

    @add.get(f"{paths.API}/redis/detailed")
    async def redis_detailed(question: Question) -> RedisAnswer:
        return await redis.detailed(question, Parameters())

    @add.get(f"{paths.API}/footprint")
    async def of_watchglass(question: Question) -> FootprintDetails:
        return await footprint.detailed(question)


def _changes(add: APIRouter) -> None:
    @add.post(paths.RECORD, status_code=202, openapi_extra=recording.SCHEMA)
    async def record(request: Request, who: Annotated[Visitor, Depends(admin)]) -> recording.RecordedAnswer:
        """One measurement, or a list of them, for this process's meters."""

        async def note(names: Sequence[str]) -> None:
            await request.app.state.context.tokens.audit(who.name, "record metric", ", ".join(names))

        answer: recording.RecordedAnswer = await request.app.state.recording.take(request, note)
        return answer


def _performance(add: APIRouter) -> None:
    @add.get("/performance/metrics")
    async def meters(question: Question) -> MetersAnswer:
        return await overview.meters(question)

    @add.get("/performance/system")
    async def of_system(question: Question) -> Tile:
        return await system.detailed(question, Parameters())

    @add.get(paths.SLOW_QUERIES)
    async def slow_queries(
        question: Question, parameters: Annotated[SlowStatementsParameters, Depends()]
    ) -> SlowStatementsAnswer:
        return await slow_statements(question, parameters)


def _known(endpoint_id: str) -> Key:
    key = identified(endpoint_id)
    if key is None:
        raise HTTPException(404, "There is no such endpoint. Take its endpoint_id from the list of endpoints.")
    return key


def _may_scrape(context: Context, request: Request) -> bool:
    token = context.settings.metrics_token
    return token is None or bears(request, token)
