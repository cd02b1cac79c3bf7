"""PostgreSQL's page: what goes on now, its statements, its indexes, its health; each part answers for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from watchglass import guard
from watchglass.api import paths
from watchglass.api.activity import activity
from watchglass.api.asking import Asked
from watchglass.api.index_advice import SuggestionsParameters, indexes, suggestions
from watchglass.api.postgresql_health import health
from watchglass.api.postgresql_health_answers import HealthChecksAnswer
from watchglass.api.postgresql_share import PostgresqlShare, postgresql_share
from watchglass.api.statements import StatementsParameters, statements
from watchglass.api.visitors import viewer
from watchglass.errors import WatchglassError
from watchglass.ui import (
    postgresql,
    postgresql_headline,
    postgresql_health,
    postgresql_indexes,
    postgresql_statements,
)
from watchglass.ui.kept import Kept
from watchglass.ui.pages import WINDOW, link_of
from watchglass.ui.postgresql_endings import ACTIONS_DONE, EndingPages
from watchglass.ui.trace_pages import PARTS, Part, part

if TYPE_CHECKING:
    from watchglass.ui.app import Site

T = TypeVar("T")

PATIENCE, WHOLE_PATIENCE = 3.0, 30.0
"""Seconds in which a part comes with the page; later ones are asked for by its script, or by whoever has none."""

BESIDE = 1.0
"""Seconds that the headline waits for what other parts ask as well."""


@dataclass(frozen=True, slots=True)
class Content:
    """A part of the page as it comes with it. `busy`: it has no figures yet, and its script is to ask for them."""

    html: Markup
    busy: bool


LATER = Content(Markup(), True)


def add_postgresql_pages(app: FastAPI, site: Site) -> None:
    """Have the application answer them."""
    pages, endings = PostgresqlPages(site), EndingPages(site)
    app.add_route(paths.POSTGRESQL, pages.page, methods=["GET"], include_in_schema=False)
    for name, answer in pages.parts.items():
        app.add_route(f"{PARTS}/postgresql/{name}", answer, methods=["GET"], include_in_schema=False)
    address = paths.POSTGRESQL + "/sessions/{pid:int}/{action}"
    app.add_route(address, endings.confirm, methods=["GET"], include_in_schema=False)
    app.add_route(address, endings.end, methods=["POST"], include_in_schema=False)


class PostgresqlPages:
    """Asks what the JSON routes ask, and renders."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._health: Kept[HealthChecksAnswer] = Kept(55.0)
        self._share: Kept[PostgresqlShare] = Kept(10.0)
        self.parts: Mapping[str, Part] = {
            "now": part(site, "Now", self.now),
            "statements": part(site, "Statements", self.statements),
            "indexes": part(site, "Indexes", self.indexes),
            "advice": part(site, "Index advice", self.advice),
            "health": part(site, "Health", self.health),
        }

    async def page(self, request: Request) -> Response:
        """The frame, with what is known at once; index advice has statements planned, and is waited for on demand."""
        query = request.query_params
        whole = bool(query.get("whole"))
        at_once = self.parts if whole else {name: one for name, one in self.parts.items() if name != "advice"}
        contents = await inlined(at_once, request, WHOLE_PATIENCE if whole else PATIENCE)
        return await self._site.shell(
            request,
            "postgresql.html",
            page="postgresql",
            link=link_of(query, postgresql_statements.NAMES),
            contents={name: contents.get(name, LATER) for name in self.parts},
            chosen=postgresql_statements.Chosen.of(query),
            only=postgresql_statements.ONLY,
            carried={name: query[name] for name in (*WINDOW, "sort") if query.get(name)},
            done=_done(query),
        )

    async def now(self, request: Request) -> Response:
        """The line on top, and what goes on in this moment."""
        asked = self._asked(request)
        window = _window(request)
        unknown: list[str] = []
        now, share, checks = await asyncio.gather(
            activity(self._site.context),
            _soon(self._share.get(window, lambda: postgresql_share(asked)), "the requests' time", unknown),
            _soon(self._health.get(window, lambda: health(asked)), "health", unknown),
        )
        if not self._is_asked():
            unknown.append("sessions")
        headline = postgresql_headline.view(now if self._is_asked() else None, share, checks, asked.than, unknown)
        view = postgresql.view(now)
        fixed = "end" in request.query_params
        return self._answer(
            request, "now", view=view, headline=headline, may_end=viewer(request).role == "admin", fixed=fixed
        )

    async def statements(self, request: Request) -> Response:
        """Those of the window that the filter keeps."""
        chosen = postgresql_statements.Chosen.of(request.query_params)
        wanted = StatementsParameters.model_validate({"sort": chosen.sort, "limit": postgresql_statements.MOST})
        answer = await statements(self._asked(request), wanted)
        slow = self._site.context.settings.slow_statement_seconds
        view = postgresql_statements.view(answer, request.query_params, slow)
        return self._answer(request, "statements", view=view, sorts=postgresql_statements.SORTS)

    async def indexes(self, request: Request) -> Response:
        """Indexes that may go."""
        return self._answer(request, "indexes", view=postgresql_indexes.view(await indexes(self._asked(request))))

    async def advice(self, request: Request) -> Response:
        """Indexes that would help."""
        answer = await suggestions(self._asked(request), SuggestionsParameters.model_validate({}))
        return self._answer(request, "advice", view=postgresql_indexes.advice(answer))

    async def health(self, request: Request) -> Response:
        """What goes wrong slowly."""
        asked = self._asked(request)
        answer = await self._health.get(_window(request), lambda: health(asked))
        return self._answer(request, "health", view=postgresql_health.view(answer))

    def _is_asked(self) -> bool:
        """Whether there is a PostgreSQL to ask: what nobody asked does not fail to answer."""
        return self._site.context.reader is not None and self._site.context.settings.application_dsn is not None

    def _asked(self, request: Request) -> Asked:
        return Asked.of(self._site.context, request.query_params)

    def _answer(self, request: Request, name: str, **values: Any) -> Response:
        link = link_of(request.query_params, postgresql_statements.NAMES)
        return self._site.pages.answer(request, f"cards/postgresql_{name}.html", link=link, **values)


async def inlined(parts: Mapping[str, Part], request: Request, seconds: float) -> dict[str, Content]:
    """The parts that answer within so many seconds, all asked at the same time; what fails says why."""
    asking = {asyncio.ensure_future(answer(request)): name for name, answer in parts.items()}
    done, late = await asyncio.wait(asking, timeout=seconds)
    for one in late:
        one.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return {asking[one]: await _content(one) for one in done}


async def _content(answer: Awaitable[Response]) -> Content:
    try:
        response = await answer
    except Exception:
        guard.caught("postgresql page")
        return LATER
    return Content(Markup(bytes(response.body).decode()), response.status_code != 200)


async def _soon(answer: Awaitable[T], name: str, unknown: list[str]) -> T | None:
    """The answer; None where it is not there in time, for the next question to find, or the store does not give it."""
    try:
        return await asyncio.wait_for(answer, BESIDE)
    except TimeoutError:
        return None
    except WatchglassError:
        unknown.append(name)
        return None


def _window(request: Request) -> tuple[str, ...]:
    return tuple(request.query_params.get(name, "") for name in WINDOW)


def _done(query: Mapping[str, str]) -> str:
    """What an admin has just done, as the redirect says."""
    action, pid = query.get("done", ""), query.get("pid", "")
    return ACTIONS_DONE[action].format(pid=pid) if action in ACTIONS_DONE and pid.isdecimal() else ""
