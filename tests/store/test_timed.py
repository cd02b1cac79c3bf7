"""Who asks for it is told how long each statement took, by its name."""

from __future__ import annotations

import pytest

from watchglass import sql
from watchglass.errors import DatabaseUnavailable, QueryTooSlow, SchemaMissing
from watchglass.store.database import Database
from watchglass.store.names import names


async def test_every_statement_is_told_also_one_that_fails(store_url: str) -> None:
    told: list[tuple[str, float]] = []
    database = Database(store_url, timed=lambda name, seconds: told.append((name, seconds)))
    assert await names(database) == []
    with pytest.raises(QueryTooSlow):
        await database.fetch("SELECT pg_sleep(5)", seconds=0.2)
    with pytest.raises(SchemaMissing):
        await database.fetch("SELECT /* watchglass:wrong */ * FROM watchglass.nothing")
    await database.close()
    assert [name for name, _ in told] == ["series_names", "other", "wrong"]
    assert told[1][1] >= 0.2 > told[0][1]


async def test_a_connection_that_cannot_be_made_is_no_statement() -> None:
    told: list[str] = []
    database = Database("postgresql://u:p@127.0.0.1:1/d", timed=lambda name, _: told.append(name))
    with pytest.raises(DatabaseUnavailable):
        await names(database)
    assert told == []


@pytest.mark.parametrize(
    ("statement", "name"), [(sql.load("store")["sizes"], "sizes"), ("SELECT 1", "other"), ("", "other")]
)
def test_a_statement_s_name_is_in_its_mark(statement: str, name: str) -> None:
    assert sql.name_of(statement) == name
