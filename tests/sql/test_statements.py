"""Every statement is named, described, marked as ours, used, and understood by PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
import pytest

import watchglass
from support.databases import execute
from watchglass import sql
from watchglass.demo.servers import PostgreSQL

SOURCE = Path(watchglass.__file__).parent
FILES = sorted(path.stem for path in (SOURCE / "sql").glob("*.sql") if path.stem != "schema")
NAMED = [(concept, name) for concept in FILES for name in sql.load(concept)]


@pytest.mark.parametrize("concept", FILES)
def test_every_statement_of_a_file_is_found(concept: str) -> None:
    text = (SOURCE / "sql" / f"{concept}.sql").read_text()
    assert list(sql.load(concept)) == re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)


def test_names_are_unique_so_that_pg_stat_statements_tells_them_apart() -> None:
    names = [name for _, name in NAMED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("concept", "name"), NAMED, ids=lambda value: value)
def test_a_statement_is_marked_and_used(concept: str, name: str) -> None:
    assert re.match(rf"(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE) /\* watchglass:{name} \*/\s", sql.load(concept)[name])
    uses = [path for path in SOURCE.rglob("*.py") if f'["{name}"]' in path.read_text()]
    assert uses, f"nobody asks {concept}.{name}"


@pytest.mark.parametrize(("concept", "name"), NAMED, ids=lambda value: value)
async def test_a_statement_is_understood_by_postgresql(
    connection: asyncpg.Connection[asyncpg.Record], postgres_server: PostgreSQL, concept: str, name: str
) -> None:
    if concept == "hypopg":
        if not await connection.fetch("SELECT FROM pg_available_extensions WHERE name = 'hypopg'"):
            pytest.skip("this PostgreSQL does not have HypoPG: tests/store/test_hypothetical.py finds one that has")
        superuser = postgres_server.superuser_url.rpartition("/")[0]
        execute(f"{superuser}/{await connection.fetchval('SELECT current_database()')}", "CREATE EXTENSION hypopg")
    if versioned := re.search(r"_(from|before)_(\d+)$", name):
        major = connection.get_server_version().major
        if (major >= int(versioned[2])) != (versioned[1] == "from"):
            pytest.skip(f"this is PostgreSQL {major}: another version's statement")
    if name == "create_schema":
        await connection.execute("DROP SCHEMA watchglass CASCADE")
    await connection.prepare(sql.load(concept)[name])


def test_no_statement_is_put_together_from_pieces() -> None:
    """SQL lives in sql/; in Python there are no identifiers to be formatted in."""
    words = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE (TABLE|INDEX)|ALTER TABLE)\b")
    for folder in ("store", "exporters", "jobs", "api", "wiring.py"):
        paths = [SOURCE / folder] if folder.endswith(".py") else (SOURCE / folder).rglob("*.py")
        for path in paths:
            code = re.sub(r'"""(?:.|\n)*?"""|#.*', "", path.read_text())
            assert not words.search(code), path
