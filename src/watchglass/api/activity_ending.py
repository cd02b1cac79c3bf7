"""Ending what a session of PostgreSQL does, or the session itself: for admins, who are written down.

Never one of Watchglass's own, and never another one that has got the number since: it has to have begun when the page
that asks said it did, and PostgreSQL looks at that again in the statement that ends it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

from watchglass.api.activity import asked_of
from watchglass.api.activity_answers import EndedAnswer, EndSession
from watchglass.api.activity_sessions import NOT_ALLOWED, Sessions, why_not
from watchglass.api.context import Context
from watchglass.api.visitors import Visitor
from watchglass.errors import DatabaseNotConfigured
from watchglass.store import activity as store
from watchglass.store.activity import Row

How = Literal["cancel", "terminate"]

GONE: Final = "There is no session {pid} any more."
REUSED: Final = "The session {pid} is another one by now: the one that was meant has ended."
RUNS_NOTHING: Final = (
    "The session {pid} runs no statement that could be cancelled. To end its transaction, terminate it."
)
DONE: Final = {
    "cancel": "PostgreSQL was told to cancel what the session {pid} runs.",
    "terminate": "The session {pid} has been ended.",
}
NOT_DONE: Final = {
    "cancel": "The session {pid} had ended before it could be cancelled.",
    "terminate": "The session {pid} has been told to end, and had not within a second.",
}

_ENDS: Final = {"cancel": store.cancel, "terminate": store.terminate}


async def end(context: Context, who: Visitor, pid: int, how: How, wanted: EndSession) -> EndedAnswer:
    """Cancel or terminate, or say why not. What cannot be written down is not done: raises `DatabaseUnavailable`."""
    database, found = await asked_of(context, partial(store.session, pid=pid))
    why = _why_not(pid, found.session, found.server, wanted, how)
    await _write_down(context, who, f"{how} session", pid, _detail(context, found, wanted, why))
    if why is not None:
        return EndedAnswer(done=False, told=why)
    ending = await _ENDS[how](database, pid, wanted.backend_start)
    if ending.forbidden:
        return EndedAnswer(done=False, told=NOT_ALLOWED.format(role=found.server["quoted_role"]))
    told = DONE[how] if ending.done else NOT_DONE[how] if ending.told else GONE
    return EndedAnswer(done=ending.done, told=told.format(pid=pid))


def _why_not(pid: int, session: Row | None, server: Row, wanted: EndSession, how: How) -> str | None:
    if session is None:
        return GONE.format(pid=pid)
    began = session["backend_start"]
    if began is not None and began != wanted.backend_start:
        return REUSED.format(pid=pid)
    why = why_not(session, server)
    if why is None and how == "cancel" and session["state"] not in ("active", "fastpath function call"):
        return RUNS_NOTHING.format(pid=pid)
    return why


async def _write_down(context: Context, who: Visitor, action: str, pid: int, detail: dict[str, Any]) -> None:
    if context.access is None:
        raise DatabaseNotConfigured
    await context.access.audit(who.name, action, str(pid), detail)


def _detail(context: Context, found: store.Found, wanted: EndSession, why: str | None) -> dict[str, Any]:
    """What is written down: what the session was, and why it was not ended, if it was not."""
    detail: dict[str, Any] = {"backend_start": wanted.backend_start.isoformat()}
    if found.session is not None:
        was = Sessions(found.server, key=context.settings.redaction_key).of(found.session)
        names = ("user", "application", "state", "statement", "transaction_seconds")
        detail |= {name: getattr(was, name) for name in names}
    return detail | ({"refused": why} if why else {})
