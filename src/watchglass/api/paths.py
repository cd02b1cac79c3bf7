"""Every path Watchglass answers: what the outer layer sends here, and what is open to anyone."""

from __future__ import annotations

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
        "/performance/database/slow-queries",
    }
)
PREFIXES = ("/ui/monitoring/", "/api/monitoring/")
PUBLIC = frozenset({HEALTH, LIVE, READY, METRICS, STATUS_PAGE, LOGIN})
"""Open without a login; `/metrics` asks for its token where one is set."""


def is_own(path: str, prefix: str = "") -> bool:
    """Whether Watchglass answers this path, all its routes moved under `prefix`."""
    inside = _under(path, prefix)
    return inside is not None and (inside in EXACT or inside.startswith(PREFIXES))


def is_public(path: str, prefix: str = "") -> bool:
    """Whether anyone may read this path."""
    inside = _under(path, prefix)
    return inside is not None and (inside in PUBLIC or inside.startswith(STATIC + "/"))


def is_page(path: str, prefix: str = "") -> bool:
    """Whether a person reads this path in a browser."""
    inside = _under(path, prefix)
    return inside is not None and inside.startswith("/ui/")


def _under(path: str, prefix: str) -> str | None:
    return path[len(prefix) :] if path.startswith(prefix) else None
