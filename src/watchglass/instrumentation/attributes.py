"""The attributes of a server span, by the stable semantic conventions; nothing unbounded, nothing secret.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from watchglass import redaction
from watchglass.instrumentation.request import Request

PATH_LIMIT = 1_024
"""Characters kept of a path or a query string."""

TEXT_LIMIT = 256
"""Characters kept of a method, a host or a user agent."""

KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
OTHER_METHOD = "_OTHER"

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

Scope = Mapping[str, Any]


def safe_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """Text that any store and terminal takes: control characters escaped, cut at `limit` characters."""
    shown = _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def of_scope(scope: Scope) -> dict[str, Any]:
    """What is known of a request before it is handled."""
    websocket = scope["type"] == "websocket"
    method = str(scope.get("method", "GET"))
    attributes: dict[str, Any] = {
        "http.request.method": method if method in KNOWN_METHODS else OTHER_METHOD,
        "url.path": safe_text(redaction.text(str(scope.get("path", "")), limit=PATH_LIMIT), PATH_LIMIT),
        "url.scheme": _told(str(scope.get("scheme", "ws" if websocket else "http"))),
    }
    if method not in KNOWN_METHODS:
        attributes["http.request.method_original"] = _told(method)
    if query := scope.get("query_string"):
        attributes["url.query"] = safe_text(redaction.query_string(query[: PATH_LIMIT * 2]), PATH_LIMIT)
    if websocket:
        attributes["network.protocol.name"] = "websocket"
    if version := scope.get("http_version"):
        attributes["network.protocol.version"] = _told(str(version))
    attributes.update(_peers(scope))
    return attributes


def of_outcome(request: Request) -> dict[str, Any]:
    """What is known of a request once it was handled."""
    attributes: dict[str, Any] = {}
    if request.route is not None:
        attributes["http.route"] = request.route
    if request.status is not None:
        attributes["http.response.status_code"] = request.status
    if request.error is not None:
        attributes["error.type"] = request.error
    return attributes


def span_name(request: Request) -> str:
    """`GET /items/{id}`, or the method alone where no route matched."""
    method = span_method(request)
    return f"{method} {request.route}" if request.route else method


def span_method(request: Request) -> str:
    """The method as a span's name has it."""
    if request.protocol == "websocket":
        return "WS"
    return "HTTP" if request.method == OTHER_METHOD else request.method


def error_type(error: BaseException) -> str:
    """The full name of an exception's class; of a built-in one its name, of a group of one that one's."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _told(said: str) -> str:
    """What a client says of itself and of us, which may be anything."""
    return safe_text(redaction.text(said, limit=TEXT_LIMIT))


def _peers(scope: Scope) -> dict[str, Any]:
    headers = dict(scope.get("headers") or ())
    attributes: dict[str, Any] = {}
    if agent := headers.get(b"user-agent"):
        attributes["user_agent.original"] = _told(agent.decode("latin-1"))
    address, port = _server(headers.get(b"host"), scope)
    if address:
        attributes["server.address"] = _told(str(address))
        if port:
            attributes["server.port"] = port
    return attributes


def _server(host: bytes | None, scope: Scope) -> tuple[Any, Any]:
    """The address the client asked for: of the Host header if it is one, else of the socket."""
    default = _PORTS.get(str(scope.get("scheme", "http")))
    if host is not None:
        try:
            parts = urlsplit("//" + host.decode("latin-1"))
            if parts.username is None and not parts.path and not parts.query and not parts.fragment:
                return parts.hostname, parts.port or default
        except ValueError:
            pass
    address, port = scope.get("server") or (None, None)
    return address, port
