"""Nothing is changed, run or told by explaining a statement, whatever its text, whoever asks.

The functions of the attacks say that they are immutable, belong to a superuser, run with that superuser's rights, and
write on a connection of their own: neither a read-only transaction nor a rollback stops them once they run.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from support.databases import execute, fresh_database, run
from watchglass.demo.servers import PostgreSQL
from watchglass.store import explain_trust
from watchglass.store.explain import IS_SUPERUSER, Explained, Explainer
from watchglass.store.explain_role import make, url_of

SECRET = "SWORDFISH"
LONG = "e" * 63
NUMBER = "(SELECT oid FROM pg_type WHERE typname = 'evil_' || 'domain')"


def _planted(loot: str) -> tuple[str, ...]:
    """The statements that prepare a database; `loot` is the connection string by which the functions write."""
    steal = f"BEGIN PERFORM public.dblink_exec('{loot}', 'INSERT INTO loot VALUES (1)'); RETURN 1; END"
    is_evil = f"RETURNS int LANGUAGE plpgsql SECURITY DEFINER IMMUTABLE AS $f$ {steal} $f$"
    return (
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION file_fdw",
        "CREATE TABLE loot (id int)",
        "CREATE TABLE victim (id int PRIMARY KEY, name text)",
        "INSERT INTO victim SELECT i, 'name ' || i FROM generate_series(1, 100) i",
        f"CREATE TABLE secrets (word text); INSERT INTO secrets VALUES ('{SECRET}')",
        "CREATE SEQUENCE counter",
        f"CREATE FUNCTION evil(text) {is_evil}",
        f"CREATE FUNCTION evil() {is_evil}",
        f"CREATE FUNCTION evil_stable(text) {is_evil.replace('IMMUTABLE', 'STABLE')}",
        f"CREATE FUNCTION evil_volatile(text) {is_evil.replace('IMMUTABLE', 'VOLATILE')}",
        f'CREATE FUNCTION "my ""evil"(text) {is_evil}',
        f'CREATE FUNCTION "Evil"(text) {is_evil}',
        f"CREATE FUNCTION évil(text) {is_evil}",
        f"CREATE FUNCTION {LONG}(text) {is_evil}",
        f"CREATE FUNCTION quote_literal(int) {is_evil}",
        f"CREATE FUNCTION pg_catalog.planted(int) {is_evil}",
        f"CREATE FUNCTION evil_row(victim) {is_evil}",
        f"CREATE FUNCTION evil_pair(int, int) {is_evil}",
        f"CREATE FUNCTION evil_true(int) {is_evil.replace('int', 'bool', 1).replace('RETURN 1', 'RETURN true')}",
        "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = evil_pair)",
        "CREATE AGGREGATE evil_sum(int) (SFUNC = evil_pair, STYPE = int, INITCOND = '0')",
        "CREATE DOMAIN evil_domain AS int CHECK (evil_true(VALUE))",
        "CREATE VIEW evil_view AS SELECT * FROM victim WHERE id = evil('x')",
        "CREATE VIEW over_view AS SELECT id FROM evil_view",
        'CREATE VIEW "The ""View" AS SELECT id FROM evil_view',
        "CREATE VIEW reading_view AS SELECT pg_read_file('PG_VERSION') AS f, id FROM victim",
        "CREATE VIEW ending_view AS SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
        "CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY guard ON guarded USING (id = evil('x'))",
        "CREATE TABLE indexed (id int); CREATE INDEX ON indexed ((id + evil()))",
        "CREATE TABLE partial (id int); CREATE INDEX ON partial (id) WHERE evil() = 1",
        "CREATE TABLE measured (id int, n int); CREATE STATISTICS evil_figures ON (id + evil()), n FROM measured",
        "CREATE TABLE checked (id int, CHECK (id > 0 AND evil() = 1))",
        "CREATE TABLE parted (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE part (id int CHECK (evil() = 1))",
        "ALTER TABLE parted ATTACH PARTITION part FOR VALUES FROM (0) TO (9)",
        "CREATE TABLE typed (id int, d evil_domain)",
        "CREATE TYPE evil_composite AS (d evil_domain)",
        "CREATE TABLE composed (id int, c evil_composite[])",
        f"CREATE FUNCTION evil_difference(int, int) {is_evil.replace('int', 'float8', 1)}",
        "CREATE TYPE evil_range AS RANGE (subtype = int4, subtype_diff = evil_difference)",
        "CREATE TABLE ranged (r evil_range) WITH (autovacuum_enabled = off)",
        "INSERT INTO ranged SELECT evil_range(i, i + 10) FROM generate_series(1, 500) i",
        "ANALYZE ranged",
        *_compared(is_evil, "pair"),
        "CREATE TABLE compared AS SELECT (i, i)::pair AS p FROM generate_series(1, 3) i",
        "CREATE TABLE keyed (id int) PARTITION BY LIST ((id + evil()))",
        "CREATE TABLE keyed_part PARTITION OF keyed DEFAULT",
        "CREATE TABLE ruled (id int); CREATE RULE instead AS ON INSERT TO ruled DO INSTEAD SELECT evil()",
        "CREATE TABLE generated (id int, g int GENERATED ALWAYS AS (evil_pair(id, id)) STORED, d int DEFAULT evil())",
        "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
        "CREATE FOREIGN TABLE remote (line text) SERVER files OPTIONS (program 'echo x')",
        "CREATE VIEW over_remote AS SELECT * FROM remote",
        "CREATE TABLE inherited (line text)",
        "CREATE FOREIGN TABLE remote_child () INHERITS (inherited) SERVER files OPTIONS (program 'echo x')",
        "CREATE EXTENSION earthdistance CASCADE; CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO PUBLIC",
        f"CREATE FUNCTION app.cube(float8) {is_evil.replace('int', 'cube', 1).replace('RETURN 1', 'RETURN NULL')}",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC",
        "DELETE FROM loot",
    )


def _compared(is_evil: str, type_: str) -> tuple[str, ...]:
    """A type whose values are compared by functions that are evil, by operators that no statement names."""
    is_true = is_evil.replace("int", "bool", 1).replace("RETURN 1", "RETURN true")
    names = {1: "#<#", 2: "#<=#", 3: "#=#", 4: "#>=#", 5: "#>#"}
    of = f"LEFTARG = {type_}, RIGHTARG = {type_}"
    return (
        *(["CREATE TYPE pair AS (a int, b int)"] if type_ == "pair" else []),
        f"CREATE FUNCTION compare({type_}, {type_}) {is_evil}",
        f"CREATE FUNCTION is_less({type_}, {type_}) {is_true}",
        *(f"CREATE OPERATOR {name} ({of}, FUNCTION = is_less)" for name in names.values()),
        f"CREATE OPERATOR CLASS {type_}_class DEFAULT FOR TYPE {type_} USING btree AS "
        + ", ".join(f"OPERATOR {number} {name}" for number, name in names.items())
        + f", FUNCTION 1 compare({type_}, {type_})",
    )


@dataclass(frozen=True)
class Target:
    """A database in which the traps are laid, by who may ask."""

    ordinary: str
    superuser: str
    reader: str

    def explainer(self, who: str) -> Explainer:
        if who == "explain role":
            return Explainer(self.ordinary, self.reader)
        return Explainer(self.superuser if who == "superuser" else self.ordinary)


@pytest.fixture(scope="module")
def target(postgres_server: PostgreSQL) -> Iterator[Target]:
    role = f"explain_{secrets.token_hex(4)}"
    with fresh_database(postgres_server) as url:
        superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{url.rpartition('/')[2]}"
        parts = urlsplit(superuser)
        loot = f"host={parts.hostname} port={parts.port} user={parts.username} dbname={parts.path[1:]}"
        execute(superuser, *_planted(f"{loot} password={parts.password}" if parts.password else loot))
        run(make(superuser, role, "x"))
        yield Target(url, superuser, url_of(url, role, "x"))
        execute(superuser, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.fixture
async def witness(target: Target) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of somebody else, which is still there afterwards."""
    connection = await asyncpg.connect(target.superuser)
    yield connection
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


