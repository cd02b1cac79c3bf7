"""Observability that a FastAPI service on PostgreSQL and Redis carries inside itself."""

from __future__ import annotations

__version__ = "0.1.0"
