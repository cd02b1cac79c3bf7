"""The pages, added to the JSON API's application: thin, each asks the cards and renders."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from watchglass.analysis.windows import Window
from watchglass.api import cards as questions
from watchglass.api import footprint as cost
from watchglass.api import overview, paths, ranges
from watchglass.api.aside import last_seen, silence
from watchglass.api.asking import Asked
from watchglass.api.auth import guard_token
from watchglass.api.context import Context
from watchglass.api.health import HealthAnswer
from watchglass.api.here import here
from watchglass.api.notices import Notice, Show
from watchglass.api.visitors import viewer
from watchglass.errors import (
    DatabaseBusy,
    DatabaseUnavailable,
    InvalidRange,
    QueryTooSlow,
    SchemaMissing,
    WatchglassError,
)
from watchglass.ui import cards, footprint, logs, static
from watchglass.ui.cards import headline
from watchglass.ui.incident_pages import add_incident_pages
from watchglass.ui.pages import Pages
from watchglass.ui.postgresql_pages import add_postgresql_pages
from watchglass.ui.pressing import PressingNow
from watchglass.ui.statement_pages import add_statement_pages
from watchglass.ui.trace_pages import add_trace_pages

FRAGMENTS = "/ui/monitoring/cards"
COMPONENTS = {
    "api": "API",
    "postgresql": "PostgreSQL",
    "redis": "Redis",
    "memory": "Memory",
    "disk": "Disk",
    "telemetry": "Telemetry",
    "service": "Service",
}
YOUNG = "15m"
"""The range that the page opens with while the service is younger than that."""

YOUNG_PATIENCE = 1.0
"""Seconds that the page waits to know that."""

COMPARED_WITH = {**ranges.THAN, "previous": "the period before", "none": "nothing"}
OF_RANGE = ("range", "start", "end", "compare")


def add_pages(app: FastAPI, context: Context) -> Show:
    """Give the application its pages, their fragments and their assets. Who may see them is its own matter."""
    site = Site(context)
    for path, answer in (
        (paths.PAGE, site.page),
        ("/ui/monitoring", site.home),
        (paths.STATUS_PAGE, site.status),
        (paths.LOGS, site.logs),
        (paths.FOOTPRINT, site.footprint),
        (paths.FOOTPRINT + "/content", site.footprint_content),
        (FRAGMENTS + "/overview", site.overview),
        (FRAGMENTS + "/{name}", site.card),
        (paths.STATIC + "/{name}", site.asset),
    ):
        app.add_route(path, answer, methods=["GET"], include_in_schema=False)
    add_trace_pages(app, site)
    add_incident_pages(app, site)
    add_postgresql_pages(app, site)
    add_statement_pages(app, site)
    return site.notice


class Site:
    """The pages of one process: `shell` is the frame of each, `problem` what stands where an answer would."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.pages = Pages(context.settings.path_prefix)
        self._pressing = PressingNow(context)

    async def page(self, request: Request) -> Response:
        """The one page, its cards still empty: they ask for their content themselves."""
        query = request.query_params
        if not query.keys() & {"range", "start", "end"} and await self._is_young():
            address = self.pages.base(request) + paths.PAGE
            return RedirectResponse(f"{address}?{urlencode({**query, 'range': YOUNG})}", 307)
        return await self.shell(request, "page.html", tiles=_tiles())

    async def footprint(self, request: Request) -> Response:
        """What Watchglass itself costs, its content to come."""
        return await self.shell(request, "footprint.html", tiles=footprint.TILES)

    async def logs(self, request: Request) -> Response:
        """The log, its lines to come."""
        chosen = logs.Chosen.of(request.query_params)
        return await self.shell(request, "logs.html", page="logs", chosen=chosen, levels=logs.SHOWN_LEVELS)

    async def shell(self, request: Request, template: str, page: str = "", **values: Any) -> Response:
        """A page with the bar and the footer of every page."""
        query, context = request.query_params, self.context
        range_ = query.get("range", "")
        return self.pages.answer(
            request,
            template,
            service=context.service,
            version=context.settings.service_version,
            instance="" if context.aside else context.settings.host_name,
            aside=context.aside,
            range=range_ if range_ in ranges.RANGES else ranges.DEFAULT_RANGE,
            fixed="end" in query,
            ranges=list(ranges.RANGES),
            default_range=ranges.DEFAULT_RANGE,
            comparison=query.get("compare", ranges.DEFAULT_COMPARISON),
            comparisons=COMPARED_WITH,
            default_comparison=ranges.DEFAULT_COMPARISON,
            page=page,
            visitor=viewer(request),
            guard_token=await guard_token(request),
            logs_out=context.authorize is None,
            **values,
        )

    async def _is_young(self) -> bool:
        """Whether every process seen within the default range began lately: a long range would be empty for most."""
        reader, now = self.context.reader, self.context.clock()
        if reader is None:
            return False
        question = reader.instances(Window(now - ranges.RANGES[ranges.DEFAULT_RANGE], now))
        try:
            seen = await asyncio.wait_for(asyncio.shield(question), YOUNG_PATIENCE)
        except (TimeoutError, WatchglassError):
            return False
        return bool(seen) and min(one.started_at for one in seen) > now - ranges.RANGES[YOUNG]

    async def home(self, request: Request) -> Response:
        """The page of events is not built yet: its address leads to the one page."""
        return RedirectResponse(self.pages.base(request) + paths.PAGE, 307)

    async def status(self, request: Request) -> Response:
        """For anyone: a word about the service and each part of it, no figures."""
        health: HealthAnswer = await request.app.state.health.now()
        code = 503 if health.status == "critical" else 200
        values = {"health": health, "service": self.context.service, "aside": self.context.aside, "names": COMPONENTS}
        return self.pages.answer(request, "health.html", code, **values)

    async def overview(self, request: Request) -> Response:
        """The sentence and the four tiles, of one window and one moment."""
        query = request.query_params
        try:
            asked = Asked.of(self.context, _only(query, OF_RANGE))
            answer = await overview.summary(asked, self._pressing.get)
            problem = await self._problem_of_telemetry()
        except WatchglassError as error:
            known = here(self.context, request.app.state.health)
            return self.problem(request, error, "cards/no_overview.html", cards=_tiles(), here=known)
        settings = self.context.settings
        tiles: list[Any] = [cards.VIEWS[name][0](tile, query, settings) for name, tile in answer.tiles.items()]
        top = headline.view(tiles, problem, answer.pressing)
        return self.pages.answer(request, "cards/overview.html", tiles=tiles, headline=top, window=answer.window)

    async def footprint_content(self, request: Request) -> Response:
        """The figures of the page on the cost."""
        query = request.query_params
        try:
            asked = Asked.of(self.context, _only(query, OF_RANGE))
            answer = await cost.detailed(asked)
        except WatchglassError as error:
            return self.problem(request, error, "cards/problem.html", card=questions.CARDS["footprint"])
        page = footprint.view(answer, ranges.comparison_of(query))
        return self.pages.answer(request, "cards/footprint_page.html", page=page, window=answer.window)

    async def card(self, request: Request) -> Response:
        """One card's content."""
        name, query = request.path_params["name"], request.query_params
        if name not in cards.VIEWS:
            return self.notice(request, Notice(404, "Not found", f"There is no card {name[:100]}."))
        view, template = cards.VIEWS[name]
        own = cards.PARAMETERS[name](query) if name in cards.PARAMETERS else {}
        try:
            answer = await questions.answer(self.context, name, {**_only(query, OF_RANGE), **own})
        except (WatchglassError, ValidationError) as error:
            return self.problem(request, error, "cards/problem.html", card=questions.CARDS[name])
        return self.pages.answer(request, template, view=view(answer, query, self.context.settings))

    async def asset(self, request: Request) -> Response:
        return static.serve(request, request.path_params["name"])

    def notice(self, request: Request, notice: Notice) -> Response:
        """The login form, or why something is refused."""
        return self.pages.answer(request, "notice.html", notice.status, notice=notice)

    def problem(self, request: Request, error: Exception, template: str, **values: Any) -> Response:
        """Why there are no figures: the address asks for none (422), or the store gives none (503)."""
        wrong = isinstance(error, (InvalidRange, ValidationError))
        status = self.context.status() if self.context.status else None
        if isinstance(error, SchemaMissing) and status is not None and status.state == "forbidden":
            problem = status.message  # why it is missing
        else:
            problem = str(error)
        return self.pages.answer(
            request, template, 422 if wrong else 503, problem=problem, short=_in_short(error), **values
        )

    async def _problem_of_telemetry(self) -> str | None:
        """What keeps telemetry from being stored, or since when none came where this is no process of the service."""
        if self.context.aside:
            return silence(self.context.service, await last_seen(self.context), self.context.clock())
        status = self.context.status() if self.context.status else None
        if status is None or status.state in ("ok", "starting"):
            return None
        return f"Telemetry is not being stored. {status.message}".strip()


def _in_short(error: Exception) -> str:
    """Why a card has no figures; the whole reason is said on top of the page, once."""
    match error:
        case InvalidRange() | ValidationError():
            return "the address asks for what does not exist."
        case DatabaseBusy() | QueryTooSlow():
            return "the store answers, but not this, in time."
        case DatabaseUnavailable():
            return "the store does not answer."
    return "there is no store to ask."


def _tiles() -> list[questions.Card]:
    return [questions.CARDS[name] for name in questions.TILES]


def _only(query: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: query[name] for name in names if name in query}
