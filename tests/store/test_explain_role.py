"""A role to explain statements as: made by one command, it may read and nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from support.databases import execute, run
from support.pipelines import fetch
from watchglass.cli import main
from watchglass.demo.servers import PostgreSQL
from watchglass.store.explain import Explainer

SETTING = "WATCHGLASS_EXPLAIN_DATABASE_URL="


@pytest.fixture
def superuser_url(postgres_server: PostgreSQL, database_url: str) -> str:
    return f"{postgres_server.superuser_url.rpartition('/')[0]}/{database_url.rpartition('/')[2]}"


@pytest.fixture
def role(superuser_url: str) -> Iterator[str]:
    """The name of a role that is not there, and is not afterwards."""
    name = f"Explain {secrets.token_hex(4)}"
    yield name
    if fetch(superuser_url, f"SELECT FROM pg_roles WHERE rolname = '{name}'"):
        execute(superuser_url, f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')


def url_in(printed: str) -> str:
    return next(line.partition(SETTING)[2] for line in printed.splitlines() if SETTING in line)


def test_a_superuser_makes_it_and_statements_are_explained_and_run_as_it(
    superuser_url: str,
    database_url: str,
    role: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    execute(database_url, "CREATE TABLE orders (id int)", "INSERT INTO orders SELECT generate_series(1, 10)")
    monkeypatch.setenv("DATABASE_URL", superuser_url)
    assert main(["migrate", "--explain-role", role]) == 0
    url = url_in(capsys.readouterr().out)
    explained = run(Explainer(database_url, url).explain("SELECT * FROM orders", analyze=True))
    assert explained.plan is not None, explained
    assert explained.plan["Plan"]["Actual Rows"] == 10
    assert fetch(url, "SELECT count(*) FROM orders")[0]["count"] == 10
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        execute(url, "CREATE TEMP TABLE mine (id int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        execute(url, "SET default_transaction_read_only = off", "DELETE FROM orders")
    settings = {row["name"]: row["setting"] for row in fetch(url, "SELECT name, setting FROM pg_settings")}
    assert settings["statement_timeout"] == "3000"
    assert settings["lock_timeout"] == "200"
    assert settings["temp_file_limit"] == str(256 * 1024)
    assert main(["migrate", "--explain-role", role]) == 2
    assert "is a role" in capsys.readouterr().err


def test_the_password_is_in_no_statement(
    superuser_url: str, role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", superuser_url)
    assert main(["migrate", "--explain-role", role, "--print"]) == 0
    printed = capsys.readouterr().out
    password = urlsplit(url_in(printed)).password
    assert password
    assert printed.count(password) == 1
    statements = [line for line in printed.splitlines() if not line.startswith("--")]
    execute(superuser_url, "".join(statements))
    assert fetch(url_in(printed), "SELECT current_user::text AS me")[0]["me"] == role


def test_who_may_make_no_role_is_given_the_statements(
    superuser_url: str,
    database_url: str,
    role: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert main(["migrate", "--explain-role", role]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("-- The role app may not make roles.")
    assert not fetch(superuser_url, f"SELECT FROM pg_roles WHERE rolname = '{role}'")
    execute(superuser_url, "".join(line for line in printed.splitlines() if not line.startswith("--")))
    assert fetch(url_in(printed), "SELECT 1 AS one")[0]["one"] == 1


@pytest.fixture
def explaining(
    superuser_url: str,
    database_url: str,
    role: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """The role's URL."""
    monkeypatch.setenv("DATABASE_URL", superuser_url)
    assert main(["migrate", "--explain-role", role]) == 0
    return url_in(capsys.readouterr().out)


