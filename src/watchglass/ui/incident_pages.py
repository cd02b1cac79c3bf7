"""The pages of incidents: which black boxes were frozen, what one holds, and freezing one by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from watchglass.api import paths
from watchglass.api.app import explained
from watchglass.api.asking import Asked
from watchglass.api.incidents import IncidentParameters, IncidentsParameters, freeze, incident, incidents
from watchglass.api.notices import Notice
from watchglass.api.visitors import admin, viewer
from watchglass.errors import WatchglassError
from watchglass.ui import black_box
from watchglass.ui import incidents as views
from watchglass.ui.pages import link_of
from watchglass.ui.trace_pages import PARTS, part

if TYPE_CHECKING:
    from watchglass.ui.app import Site

LONGEST_TITLE = 300


def add_incident_pages(app: FastAPI, site: Site) -> None:
    """Have the application answer them."""
    pages = IncidentPages(site)
    for path, answer in (
        (paths.INCIDENTS, pages.all),
        (paths.INCIDENTS + "/{incident_id}", pages.one),
        (PARTS + "/incidents", part(site, "Incidents", pages.listed)),
        (PARTS + "/incidents/{incident_id}", part(site, "Incident", pages.held)),
    ):
        app.add_route(path, answer, methods=["GET"], include_in_schema=False)
    app.add_route(paths.INCIDENTS, pages.freeze, methods=["POST"], include_in_schema=False)


class IncidentPages:
    """Asks what the JSON routes ask, and renders."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def all(self, request: Request) -> Response:
        """The frame of the list, with the button for admins."""
        may = viewer(request).role == "admin" and self._site.context.freeze is not None
        return await self._site.shell(request, "incidents.html", page="incidents", may_freeze=may)

    async def one(self, request: Request) -> Response:
        """The frame of one."""
        id = request.path_params["incident_id"][:200]
        link = link_of(request.query_params, black_box.NAMES)
        return await self._site.shell(
            request, "incident.html", page="incidents", link=link, id=id, path=quote(id, safe="")
        )

    async def listed(self, request: Request) -> Response:
        """Those of the window."""
        asked = Asked.of(self._site.context, request.query_params)
        answer = await incidents(asked, IncidentsParameters.model_validate({}), self._site.pages.base(request))
        return self._site.pages.answer(request, "cards/incidents.html", view=views.view(answer))

    async def held(self, request: Request) -> Response:
        """What one holds."""
        query = request.query_params
        wanted = {name: query[name] for name in ("sort", "limit") if query.get(name)}
        parameters = IncidentParameters.model_validate({"limit": black_box.SHOWN, **wanted})
        parameters = parameters.model_copy(update={"log_limit": 2 * parameters.limit})
        id = request.path_params["incident_id"]
        try:
            answer = await incident(self._site.context, id, parameters, self._site.pages.base(request))
        except HTTPException as error:  # one that was just frozen is on its way: the page asks again
            return self._site.pages.answer(request, "cards/incident_missing.html", reason=error.detail)
        link = link_of(query, black_box.NAMES)
        return self._site.pages.answer(request, "cards/incident.html", link=link, view=black_box.view(answer, query))

    async def freeze(self, request: Request) -> Response:
        """Freeze the black box of the process that answers, and show it. For admins; the gate has seen the token."""
        try:
            who = admin(request)
            title = _field(await request.body(), "title").strip()[:LONGEST_TITLE] or "Frozen by hand."
            frozen = await freeze(self._site.context, title, self._site.pages.base(request))
        except (WatchglassError, HTTPException) as error:
            status, said = explained(error)
            return self._site.notice(request, Notice(status, "Not frozen", str(said["error"])))
        await self._site.context.tokens.audit(who.name, "freeze black box", frozen.id)
        return RedirectResponse(frozen.link, 303)


def _field(body: bytes, name: str) -> str:
    """A field of a URL-encoded form; empty where it is not in it."""
    return parse_qs(body.decode("utf-8", "replace")).get(name, [""])[0]
