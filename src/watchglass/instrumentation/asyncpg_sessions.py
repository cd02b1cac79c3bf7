"""What a connection's session has that a plan depends on, and that its role's settings do not tell."""

from __future__ import annotations

from typing import Any, NamedTuple


class Session(NamedTuple):
    """`search_path` is None where it is not known to be another than the role's."""

    database: str | None = None
    search_path: str | None = None


def opened(connection: Any) -> Session:
    """As the connection asked for it when it was opened."""
    parameters = getattr(connection, "_params", None)
    settings = getattr(parameters, "server_settings", None) or {}
    return Session(getattr(parameters, "database", None), settings.get("search_path"))


def now(session: Session, protocol: Any) -> Session:
    """As the server says it is: since PostgreSQL 18 it tells when search_path is set.

    https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-ASYNC
    """
    told = getattr(protocol.get_settings(), "search_path", None)
    return session if told is None else session._replace(search_path=told)
