"""The page of one statement: its text and figures, what would help, its plan, and the traces that ran it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from watchglass.analysis.fingerprints import is_fingerprint
from watchglass.api import paths
from watchglass.api.app import explained
from watchglass.api.asking import Asked
from watchglass.api.auth import guard_token
from watchglass.api.index_advice import SuggestionsParameters, suggestions
from watchglass.api.notices import Notice
from watchglass.api.plan_answers import PlanAnswer
from watchglass.api.plans import analyze, plan, plans
from watchglass.api.statement import statement
from watchglass.api.statement_answers import StatementAnswer
from watchglass.api.trace_filters import TracesParameters
from watchglass.api.traces import traces
from watchglass.api.visitors import admin, viewer
from watchglass.errors import DatabaseNotConfigured, ExtraMissing, WatchglassError
from watchglass.ui import statement as views
from watchglass.ui import statement_advice, statement_plans, statement_traces
from watchglass.ui.kept import Kept
from watchglass.ui.pages import WINDOW, link_of
from watchglass.ui.trace_pages import PARTS, Part, part

if TYPE_CHECKING:
    from watchglass.ui.app import Site

NAMES = (*WINDOW, "plan", "whole")
"""Parameters of the page's address; `whole` has everything in one answer, for browsers without scripts."""

TITLES = {"statement": "Statement", "advice": "What would help", "plan": "Plan", "figures": "Figures", "ran": "Traces"}
PERIODS = {"advice": 30_000}
"""Milliseconds after which a part is asked for again, where they are not those of every card: advice is planned."""

SHARED = 2.0
"""Seconds for which both parts of the figures share one answer."""

PATIENCE, STEP = 5.0, 0.25
"""Seconds in which a plan that was just made is waited for in the store."""


def add_statement_pages(app: FastAPI, site: Site) -> None:
    """Have the application answer them."""
    pages = StatementPages(site)
    address = paths.STATEMENTS + "/{fingerprint}"
    app.add_route(address, pages.page, methods=["GET"], include_in_schema=False)
    app.add_route(address + "/analyze", pages.analyze, methods=["POST"], include_in_schema=False)
    for name, answer in pages.parts.items():
        path = f"{PARTS}/statements/{{fingerprint}}/{name}"
        app.add_route(path, answer, methods=["GET"], include_in_schema=False)


