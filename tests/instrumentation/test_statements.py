from __future__ import annotations

import random
import string
import tracemalloc

import pytest

from watchglass.instrumentation.statements import SUMMARY_LIMIT, Statement, Statements, parse

SUMMARIES = [
    ("SELECT 1", "SELECT", "SELECT"),
    ("select * from documents where id = 1", "SELECT", "SELECT documents"),
    ("SELECT * FROM documents d, chunks AS c, LATERAL f(c) WHERE a = b", "SELECT", "SELECT documents chunks f"),
    ("SELECT count(*) FROM a JOIN s.b ON a.id = b.id LEFT JOIN c USING (id)", "SELECT", "SELECT a s.b c"),
    ("SELECT (SELECT max(x) FROM a), y FROM b ORDER BY y, x", "SELECT", "SELECT a b"),
    ("SELECT extract(epoch FROM t), trim(both FROM u) FROM v", "SELECT", "SELECT v"),
    ("SELECT a IS DISTINCT FROM b FROM t", "SELECT", "SELECT t"),
    ("SELECT a FROM t FOR UPDATE", "SELECT", "SELECT t"),
    ('SELECT * FROM "My Table"', "SELECT", 'SELECT "My Table"'),
    ("(SELECT 1 FROM a) UNION (SELECT 2 FROM b)", "SELECT", "SELECT a b"),
    ("INSERT INTO chunks (a) VALUES ($1)", "INSERT", "INSERT chunks"),
    ("INSERT INTO chunks (a) SELECT a FROM documents", "INSERT", "INSERT chunks SELECT documents"),
    ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", "INSERT", "INSERT t"),
    ("UPDATE ONLY users SET a = 1 WHERE b = 2", "UPDATE", "UPDATE users"),
    ("DELETE FROM t USING u WHERE t.id = u.id", "DELETE", "DELETE t u"),
    ("MERGE INTO a USING b ON c WHEN MATCHED THEN UPDATE SET x = 1", "MERGE", "MERGE a b"),
    ("WITH r AS (SELECT * FROM a), q(x) AS (SELECT 1 FROM r) SELECT * FROM q, r", "SELECT", "SELECT a"),
    ("WITH r AS (SELECT * FROM a) UPDATE b SET x = 1 FROM r", "UPDATE", "SELECT a UPDATE b"),
    ("CREATE TABLE IF NOT EXISTS foo (id int)", "CREATE", "CREATE TABLE foo"),
    ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "CREATE", "CREATE INDEX i"),
    ("ALTER TABLE x ADD COLUMN y int", "ALTER", "ALTER TABLE x"),
    ("DROP TABLE IF EXISTS x", "DROP", "DROP TABLE x"),
    ("TRUNCATE a", "TRUNCATE", "TRUNCATE a"),
    ('COPY "t"("a") FROM STDIN (FORMAT binary)', "COPY", 'COPY "t"'),
    ("COPY (SELECT * FROM t) TO STDOUT", "COPY", "COPY SELECT t"),
    ("EXPLAIN ANALYZE SELECT 1 FROM t", "EXPLAIN", "EXPLAIN SELECT t"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE;", "BEGIN", "BEGIN"),
    ("COMMIT;", "COMMIT", "COMMIT"),
    ("SAVEPOINT __asyncpg_savepoint_1f__;", "SAVEPOINT", "SAVEPOINT"),
    ("ROLLBACK TO __asyncpg_savepoint_1f__;", "ROLLBACK", "ROLLBACK TO"),
    ("RELEASE SAVEPOINT sa_savepoint_12", "RELEASE", "RELEASE SAVEPOINT"),
    ("SET search_path = x", "SET", "SET"),
    ("hello world", "OTHER", "OTHER"),
    ("", "OTHER", "OTHER"),
]


@pytest.mark.parametrize(("query", "operation", "summary"), SUMMARIES)
def test_a_statement_is_summed_up(query: str, operation: str, summary: str) -> None:
    statement = parse(query)

    assert (statement.operation, statement.summary) == (operation, summary)


def test_names_that_a_library_counts_up_do_not_make_new_statements() -> None:
    statements = {parse(f"SAVEPOINT __asyncpg_savepoint_{n:x}__;") for n in range(50)}
    statements |= {parse(f"MOVE FORWARD {n} cursor_{n}") for n in range(50)}

    assert len(statements) == 2


def test_a_summary_is_bounded_and_cut_between_words() -> None:
    tables = ", ".join(f"a_table_with_a_long_name_{n}" for n in range(50))

    summary = parse(f"SELECT * FROM {tables}").summary

    assert len(summary) <= SUMMARY_LIMIT
    assert all(part == "SELECT" or part.startswith("a_table_with_a_long_name_") for part in summary.split())


def test_parsing_survives_any_text() -> None:
    generator = random.Random(7)
    alphabet = string.printable + "'\"$()[]-/*;,.é\x00\ud800"
    words = [
        "select",
        "from",
        "where",
        "with",
        "as",
        "(",
        ")",
        ",",
        "'",
        '"',
        "$$",
        "--",
        "/*",
        "*/",
        "in",
        "values",
        "insert",
        "into",
        "update",
        "join",
    ]
    for _ in range(3_000):
        text = "".join(generator.choices(alphabet, k=generator.randrange(60)))
        text += " ".join(generator.choices(words, k=generator.randrange(20)))
        statement = parse(text)
        assert statement.operation
        assert statement.summary


def test_a_text_seen_before_is_the_same_statement() -> None:
    made: list[Statement] = []
    statements: Statements[int] = Statements(lambda statement: made.append(statement) or len(made))

    first = statements.get("SELECT * FROM t WHERE id = 1")

    assert statements.get("SELECT * FROM t WHERE id = 1") == first
    assert statements.get("SELECT  *  FROM t WHERE id = 2 -- again") == first
    assert statements.get("SELECT * FROM u") != first
    assert [statement.text for statement in made] == ["SELECT * FROM t WHERE id = ?", "SELECT * FROM u"]


def test_too_many_shapes_become_one_statement_an_operation_and_are_counted() -> None:
    statements: Statements[Statement] = Statements(lambda statement: statement, max_shapes=10)

    seen = [statements.get(f"SELECT * FROM t{n}x") for n in range(100)] + [statements.get("DELETE FROM z")]

    assert statements.overflowed == 91
    assert len({statement.text for statement in seen}) == 11
    assert seen[50] == Statement(None, "SELECT", "SELECT")
    assert seen[-1] == Statement(None, "DELETE", "DELETE")


def test_texts_without_end_do_not_fill_the_memory() -> None:
    statements: Statements[Statement] = Statements(lambda statement: statement)

    def send(count: int) -> None:
        for n in range(count):
            statements.get(f"SELECT * FROM t WHERE id = {n} AND note = '{'x' * 500}'")
            statements.get(f"SELECT * FROM t{n % 5000} WHERE note = '{n}{'y' * 5_000}'")

    send(5_000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    send(10_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert len(statements) <= 4_000
    assert grown < 3_000_000


def test_frequent_texts_stay_while_rare_ones_pass() -> None:
    statements: Statements[Statement] = Statements(lambda statement: statement, max_texts=50)
    frequent = "SELECT 1 FROM frequent"
    statements.get(frequent)

    for n in range(1_000):
        statements.get(f"SELECT {n} FROM t")
        statements.get(frequent)

    assert statements.holds(frequent)
    assert not statements.holds("SELECT 5 FROM t")