STATE = """
    SELECT
        (SELECT count(*) FROM loot) AS stolen,
        (SELECT md5(string_agg(v::text, ',' ORDER BY id)) FROM victim v) AS victim,
        (SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE relpersistence <> 't') AS relations,
        (SELECT count(*) FROM pg_proc) AS functions,
        (SELECT count(*) FROM pg_largeobject_metadata) AS large_objects,
        (SELECT array_agg((rolname, rolsuper, rolconfig)::text ORDER BY rolname) FROM pg_roles) AS roles,
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (
            SELECT oid FROM pg_database WHERE datname = current_database()
        )) AS locks,
        (SELECT count(*) FROM pg_replication_slots) AS slots,
        (SELECT (last_value, is_called)::text FROM counter) AS counter
"""

# Each must not even reach the planner.
REFUSED = (
    # Functions of PostgreSQL's that do more than compute, however they are spelt.
    *("SELECT pg_terminate_backend({pid})", 'SELECT pg_catalog."pg_terminate_backend"({pid})'),
    *("SELECT PG_Terminate_Backend/**/({pid})", "SELECT * FROM pg_terminate_backend({pid})"),
    'SELECT U&"pg\\005fterminate_backend"({pid})',
    "SELECT U&\"pg!005fterminate_backend\" UESCAPE '!' ({pid})",
    *("SELECT pg_cancel_backend({pid})", "SELECT pg_reload_conf()", "SELECT pg_sleep(60)", "SELECT pg_sleep_for('1h')"),
    *("SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1)", "SELECT 1 WHERE pg_try_advisory_lock_shared(1)"),
    *("SELECT pg_read_file('PG_VERSION')", "SELECT pg_read_binary_file('PG_VERSION')", "SELECT pg_ls_dir('.')"),
    *("SELECT * FROM pg_stat_file('PG_VERSION')", "SELECT pg_read_file('PG_VERSION')::int"),
    *(
        "SELECT lo_create(0)",
        "SELECT lo_import('/etc/hostname')",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_unlink(1)",
    ),
    *("SELECT lo_export(1, '/dev/null')", "SELECT lo_get(1)", "SELECT pg_logical_emit_message(false, 'a', 'b')"),
    *("SELECT pg_notify('a', 'b')", "SELECT set_config('default_transaction_read_only', 'off', false)"),
    *("SELECT set_config('role', 'postgres', false)", "SELECT nextval('counter')", "SELECT setval('counter', 99)"),
    *(
        "SELECT query_to_xml('SELECT evil(1::text)', true, true, '')",
        "SELECT table_to_xml('evil_view', true, true, '')",
    ),
    *("SELECT ts_stat('SELECT evil($$x$$)')", "SELECT ts_rewrite('a'::tsquery, 'SELECT evil($$x$$)')"),
    *("SELECT pg_create_restore_point('x')", "SELECT pg_switch_wal()", "SELECT pg_export_snapshot()"),
    *("SELECT pg_stat_reset()", "SELECT pg_create_physical_replication_slot('x')", "SELECT pg_promote()"),
    *("SELECT dblink_exec('dbname=x', 'DELETE FROM victim')", "SELECT * FROM dblink('x', 'SELECT 1') AS t (id int)"),
    # Functions that say that they are immutable and are not, however they are called.
    *(
        "SELECT evil('x')",
        "SELECT * FROM victim WHERE id = evil('x')",
        "SELECT public.evil('x')",
        "SELECT \"evil\"('x')",
    ),
    *("SELECT EVIL('x')", "SELECT evil/* */('x')", "SELECT evil('x') OVER ()", "SELECT 1 LIMIT evil('x')"),
    *("SELECT 1 ORDER BY evil('x')", "SELECT * FROM evil('x')", "SELECT 1 WHERE 1 IN (SELECT evil('x'))"),
    *("SELECT evil_stable('x')", "SELECT * FROM victim WHERE id = evil_stable('x')", "SELECT evil_volatile('x')"),
    *('SELECT "my ""evil"(\'x\')', "SELECT \"Evil\"('x')", "SELECT évil('x')", f"SELECT {LONG}eee('x')"),
    *("SELECT v.evil_row FROM victim v", "SELECT (v).evil_row FROM victim v", "SELECT evil_row(v) FROM victim v"),
    *("SELECT evil_sum(1)", "SELECT evil_sum(id) OVER () FROM victim", "SELECT CASE WHEN true THEN evil('x') END"),
    *("SELECT 1 FROM generate_series(1, evil('x'))", "WITH e AS (SELECT evil('x')) SELECT * FROM e"),
    *("SELECT * FROM victim JOIN LATERAL evil('x') e ON true", "SELECT ARRAY[evil('x')]", "SELECT VARIADIC evil('x')"),
    *("SELECT quote_literal(1)", "SELECT planted(1)", "SELECT pg_catalog.planted(1)", "SELECT evil(name => 'x')"),
    # Operators and types.
    *("SELECT 1 === 1", "SELECT 1 OPERATOR(public.===) 1", "SELECT 1 === ANY (ARRAY[1])"),
    *("SELECT 1::evil_domain", "SELECT evil_domain '1'", "SELECT CAST(1 AS public.evil_domain)"),
    # What relations bring along.
    *("SELECT * FROM evil_view", "SELECT * FROM over_view", "SELECT * FROM public.over_view", 'TABLE "over_view"'),
    *('SELECT * FROM "The ""View"', "SELECT f FROM reading_view", "SELECT * FROM ending_view"),
    *("SELECT * FROM guarded", "SELECT * FROM indexed WHERE id = 1", "SELECT * FROM partial WHERE id = 1"),
    *("SELECT * FROM measured", "SELECT * FROM checked", "SELECT * FROM parted", "SELECT * FROM typed"),
    *("SELECT * FROM remote", "SELECT * FROM over_remote", "SELECT * FROM inherited", "SELECT * FROM composed"),
    *(
        "SELECT * FROM ranged WHERE r && '[1,5)'",
        "SELECT * FROM ranged WHERE r <@ '[1,5)'",
        "SELECT '[1,2)'::evil_range",
    ),
    *("SELECT * FROM keyed WHERE id = 1", "SELECT * FROM ruled", "SELECT '(1)'::evil_composite"),
    *("SELECT json_populate_record(NULL::evil_composite, '{\"d\": 1}')", "SELECT NULL::evil_composite[]"),
    "SELECT * FROM composed WHERE c = '{(1)}'",
    "SELECT * FROM json_to_record('{\"d\": 1}') AS made (d evil_domain)",
    # What values are compared by, where no operator is named.
    *("SELECT * FROM compared ORDER BY p", "SELECT DISTINCT p FROM compared", "SELECT GREATEST(p, p) FROM compared"),
    *("SELECT p FROM compared GROUP BY p", "SELECT max(ROW(p)) FROM compared", "SELECT LEAST('(1,2)'::pair, '(2,1)')"),
    # A type by its number, or by a name that is put together.
    *(f"SELECT {name}('1'::cstring, {NUMBER}, -1) IS NULL" for name in ("domain_in", "record_in", "range_in")),
    f"SELECT * FROM victim WHERE name = array_in('{{1}}'::cstring, {NUMBER}, -1)::text",
    "SELECT satisfies_hash_partition('keyed'::regclass, 2, 1, 1)",
    # What writes beside the transaction, or tells others.
    *(
        "SELECT gin_clean_pending_list(1)",
        "SELECT brin_summarize_new_values(1)",
        "SELECT pg_drop_replication_slot('x')",
    ),
    *("SELECT lo_put(1, 0, 'x')", "SELECT lo_open(1, 131072)", "SELECT lowrite(1, 'x')", "SELECT lo_creat(1)"),
    *(
        "SELECT pg_log_backend_memory_contexts({pid})",
        "SELECT pg_stat_statements_reset()",
        "SELECT pg_rotate_logfile()",
    ),
    *("SELECT * FROM ROWS FROM (evil(), generate_series(1, 2))", "SELECT setseed(0.1)", "SELECT pg_wal_replay_pause()"),
    *(
        "SELECT pg_import_system_collations('public')",
        "SELECT plpgsql_validator(1)",
        "SELECT txid_status(1), pg_nextoid(1,'a',1)",
    ),
    # More than one statement, and what hides that.
    *("SELECT 1; DROP TABLE victim", "SELECT 1;;DROP TABLE victim", "SELECT 1; COMMIT; DROP TABLE victim"),
    *("SELECT 1 /* ; */; DELETE FROM victim --", "SELECT /* /* */ 1 */ 1; DELETE FROM victim"),
    *("/* /* */ */ DELETE FROM victim", "/**/ DELETE FROM victim", "-- SELECT\nDELETE FROM victim"),
    *("SELECT $$a$$; DELETE FROM victim; SELECT $$b$$", "SELECT $a$ $b$ $a$; DELETE FROM victim; SELECT $b$ $b$"),
    *(
        "SELECT E'\\''; DELETE FROM victim --'",
        "SELECT '\\'; DELETE FROM victim --'",
        "SELECT '''; '; DROP TABLE victim",
    ),
    *("(SELECT 1); DROP TABLE victim", "SELECT 1\n;\nDROP TABLE victim", "SELECT 1) TO STDOUT; DROP TABLE victim"),
    # Not a SELECT that only reads.
    *("WITH d AS (DELETE FROM victim RETURNING *) SELECT * FROM d", "DELETE FROM victim", "TRUNCATE victim"),
    *("WITH i AS (INSERT INTO loot VALUES (1) RETURNING 1) SELECT * FROM i", "INSERT INTO loot VALUES (1)"),
    *("WITH u AS (UPDATE victim SET id = -id RETURNING *) SELECT * FROM u", "UPDATE victim SET name = ''"),
    "SELECT * FROM (WITH d AS (DELETE FROM victim RETURNING *) SELECT * FROM d) x",
    "WITH m AS (MERGE INTO victim USING loot ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT * FROM m",
    *("SELECT * INTO stolen FROM victim", "SELECT * INTO TEMP stolen FROM victim", "SELECT 1 INTO UNLOGGED stolen"),
    *("CREATE TABLE stolen AS SELECT 1", "CREATE MATERIALIZED VIEW stolen AS SELECT 1", "EXECUTE stolen"),
    *("SELECT * FROM victim FOR UPDATE", "SELECT * FROM victim FOR NO KEY UPDATE", "SELECT * FROM victim FOR SHARE"),
    *("SELECT * FROM victim FOR KEY SHARE", "SELECT * FROM (SELECT * FROM victim FOR UPDATE) v", "LOCK TABLE victim"),
    *(
        "SET ROLE postgres",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET default_transaction_read_only = off",
    ),
    *("COMMIT", "ROLLBACK", "BEGIN", "DO $$ BEGIN DELETE FROM victim; END $$", "CALL evil()", "VACUUM", "DISCARD ALL"),
    *("COPY victim TO STDOUT", "COPY (SELECT 1) TO PROGRAM 'true'", "PREPARE p AS DELETE FROM victim", "LISTEN a"),
    *("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "EXPLAIN ANALYZE DELETE FROM victim", "ANALYZE DELETE FROM victim"),
    *("", ";", "SELECT 1\x00; DROP TABLE victim", "(ANALYZE) DELETE FROM victim", "ALTER ROLE app SUPERUSER"),
    # Too much to read.
    f"SELECT * FROM victim WHERE id IN ({', '.join(map(str, range(20_000)))})",
    f"SELECT {'(' * 5_000}1{')' * 5_000}",
)

# Each may be planned, and run where that is asked for, and nothing comes of it.
HARMLESS: tuple[tuple[str, tuple[Any, ...] | None], ...] = (
    ("SELECT * FROM victim WHERE name = $1", ("'; DROP TABLE victim; --",)),
    ("SELECT * FROM victim WHERE id = $1", None),
    ("SELECT 'evil is no call here'::text, name FROM victim", ()),
    ("SELECT * FROM victim WHERE id = (SELECT word FROM secrets)::int", ()),
    ("SELECT word::int FROM secrets", ()),
    ("SELECT 1 / (SELECT count(*) FROM secrets WHERE word <> 'x' AND word = '')", ()),
    ("SELECT count(*) FROM generate_series(1, 100000000000) a", ()),
    ("WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i FROM r) SELECT count(*) FROM r", ()),
    ("SELECT length(repeat('x', 100000000))", ()),
    ("SELECT repeat('x', 2000000000)", ()),
    ("SELECT * FROM pg_stat_activity", ()),
    ("SELECT current_setting('data_directory')::int", ()),
    ("SELECT * FROM nothing WHERE $1", (True,)),
    ("SELECT $1", None),
    ("SELECT", ()),
    ('SELECT 1 AS "; DROP TABLE victim; --"', ()),
)
WHO = ("ordinary role", "explain role", "superuser")


async def attack(
    target: Target, witness: asyncpg.Connection[asyncpg.Record], who: str, text: str, arguments: Any, analyze: bool
) -> Explained:
    before = dict((await witness.fetch(STATE))[0])
    text = text.replace("{pid}", str(witness.get_server_pid()))
    explained = await target.explainer(who).explain(text, arguments, analyze=analyze, seconds=1.0)
    assert dict((await witness.fetch(STATE))[0]) == before
    assert SECRET not in repr(explained)
    assert (await target.explainer(who).explain("SELECT * FROM loot")).plan is not None
    return explained


async def test_the_traps_work(target: Target, witness: asyncpg.Connection[asyncpg.Record]) -> None:
    """Plain EXPLAIN, in a read-only transaction that is rolled back, runs what says that it is immutable."""
    by_number = "array_in('{1}'::cstring, 'evil_domain'::regtype, -1)::text"
    for text in (
        *("SELECT evil('x')", "SELECT * FROM over_view", "SELECT 1 === 1", "SELECT * FROM indexed WHERE id = 1"),
        *(
            "SELECT '(1)'::evil_composite",
            "SELECT * FROM ranged WHERE r && '[1,5)'",
            "SELECT LEAST('(1,2)'::pair, '(2,1)')",
        ),
        f"SELECT * FROM victim WHERE name = {by_number}",
    ):
        before = (await witness.fetch(STATE))[0]["stolen"]
        connection = await asyncpg.connect(target.ordinary)
        transaction = connection.transaction(readonly=True)
        await transaction.start()
        await connection.fetch(f"EXPLAIN {text}")
        await transaction.rollback()
        await connection.close()
        assert (await witness.fetch(STATE))[0]["stolen"] > before, text


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:60])
async def test_an_attack_is_refused(
    target: Target, witness: asyncpg.Connection[asyncpg.Record], who: str, text: str
) -> None:
    explained = await attack(target, witness, who, text, (), analyze=who == "explain role")
    assert explained.refusal, explained
    assert explained.refusal != IS_SUPERUSER