class StatementPages:
    """Asks what the JSON routes ask, and renders."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept: Kept[StatementAnswer] = Kept(SHARED)
        answers = (self._statement, self._advice, self._plan, self._figures, self._ran)
        pairs = zip(TITLES, answers, strict=True)
        self.parts: dict[str, Part] = {name: part(site, TITLES[name], answer) for name, answer in pairs}

    async def page(self, request: Request) -> Response:
        """The frame; with everything in it where the address asks for the whole."""
        fingerprint = _fingerprint(request)
        contents = {}
        if request.query_params.get("whole"):
            contents = {name: await _content(answer, request) for name, answer in self.parts.items()}
        values = {"titles": TITLES, "periods": PERIODS, "contents": contents, "fingerprint": fingerprint}
        return await self._site.shell(request, "statement.html", page="postgresql", link=self._link(request), **values)

    async def analyze(self, request: Request) -> Response:
        """Have the statement run, and show its plan. For admins, who are written down; the gate has seen the token."""
        context, fingerprint = self._site.context, _fingerprint(request)
        try:
            who = admin(request)
            known = await self._newest_run(fingerprint)
            await context.tokens.audit(who.name, "explain analyze", fingerprint)
            await analyze(context, fingerprint)
            id = await self._stored_run(fingerprint, known)
        except (WatchglassError, HTTPException) as error:
            status, said = explained(error)
            return self._site.notice(request, Notice(status, "Not run", str(said["error"])))
        address = f"{self._site.pages.base(request)}{paths.STATEMENTS}/{fingerprint}"
        return RedirectResponse(f"{address}{self._link(request)(plan=str(id or ''))}#plan", 303)

    async def _newest_run(self, fingerprint: str) -> tuple[int, int] | None:
        """The id of the plan that was made last by running the statement, and how often it was."""
        found = (await plans(self._site.context, fingerprint)).plans
        return next(((one.id, one.captures) for one in found if one.how == "analyze"), None)

    async def _stored_run(self, fingerprint: str, known: tuple[int, int] | None) -> int | None:
        """The id of the plan that was just made, once it is in the store; None if that takes long."""
        for _ in range(round(PATIENCE / STEP)):
            newest = await self._newest_run(fingerprint)
            if newest != known and newest is not None:
                return newest[0]
            await asyncio.sleep(STEP)
        return None

    async def _statement(self, request: Request) -> Response:
        return await self._of_figures(request, "cards/statement.html")

    async def _figures(self, request: Request) -> Response:
        return await self._of_figures(request, "cards/statement_figures.html")

    async def _of_figures(self, request: Request, template: str) -> Response:
        asked, answer = self._asked(request), await self._known(request)
        view = views.view(answer, asked.than if asked.earlier else "", self._slow)
        return self._answer(request, template, view=view, window=answer.window)

    async def _known(self, request: Request) -> StatementAnswer:
        """Several parts are of one question."""
        asked, fingerprint, query = self._asked(request), _fingerprint(request), request.query_params
        key = (fingerprint, *(query.get(name) for name in WINDOW))
        return await self._kept.get(key, lambda: statement(asked, fingerprint))

    async def _advice(self, request: Request) -> Response:
        parameters = SuggestionsParameters(limit=1, fingerprint=_fingerprint(request))
        try:
            answer = await suggestions(self._asked(request), parameters)
            known = await self._known(request)
            view = statement_advice.view(answer, () if answer.statements else known.advice, known.text)
        except (DatabaseNotConfigured, ExtraMissing) as error:
            view = statement_advice.AdviceView(missing=statement_plans.missing_of(str(error)))
        return self._answer(request, "cards/statement_advice.html", view=view)

    async def _plan(self, request: Request) -> Response:
        context, fingerprint = self._site.context, _fingerprint(request)
        answer = await plans(context, fingerprint)
        chosen = await self._chosen(request, fingerprint)
        text = None if chosen or answer.latest else (await self._known(request)).text
        view = statement_plans.view(answer, chosen, viewer(request), self._slow, context.clock(), text)
        token = await guard_token(request) if view.running.may else ""
        return self._answer(request, "cards/statement_plan.html", view=view, guard_token=token)

    async def _ran(self, request: Request) -> Response:
        fingerprint = _fingerprint(request)
        answer = await traces(self._asked(request), TracesParameters(statement=fingerprint, limit=100))
        view = statement_traces.view(answer, self._site.context.settings.slow_request_seconds)
        return self._answer(request, "cards/statement_traces.html", view=view, fingerprint=fingerprint)

    async def _chosen(self, request: Request, fingerprint: str) -> PlanAnswer | None:
        """The plan that the address names, if it is one of this statement."""
        id = statement_plans.chosen_of(request.query_params)
        if id is None:
            return None
        try:
            found = await plan(self._site.context, id)
        except HTTPException:
            return None
        return found if found.fingerprint == fingerprint else None

    @property
    def _slow(self) -> float:
        return self._site.context.settings.slow_statement_seconds

    def _asked(self, request: Request) -> Asked:
        return Asked.of(self._site.context, request.query_params)

    def _link(self, request: Request) -> Any:
        return link_of(request.query_params, NAMES)

    def _answer(self, request: Request, template: str, **values: Any) -> Response:
        return self._site.pages.answer(request, template, link=self._link(request), **values)


def _fingerprint(request: Request) -> str:
    given: str = request.path_params["fingerprint"]
    if not is_fingerprint(given):
        raise HTTPException(404, "A fingerprint is 16 hexadecimal digits. Take it from the list of statements.")
    return given


async def _content(answer: Part, request: Request) -> Markup:
    """What a part says, for the page that holds it."""
    return Markup(bytes((await answer(request)).body).decode())
