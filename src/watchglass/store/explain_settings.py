"""By which settings a statement is planned as the application has it planned: its role's, and its session's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from watchglass import sql

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

NOT_FOUND: Final = ("42P01", "3F000", "42883", "42704")
NOT_FOUND_WHY: Final = (
    "PostgreSQL does not find what it names by the search_path of the service's role. Another that the service sets on "
    "its connections is known on PostgreSQL 18, and before where it is one of asyncpg's server_settings"
)


class Session(NamedTuple):
    """As whom a statement was sent, empty where that is who explains it, and by which path names were found there."""

    role: str
    search_path: str | None


async def settings_of(connection: Connection, bounds: asyncpg.Record, as_sent: Session) -> dict[str, str]:
    """What plans depend on, as the application has it: its role's, but for a path that this connection's URL names."""
    own = {"search_path": str(as_sent.search_path or bounds["search_path"]), "jit": str(bounds["jit"])}
    if not as_sent.role:
        return own
    queries = sql.load("explain")
    of_role = {row["name"]: row["value"] for row in await connection.fetch(queries["explain_settings"], as_sent.role)}
    if bounds["path_source"] == "client" and as_sent.search_path is None:
        return own | of_role
    paths = as_sent.role, own["search_path"], as_sent.search_path is not None
    path = await connection.fetchval(queries["explain_path"], *paths)
    return own | of_role | {"search_path": str(path)}