@pytest.mark.parametrize("analyze", [False, True], ids=["explain", "analyze"])
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("text", "arguments"), HARMLESS, ids=lambda value: str(value)[:60])
async def test_what_is_harmless_changes_and_tells_nothing(
    target: Target, witness: asyncpg.Connection[asyncpg.Record], who: str, text: str, arguments: Any, analyze: bool
) -> None:
    explained = await attack(target, witness, who, text, arguments, analyze)
    assert (explained.plan is None) != (explained.refusal is None and explained.sqlstate is None)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(
    "text",
    [
        # Since PostgreSQL 16 a value may be tried whatever its type.
        "SELECT * FROM victim WHERE id = pg_input_is_valid('1', 'evil_' || 'domain')::int",
        "SELECT * FROM pg_input_error_info('1', 'evil_' || 'domain')",
        # Until PostgreSQL 16 a function of a known extension called cube by its name alone, which finds another first.
        "SELECT ll_to_earth(1, 2)",
        # On some versions the table is known to depend on the function.
        "SELECT * FROM generated",
    ],
)
async def test_what_is_another_thing_to_each_version_does_nothing_on_any(
    target: Target, witness: asyncpg.Connection[asyncpg.Record], who: str, text: str
) -> None:
    await attack(target, witness, who, text, (), analyze=who == "explain role")