TENANTS = (
    'CREATE SCHEMA "Shop, ""old"""',
    'CREATE TABLE "Shop, ""old""".orders (in_old int)',
    "CREATE SCHEMA app CREATE TABLE orders (in_app int)",
    "CREATE SCHEMA shop CREATE TABLE orders (in_shop int)",
    "CREATE TABLE public.orders (in_public int)",
)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ([], "app"),
        (["DATABASE {database} SET search_path = shop, public"], "shop"),
        (
            ["DATABASE {database} SET search_path = shop", 'ROLE app IN DATABASE {database} SET search_path = "$user"'],
            "app",
        ),
        (["""ROLE app IN DATABASE {database} SET search_path = 'Shop, "old"', shop"""], "old"),
        (["ROLE app IN DATABASE {database} SET search_path = nowhere, public, shop"], "public"),
    ],
)
async def test_tables_are_found_as_the_applications_role_finds_them(
    superuser_url: str, database_url: str, explaining: str, settings: list[str], found: str
) -> None:
    execute(database_url, *TENANTS)
    database = database_url.rpartition("/")[2]
    execute(superuser_url, *(f"ALTER {setting.format(database=database)}" for setting in settings))
    text = f"SELECT in_{found} FROM orders"
    assert [found] == [name for name in ("app", "shop", "public", "old") if in_path(database_url, name)]
    for dsn in (None, explaining):
        explained = await Explainer(database_url, dsn).explain(text)
        assert explained.plan is not None, (dsn, explained)
    analyzed = await Explainer(database_url, explaining).explain(text, analyze=True)
    assert analyzed.plan is not None, analyzed


def in_path(url: str, name: str) -> bool:
    """Whether the table that the role finds first is this one."""
    found = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('orders') AND attnum = 1"
    return bool(fetch(url, found)[0]["attname"] == f"in_{name}")


async def test_the_path_that_a_url_names_stays(database_url: str, explaining: str) -> None:
    execute(database_url, *TENANTS)
    named = f"{explaining}?search_path=shop"
    assert (await Explainer(database_url, named).explain("SELECT in_shop FROM orders")).plan is not None


@pytest.mark.parametrize(
    ("path", "found"), [("shop, public", "shop"), ('"$user", public', "app"), ("public", "public")]
)
async def test_the_path_of_the_session_that_sent_a_statement_comes_first(
    superuser_url: str, database_url: str, explaining: str, path: str, found: str
) -> None:
    execute(database_url, *TENANTS)
    execute(superuser_url, f"ALTER ROLE app IN DATABASE {database_url.rpartition('/')[2]} SET search_path = nowhere")
    text = f"SELECT in_{found} FROM orders"
    for dsn in (None, explaining, f"{explaining}?search_path=nowhere"):
        explained = await Explainer(database_url, dsn).explain(text, search_path=path)
        assert explained.plan is not None, (dsn, explained)
        assert (await Explainer(database_url, dsn).explain(text)).sqlstate == "42P01"
    execute(database_url, "CREATE FUNCTION shop.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'")
    explained = await Explainer(database_url, explaining).explain("SELECT lower('A')", search_path="shop, pg_catalog")
    assert "lower is a function that is not PostgreSQL's own" in str(explained.refusal)


async def test_a_plan_is_that_of_the_settings_of_the_applications_role(
    superuser_url: str, database_url: str, explaining: str
) -> None:
    execute(database_url, "CREATE TABLE orders (id int PRIMARY KEY, at date)")
    database = database_url.rpartition("/")[2]
    for setting in ("enable_seqscan = on", "DateStyle = 'ISO, DMY'", "statement_timeout = '1min'"):
        execute(superuser_url, f"ALTER ROLE app IN DATABASE {database} SET {setting}")
    execute(superuser_url, f"ALTER ROLE app IN DATABASE {database} SET enable_seqscan = off")
    text = "SELECT * FROM orders WHERE at > '31/12/2026'::date"
    explained = await Explainer(database_url, explaining).explain(text)
    assert explained.plan is not None, explained
    assert explained.plan["Settings"]["enable_seqscan"] == "off"
    endless = "SELECT count(*) FROM generate_series(1, 10000000000) a"
    cut = await Explainer(database_url, explaining).explain(endless, analyze=True, seconds=0.5)
    assert cut.sqlstate == "57014", "the bounds are ours"


async def test_what_only_a_superuser_may_set_is_left_as_it_is(
    superuser_url: str, database_url: str, explaining: str
) -> None:
    for setting in ("jit_dump_bitcode = off", "nobody.knows_this_cost = 1", "enable_seqscan = off"):
        execute(superuser_url, f"ALTER ROLE app IN DATABASE {database_url.rpartition('/')[2]} SET {setting}")
    explained = await Explainer(database_url, explaining).explain("SELECT 1")
    assert explained.plan is not None, explained
    assert explained.plan["Settings"]["enable_seqscan"] == "off"
