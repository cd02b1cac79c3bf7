"""Real PostgreSQL and Redis servers for the demo and the tests: on free ports of 127.0.0.1, gone with their parent."""

from __future__ import annotations

from watchglass.demo.servers.postgresql import PostgreSQL
from watchglass.demo.servers.redis import Redis

__all__ = ["PostgreSQL", "Redis"]