async def test_what_brings_along_more_than_is_looked_through_is_refused(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_trust, "MOST_REACHED", 1)
    explained = await target.explainer("superuser").explain("SELECT * FROM over_view")
    assert "more views, policies and constraints" in str(explained.refusal)


async def test_how_values_of_postgresqls_own_types_are_compared_is_looked_at(
    database_url: str, postgres_server: PostgreSQL
) -> None:
    """A superuser may say how those are compared that have no order: nothing in the text tells it."""
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{database_url.rpartition('/')[2]}"
    is_evil = "RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RETURN 1; END $f$"
    assert (await Explainer(database_url).explain("SELECT 1")).plan is not None
    execute(superuser, *_compared(is_evil, "json"))
    for text in ("SELECT GREATEST('1'::json, '2'::json)", "SELECT j FROM (VALUES ('1'::json)) v (j) ORDER BY j"):
        assert "compare is a function" in str((await Explainer(database_url).explain(text)).refusal)


async def test_a_range_of_the_applications_does_not_stand_in_the_way(database_url: str) -> None:
    execute(database_url, "CREATE TYPE span AS RANGE (subtype = int4)", "CREATE TABLE spans (s span)")
    for text in ("SELECT 1", "SELECT span(1, 2)", "SELECT * FROM spans WHERE s && '[1,2)'"):
        assert (await Explainer(database_url).explain(text)).plan is not None


