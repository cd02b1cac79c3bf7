"""The few sentences a person may meet before the pages: the login form, and why something is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

NEW_LINK = "watchglass login"
"""The command that prints a fresh link."""


@dataclass(frozen=True, slots=True)
class Notice:
    """`form` asks for a login token, filled with `token`, and leads to `next` afterwards; `command` is to be copied."""

    status: int
    title: str
    sentence: str
    command: str | None = None
    form: bool = False
    action: str = ""
    token: str = ""
    next: str = ""


Show = Callable[[Request, Notice], Response]
"""How the pages show a notice."""


def show_plainly(_request: Request, notice: Notice) -> Response:
    """Without the pages: a few lines of HTML that need no asset."""
    command = f"<pre>{escape(notice.command)}</pre>" if notice.command else ""
    form = _FORM.format(action=escape(notice.action), token=escape(notice.token), next=escape(notice.next))
    body = _PAGE.format(
        title=escape(notice.title), sentence=escape(notice.sentence), command=command, form=form if notice.form else ""
    )
    return HTMLResponse(body, notice.status, headers=_HEADERS)


_HEADERS = {
    "content-security-policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="robots" content="noindex"><title>{title}</title>'
    "<h1>{title}</h1><p>{sentence}</p>{command}{form}</html>"
)
_FORM = (
    '<form method="post" action="{action}"><label>Login token <input name="token" value="{token}" required '
    'autocomplete="off"></label><input type="hidden" name="next" value="{next}"><button>Log in</button></form>'
)
