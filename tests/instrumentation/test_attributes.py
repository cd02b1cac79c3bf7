"""The attributes of a span name the request in the conventions' words, bounded and without secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.asgi import http_scope, websocket_scope
from watchglass.instrumentation.attributes import (
    PATH_LIMIT,
    TEXT_LIMIT,
    error_type,
    of_outcome,
    of_scope,
    safe_text,
    span_name,
)
from watchglass.instrumentation.request import Request


def test_a_request_is_described() -> None:
    scope = http_scope("/items/7", "POST", query="limit=5", headers=[(b"x-more", b"1")])
    assert of_scope(scope) == {
        "http.request.method": "POST",
        "url.path": "/items/7",
        "url.scheme": "http",
        "url.query": "limit=5",
        "network.protocol.version": "1.1",
        "user_agent.original": "test",
        "server.address": "service.test",
        "server.port": 80,
    }


def test_a_websocket_is_described() -> None:
    attributes = of_scope(websocket_scope("/live"))
    assert attributes["url.scheme"] == "ws"
    assert attributes["network.protocol.name"] == "websocket"


def test_an_unknown_method_is_kept_beside_the_one_for_all() -> None:
    attributes = of_scope(http_scope("/", "BREW" * 1000))
    assert attributes["http.request.method"] == "_OTHER"
    assert len(attributes["http.request.method_original"]) == TEXT_LIMIT


@pytest.mark.parametrize("secret", ["password=hunter2x", "token=abcdef123456", "api_key=abcdef123456&page=2"])
def test_secrets_of_the_query_are_left_out(secret: str) -> None:
    query = of_scope(http_scope("/", query=secret))["url.query"]
    assert "hunter2x" not in query
    assert "abcdef123456" not in query


@pytest.mark.parametrize(
    "path", ["/\x00\x1b[31m\r\n", "/" + "x" * 10_000, "/\ud800\udfff", "/\u2028\x85", "/%00%ff", "/日本"]
)
def test_any_path_is_recorded_safely(path: str) -> None:
    shown = of_scope({**http_scope("/"), "path": path, "query_string": path.encode("utf-8", "surrogatepass")})
    for text in (shown["url.path"], shown["url.query"]):
        assert text.isprintable()
        assert len(text) <= PATH_LIMIT
        assert "\\u0000" not in json.dumps(text)
        text.encode()


def test_long_text_is_cut() -> None:
    assert safe_text("x" * 300) == "x" * 255 + "…"
    assert safe_text("x" * 256) == "x" * 256
    assert safe_text("a\nb") == "a\\x0ab"


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        (b"shop.test", "shop.test", 80),
        (b"shop.test:8443", "shop.test", 8443),
        (b"[::1]:8000", "::1", 8000),
        (b"user:password@shop.test", "127.0.0.1", 8000),
        (b"shop.test:port", "127.0.0.1", 8000),
        (b"a/b?c#d", "127.0.0.1", 8000),
        (b"\xff\xfe", "ÿþ", 80),
    ],
)
def test_the_server_is_what_the_client_asked_for_if_that_is_an_address(host: bytes, address: str, port: int) -> None:
    scope = {**http_scope("/"), "headers": [(b"host", host)]}
    attributes = of_scope(scope)
    assert (attributes["server.address"], attributes["server.port"]) == (address, port)


def test_a_scope_with_little_in_it_is_described() -> None:
    assert of_scope({"type": "http", "path": "/", "method": "GET", "server": None, "client": None}) == {
        "http.request.method": "GET",
        "url.path": "/",
        "url.scheme": "http",
    }


def test_only_what_is_known_of_the_outcome_is_told() -> None:
    request = Request(1, 2, None, True, 0.0, "GET")
    assert of_outcome(request) == {}
    request.route, request.status, request.error = "/x", 500, "ValueError"
    assert of_outcome(request) == {"http.route": "/x", "http.response.status_code": 500, "error.type": "ValueError"}


@pytest.mark.parametrize(
    ("method", "protocol", "route", "name"),
    [
        ("GET", "http", "/x", "GET /x"),
        ("GET", "http", None, "GET"),
        ("_OTHER", "http", "/x", "HTTP /x"),
        ("GET", "websocket", "/x", "WS /x"),
    ],
)
def test_a_span_is_named_after_its_route(method: str, protocol: Any, route: str | None, name: str) -> None:
    request = Request(1, 2, None, True, 0.0, method, protocol)
    request.route = route
    assert span_name(request) == name


class Mine(Exception):
    """An exception with a module."""


def test_an_error_is_named_by_its_class() -> None:
    assert error_type(ValueError("x")) == "ValueError"
    assert error_type(Mine()).endswith(".Mine")
    assert error_type(ExceptionGroup("", [ExceptionGroup("", [KeyError()])])) == "KeyError"
    assert error_type(ExceptionGroup("", [KeyError(), ValueError()])) == "ExceptionGroup"
