"""Ending a session of PostgreSQL, in two steps: the page that shows whom it hits and asks, and the doing of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from watchglass.api import paths, words
from watchglass.api.activity import activity
from watchglass.api.activity_answers import ActivityAnswer, EndSession, LockNode, Session
from watchglass.api.activity_ending import end
from watchglass.api.app import explained
from watchglass.api.notices import Notice
from watchglass.api.visitors import admin
from watchglass.errors import WatchglassError
from watchglass.ui.pages import WINDOW, link_of
from watchglass.ui.postgresql_sessions import ACTIONS, ASKS, LISTS, session_view

if TYPE_CHECKING:
    from watchglass.ui.app import Site

How = Literal["cancel", "terminate"]

ACTIONS_DONE = {
    "cancel": "The statement of session {pid} was cancelled.",
    "terminate": "Session {pid} was terminated.",
}
"""What is said on PostgreSQL's page afterwards."""

MEANS = {
    "cancel": "The statement that it executes fails (SQLSTATE 57014), and its connection stays. In a transaction, the "
    "locks stay until the application rolls back.",
    "terminate": "Its connection is closed, its transaction rolled back and its locks given up. The request that uses "
    "it fails; the application opens another connection.",
}
"""What each does to whoever uses the session."""

GONE = "Session {pid} is not there any more, or does nothing that could be ended: it has ended, or is done with it."


class EndingPages:
    """For admins. Without a script, too: a page that asks, and a form."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def confirm(self, request: Request) -> Response:
        """What the session does in this moment, and whom ending it frees."""
        pid, action = self._which(request)
        try:
            admin(request)
            began = datetime.fromisoformat(request.query_params.get("backend_start", ""))
            found = _found(await activity(self._site.context), pid, began)
        except ValueError:
            return self._refused(request, 422, "The address lacks when the session began: take it from the page.")
        except (WatchglassError, HTTPException) as error:
            return self._refused(request, *_explained(error))
        if found is None:
            return self._refused(request, 404, GONE.format(pid=pid))
        session, waiters = found
        return await self._site.shell(
            request,
            "postgresql_confirm.html",
            page="postgresql",
            link=link_of(request.query_params, (*WINDOW, "backend_start")),
            one=session_view("session", session),
            action=action,
            asks=ASKS[action].format(pid=pid),
            does=ACTIONS[action],
            means=MEANS[action],
            frees=_frees(waiters),
            backend_start=began.isoformat(),
        )

    async def end(self, request: Request) -> Response:
        """Do it, and show the page again. The gate has seen the token."""
        pid, action = self._which(request)
        try:
            who = admin(request)
            wanted = _wanted(await request.body())
            answer = await end(self._site.context, who, pid, action, wanted)
        except (WatchglassError, HTTPException, ValueError) as error:
            return self._refused(request, *_explained(error))
        if not answer.done:
            return self._refused(request, 409, answer.told)
        link = link_of(request.query_params, WINDOW)(done=action, pid=str(pid))
        return RedirectResponse(f"{self._site.pages.base(request)}{paths.POSTGRESQL}{link}#now", 303)

    def _which(self, request: Request) -> tuple[int, How]:
        action, pid = request.path_params["action"], request.path_params["pid"]
        if action not in ACTIONS or not 0 < pid < 2**31:
            raise HTTPException(404, "There is nothing at this path.")
        return pid, action

    def _refused(self, request: Request, status: int, told: str) -> Response:
        return self._site.notice(request, Notice(status, "Not ended", told))


def _frees(waiters: int) -> str:
    many = f"{words.plural(waiters, 'session')} {'waits' if waiters == 1 else 'wait'}"
    return f"{many} because of it." if waiters else ""


def _wanted(body: bytes) -> EndSession:
    """The form that the page of confirmation has. Raises `ValidationError`."""
    form = parse_qs(body.decode("utf-8", "replace"))
    began, confirmed = (form.get(name, [""])[0] for name in ("backend_start", "confirm"))
    return EndSession.model_validate({"backend_start": began, "confirm": confirmed == "true"})


def _explained(error: Exception) -> tuple[int, str]:
    status, said = explained(error)
    return status, str(said["error"])


def _found(now: ActivityAnswer, pid: int, began: datetime) -> tuple[Session, int] | None:
    """The session that began then, and how many wait because of it; None where it is on no list of the page."""
    nodes = {node.session.pid: node for node in _nodes(now.locks) if not node.cut}
    listed: Mapping[int, Session] = {one.pid: one for name in LISTS for one in getattr(now, name)}
    session = listed.get(pid) or (nodes[pid].session if pid in nodes else None)
    if session is None or session.backend_start != began:
        return None
    return session, nodes[pid].waiters_total if pid in nodes else 0


def _nodes(forest: list[LockNode]) -> Iterator[LockNode]:
    for node in forest:
        yield node
        yield from _nodes(node.waiters)
