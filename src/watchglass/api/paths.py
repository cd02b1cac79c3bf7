"""Every path Watchglass answers: what the outer layer sends here, and what is open to anyone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PAGE = "/ui/monitoring/advanced"
LOGIN = "/ui/monitoring/login"
LOGOUT = "/ui/monitoring/logout"
STATIC = "/ui/monitoring/static"
STATUS_PAGE = "/ui/health"
HEALTH = "/health"
LIVE = "/health/live"
READY = "/health/ready"
METRICS = "/metrics"
API = "/api/monitoring"
OPENAPI = "/api/monitoring/openapi.json"
FOOTPRINT = "/ui/monitoring/footprint"
LOGS = "/ui/monitoring/logs"
TRACES = "/ui/monitoring/traces"
INCIDENTS = "/ui/monitoring/incidents"
POSTGRESQL = "/ui/monitoring/postgresql"
STATEMENTS = "/ui/monitoring/statements"
INDEXES = "/performance/database/indexes"
POOL = "/performance/database/pool"
SLOW_QUERIES = "/performance/database/slow-queries"
SUGGESTIONS = "/performance/optimize/suggestions"
RECORD = "/api/monitoring/metrics/record"

EXACT = frozenset(
    {
        HEALTH,
        LIVE,
        READY,
        METRICS,
        STATUS_PAGE,
        "/ui/monitoring",
        "/performance/metrics",
        "/performance/system",
        SLOW_QUERIES,
        INDEXES,
        POOL,
        SUGGESTIONS,
    }
)
PREFIXES = ("/ui/monitoring/", "/api/monitoring/")
PUBLIC = frozenset({HEALTH, LIVE, READY, METRICS, STATUS_PAGE, LOGIN})
"""Open without a login; `/metrics` asks for its token where one is set."""


def is_public(path: str) -> bool:
    """Whether anyone may read this path (without prefix)."""
    return path in PUBLIC or path.startswith(STATIC + "/")


def is_page(path: str) -> bool:
    """Whether a person reads this path (without prefix) in a browser."""
    return path.startswith("/ui/")


def route_path(scope: Mapping[str, Any]) -> str:
    """The path of a request without the root path of a proxy."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def inner_path(scope: Mapping[str, Any], prefix: str) -> str:
    """The path without the prefix of the settings, the root path before it; one that is not under the prefix leads
    nowhere."""
    root, path = str(scope.get("root_path") or "").rstrip("/"), route_path(scope)
    return root + (path[len(prefix) :] if path.startswith(prefix) else "/")


def base(scope: Mapping[str, Any], prefix: str) -> str:
    """What every address of ours begins with, as a browser sees it."""
    return str(scope.get("root_path") or "").rstrip("/") + prefix