async def test_nobody_analyzes_as_a_superuser(target: Target, witness: asyncpg.Connection[asyncpg.Record]) -> None:
    explained = await Explainer(target.superuser, target.superuser).explain("SELECT * FROM victim", analyze=True)
    assert explained.refusal == IS_SUPERUSER


async def test_an_operator_or_a_cast_that_syntax_implies_is_refused(
    database_url: str, postgres_server: PostgreSQL
) -> None:
    """Where a user redefined = for two types, or how one becomes another, any statement may mean it."""
    execute(
        database_url,
        "CREATE TABLE plain (id int)",
        "CREATE TYPE pair AS (a int, b int)",
        "CREATE FUNCTION eq(text, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'",
        "CREATE OPERATOR = (LEFTARG = text, RIGHTARG = int, FUNCTION = eq)",
    )
    explainer = Explainer(database_url)
    assert "eq is a function" in str((await explainer.explain("SELECT 'a'::text IN (1)")).refusal)
    execute(database_url, "DROP OPERATOR = (text, int)")
    assert (await explainer.explain("SELECT 'a'::text IN ('b')")).plan is not None
    execute(
        database_url,
        "CREATE FUNCTION of_pair(pair) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
        "CREATE CAST (pair AS int) WITH FUNCTION of_pair(pair) AS IMPLICIT",
    )
    assert "of_pair is a function" in str((await explainer.explain("SELECT ROW(1, 2)::int")).refusal)


