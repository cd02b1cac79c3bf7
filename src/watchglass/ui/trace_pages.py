"""The pages of traces: the search, errors by their group, what runs now, and one trace as a waterfall."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from watchglass.api import paths
from watchglass.api.app import explained
from watchglass.api.asking import Asked
from watchglass.api.error_groups import ErrorGroupsParameters, error_groups
from watchglass.api.pending import pending
from watchglass.api.trace import trace
from watchglass.api.trace_answers import TraceNotKept
from watchglass.api.trace_filters import TracesParameters, trace_id_of
from watchglass.api.traces import SHORTEST, traces
from watchglass.errors import WatchglassError
from watchglass.ui import error_groups as error_groups_view
from watchglass.ui import pending as pending_view
from watchglass.ui import traces as views
from watchglass.ui import waterfall
from watchglass.ui.pages import WINDOW, link_of

if TYPE_CHECKING:
    from watchglass.ui.app import Site

PARTS = "/ui/monitoring/parts"
"""Where the contents of the pages of traces and of incidents are."""

Part = Callable[[Request], Awaitable[Response]]


def add_trace_pages(app: FastAPI, site: Site) -> None:
    """Have the application answer them."""
    pages = TracePages(site)
    for path, answer in (
        (paths.TRACES, pages.search),
        (paths.TRACES + "/{trace_id}", pages.trace),
        (PARTS + "/traces", part(site, "Traces", pages.found)),
        (PARTS + "/errors", part(site, "Errors", pages.errors)),
        (PARTS + "/pending", part(site, "Running now", pages.pending)),
        (PARTS + "/examples", part(site, "Traces", pages.examples)),
        (PARTS + "/traces/{trace_id}", part(site, "Trace", pages.waterfall)),
    ):
        app.add_route(path, answer, methods=["GET"], include_in_schema=False)


def part(site: Site, title: str, answer: Part) -> Part:
    """The content of a page, or why there is none."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except (WatchglassError, ValidationError, HTTPException) as error:
            status, said = explained(error)
            values = {"title": title, "problem": str(said["error"])}
            return site.pages.answer(request, "cards/part_problem.html", status, **values)

    return answered


class TracePages:
    """Asks what the JSON routes ask, and renders."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def search(self, request: Request) -> Response:
        """The form and the frame of what is found."""
        query = request.query_params
        values = {"chosen": views.Chosen.of(query), "shown": views.shown_of(query), "reasons": views.REASONS}
        link = link_of(query, views.NAMES)
        return await self._site.shell(request, "traces.html", page="traces", link=link, **values)

    async def trace(self, request: Request) -> Response:
        """The frame of one trace."""
        given = request.path_params["trace_id"]
        known = trace_id_of(given)
        if known is None:
            raise HTTPException(404, "A trace id is 32 hexadecimal digits.")
        link = link_of(request.query_params, waterfall.NAMES)
        return await self._site.shell(request, "trace.html", page="traces", link=link, trace_id=known.hex())

    async def found(self, request: Request) -> Response:
        """The traces that fit."""
        query = request.query_params
        asked = self._asked(request)
        answer = await traces(asked, TracesParameters.model_validate(views.parameters(query)))
        view = views.view(answer, query, self._site.context.settings.slow_request_seconds)
        return self._answer(request, "cards/traces.html", views.NAMES, view=view, named=self._named())

    async def examples(self, request: Request) -> Response:
        """A few of an endpoint's traces, the slowest of those that were kept lately; below its row."""
        query = {name: request.query_params.get(name, "") for name in ("range", "start", "end", "endpoint")}
        wanted = {name: value for name, value in query.items() if value}
        parameters = TracesParameters.model_validate({**views.parameters(wanted), "limit": 100})
        answer = await traces(self._asked(request, wanted), parameters)
        view = views.examples(answer, wanted, self._site.context.settings.slow_request_seconds)
        return self._answer(request, "cards/examples.html", WINDOW, view=view)

    async def errors(self, request: Request) -> Response:
        """The errors of the window by their group."""
        query = request.query_params
        wanted = {name: value for name, value in views.parameters(query).items() if name == "endpoint_id"}
        answer = await error_groups(self._asked(request), ErrorGroupsParameters.model_validate(wanted))
        view = error_groups_view.view(answer, query)
        return self._answer(request, "cards/errors.html", views.NAMES, view=view, named=self._named())

    async def pending(self, request: Request) -> Response:
        """What runs now, and what never ended."""
        view = pending_view.view(await pending(self._asked(request)))
        return self._answer(request, "cards/pending.html", views.NAMES, view=view, named=self._named())

    async def waterfall(self, request: Request) -> Response:
        """One trace, or its log lines where it was not kept."""
        known = trace_id_of(request.path_params["trace_id"])
        if known is None:
            raise HTTPException(404, "A trace id is 32 hexadecimal digits.")
        answer = await trace(self._site.context, known)
        if isinstance(answer, TraceNotKept):
            view = waterfall.not_kept(answer)
            return self._answer(request, "cards/trace_not_kept.html", waterfall.NAMES, view=view)
        shown = waterfall.view(answer, request.query_params)
        return self._answer(request, "cards/trace.html", waterfall.NAMES, view=shown)

    def _asked(self, request: Request, query: Mapping[str, str] | None = None) -> Asked:
        return Asked.of(self._site.context, request.query_params if query is None else query, SHORTEST)

    def _named(self) -> bool:
        """Whether a service is worth naming, because there are several."""
        reader = self._site.context.reader
        return reader is not None and reader.service is None

    def _answer(self, request: Request, template: str, names: tuple[str, ...], **values: Any) -> Response:
        link = link_of(request.query_params, names)
        return self._site.pages.answer(request, template, link=link, **values)
