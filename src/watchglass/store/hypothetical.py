"""Whether PostgreSQL would use an index that does not exist: asked with HypoPG, where it is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.analysis.index_advice import Advice, confirmed
from watchglass.analysis.scans import cost_of, indexes_of
from watchglass.store.explain import Explainer

if TYPE_CHECKING:
    from watchglass.store.connection import Connection
    from watchglass.store.relations import Server

NO_HYPOPG = (
    "The costs are estimates: with the extension HypoPG PostgreSQL itself is asked. Install its package on the server "
    "and run: CREATE EXTENSION hypopg"
)
NO_INVERTED = "The costs are estimates: HypoPG knows no GIN indexes."
OF_PARTITIONS = "The costs are estimates: HypoPG knows no indexes of partitioned tables."
NOT_PLANNED = "The costs are estimates: PostgreSQL did not plan the statement with the index."


class Hypothetical:
    """Indexes that are there for EXPLAIN while `around` is entered: `made` are their names in plans and their bytes."""

    def __init__(self, schema: str, definitions: Sequence[str]) -> None:
        self._schema = schema
        self._definitions = definitions
        self.made: list[tuple[str, int]] = []

    @asynccontextmanager
    async def around(self, connection: Connection) -> AsyncIterator[None]:
        """Nothing is written; the connection is in a transaction, and may be in a pool of pgbouncer's."""
        queries = sql.load("hypopg")
        oids: list[int] = []
        try:
            async with connection.transaction(), self._found(connection):
                for definition in self._definitions:
                    row = await connection.fetchrow(queries["hypopg_create"], definition)
                    assert row is not None
                    oids.append(row["oid"])
                    self.made.append((row["name"], row["bytes"]))
            yield
        finally:
            if oids:
                async with self._found(connection):
                    for oid in oids:
                        await connection.fetch(queries["hypopg_drop"], oid)

    @asynccontextmanager
    async def _found(self, connection: Connection) -> AsyncIterator[None]:
        """HypoPG's functions are found, and nothing of the same name that the application has."""
        queries = sql.load("hypopg")
        before = await connection.fetchval(queries["hypopg_path"], self._schema)
        yield
        await connection.execute(queries["hypopg_path_before"], before)


async def verify(
    explainer: Explainer, text: str, arguments: Sequence[Any] | None, advice: Sequence[Advice], server: Server
) -> tuple[list[Advice], str | None]:
    """The advice that PostgreSQL would follow; or all of it, and why it could not be asked.

    Raises `DatabaseUnavailable`.
    """
    if not advice:
        return [], None
    if server.hypopg is None:
        return list(advice), NO_HYPOPG
    if any(one.method != "btree" for one in advice):
        return list(advice), NO_INVERTED
    if any(one.of_partitions for one in advice):
        return list(advice), OF_PARTITIONS
    hypothetical = Hypothetical(server.hypopg, [one.definition for one in advice])
    explained = await explainer.explain(text, arguments, around=hypothetical.around)
    if explained.plan is None:
        return list(advice), NOT_PLANNED
    plan = explained.plan["Plan"]
    used = indexes_of(plan)
    return confirmed(advice, cost_of(plan), [size if name in used else None for name, size in hypothetical.made]), None
