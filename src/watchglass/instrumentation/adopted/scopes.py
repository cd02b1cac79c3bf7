"""Whose telemetry is the application's own, and whose says what Watchglass says already."""

from __future__ import annotations

_INSTRUMENTED = ("asgi", "asyncpg", "fastapi", "redis", "starlette")

OURS = ("watchglass", "fastapi", *(f"opentelemetry.instrumentation.{name}" for name in _INSTRUMENTED))
"""Scopes that measure what Watchglass measures itself where it observes an application."""


def is_ours(scope: str) -> bool:
    """Whether Watchglass measures itself what this scope does."""
    return scope in OURS or scope.partition(".")[0] in OURS
