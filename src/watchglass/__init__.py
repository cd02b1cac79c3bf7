"""Observability that a FastAPI service on PostgreSQL and Redis carries inside itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watchglass.errors import WatchglassError
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.instrumentation.caches import cache
    from watchglass.wiring import observe, unobserve

__version__ = "0.1.0"

__all__ = ["Settings", "WatchglassError", "cache", "observe", "unobserve"]


def __getattr__(name: str) -> Any:
    """Load the house when it is first asked for: `import watchglass` alone costs a command line little."""
    if name == "cache":
        from watchglass.instrumentation.caches import cache

        return cache
    if name in ("observe", "unobserve"):
        from watchglass import wiring

        return getattr(wiring, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