async def test_a_function_that_an_owner_puts_into_a_trusted_extension_is_refused(
    database_url: str, postgres_server: PostgreSQL
) -> None:
    execute(
        database_url,
        "CREATE EXTENSION citext",
        "CREATE FUNCTION own(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
        "ALTER EXTENSION citext ADD FUNCTION own(int)",
    )
    assert "own is a function" in str((await Explainer(database_url).explain("SELECT own(1)")).refusal)


async def test_the_fences_call_nothing_that_hides_what_is_postgresqls_own(
    database_url: str, postgres_server: PostgreSQL
) -> None:
    """Whoever owns the database may make functions that are found first: by their types, or by its search_path."""
    raises = "LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RAISE 'called'; END $f$"
    name = database_url.rpartition("/")[2]
    superuser = f"{postgres_server.superuser_url.rpartition('/')[0]}/{name}"
    execute(
        database_url,
        "CREATE TABLE plain (id int)",
        'CREATE TABLE "Quoted" (id int)',
        f"CREATE FUNCTION public.replace(name, text, text) RETURNS text {raises}",
        "CREATE SCHEMA first",
        f"CREATE FUNCTION first.set_config(text, text, bool) RETURNS text {raises}",
        f"CREATE FUNCTION first.current_setting(text) RETURNS text {raises}",
        f"CREATE FUNCTION first.pg_advisory_unlock_all() RETURNS void {raises}",
        f"CREATE FUNCTION first.same(name, name) RETURNS bool {raises}",
        "CREATE OPERATOR first.= (LEFTARG = name, RIGHTARG = name, FUNCTION = first.same)",
        f"ALTER DATABASE {name} SET search_path = first, pg_catalog, public",
    )
    for explainer in (Explainer(database_url), Explainer(superuser), Explainer(database_url, superuser)):
        for text in ("SELECT id FROM plain", 'SELECT id FROM "Quoted" GROUP BY id'):
            explained = await explainer.explain(text)
            assert explained.plan is not None or "same is a function" in str(explained.refusal), explained
