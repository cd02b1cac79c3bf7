"""Which endpoint is meant: its method and route, its id in a URL, its name on the page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

METHOD, ROUTE, OVERFLOW = "http.request.method", "http.route", "otel.metric.overflow"
UNMATCHED = "unmatched paths"

Key = tuple[str | None, str | None]
"""Method and route; (None, None) is every path that no route matched."""


ALL: Key = (None, "all requests")
BEYOND: Key = (None, "endpoints beyond the limit of series")
"""Not routes: a route begins with a slash."""


def identify(key: Key) -> str:
    """The id of an endpoint in a URL: its method and route, reversible."""
    return base64.urlsafe_b64encode(f"{key[0] or ''} {key[1] or ''}".encode()).decode().rstrip("=")


def identified(endpoint_id: str) -> Key | None:
    """Method and route of an id; None if it is none."""
    try:
        padded = endpoint_id + "=" * (-len(endpoint_id) % 4)
        method, _, route = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(" ")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return method or None, route or None


def label(key: Key) -> str:
    """GET /search/{name}; all paths that no route matched are one."""
    return " ".join(part for part in key if part is not None) or UNMATCHED


def key_of(attributes: Sequence[str | None]) -> Key:
    """The endpoint of series with this method, route and overflow attribute."""
    method, route, overflow = attributes[:3]
    if overflow is not None:
        return BEYOND
    return (method, route) if route is not None else (None, None)
