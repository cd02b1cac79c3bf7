"""HTML answers: templates with autoescape, and the headers that keep a page to itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from watchglass.api import paths
from watchglass.errors import AssetsMissing
from watchglass.ui import format, static

WINDOW = ("range", "start", "end", "compare")
"""Parameters of every page's address: which time is looked at."""

SHARED = (
    *(*WINDOW, "latency", "percentile", "sort", "endpoints", "endpoint"),
    *("level", "text", "logger", "service", "instance", "trace_id", "ids"),
)
"""Parameters of a page's address, which links within it carry on."""

_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Pages:
    """Renders the templates for one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["visible"] = format.visible
        self._environment.filters["timed"] = format.timed

    def base(self, request: Request) -> str:
        """What every path of ours begins with: a proxy's root path, and the prefix of the settings."""
        return paths.base(request.scope, self._prefix)

    def answer(self, request: Request, template: str, status: int = 200, **values: object) -> Response:
        """A page or a fragment of one; without the built assets, how to build them."""
        nonce, base = secrets.token_urlsafe(16), self.base(request)
        common = {
            "base": base,
            "nonce": nonce,
            "asset": _asset(base),
            "link": link_of(request.query_params, SHARED),
            "link_window": link_of(request.query_params, WINDOW),
            "moment": format.moment,
        }
        try:
            content = self._environment.get_template(template).render(common | values)
        except AssetsMissing as error:
            return PlainTextResponse(str(error), 503)
        return HTMLResponse(content, status, headers=_headers(nonce))


def _asset(base: str) -> Callable[[str], str]:
    return lambda name: f"{base}{paths.STATIC}/{static.manifest()[name]}"


def link_of(query: Mapping[str, str], names: Sequence[str]) -> Callable[..., str]:
    """`link(range="6h")`: this page's address with these parameters changed; an empty one is removed.

    `link_window()` carries on the window alone, to another page.
    """

    def link(**changes: str) -> str:
        kept = {name: query[name] for name in names if name in query} | changes
        return "?" + urlencode({name: value for name, value in kept.items() if value})

    return link


def _headers(nonce: str) -> dict[str, str]:
    return {
        "content-security-policy": _POLICY.format(nonce=nonce),
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
