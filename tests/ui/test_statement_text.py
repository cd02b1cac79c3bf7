"""A statement is laid out for reading, and nothing of it but white space is changed."""

from __future__ import annotations

import re
import textwrap

import pytest

from watchglass.ui.statement_text import laid_out


def written(text: str) -> str:
    return "".join(piece.text for piece in laid_out(text))


LAID_OUT = {
    "clauses": """
        select id, customer, note, paid, total, created
        from orders o
        where o.a = $1
          and o.b between $2 and $3
          or c = 1
        order by d desc
        limit $4
        offset 5
    """,
    "joins": """
        SELECT a.id, b.id, c.id, d.id
        FROM a
        LEFT OUTER JOIN b ON b.i = a.i
        CROSS JOIN c
        NATURAL JOIN d
        WHERE left(a.x, 3) = $1
    """,
    "a query within": """
        SELECT id
        FROM orders
        WHERE customer IN (SELECT id
            FROM customers
            WHERE city = $1
              AND age > $2)
          AND total > 7
    """,
    "no query within": """
        SELECT count(*) FILTER (WHERE a), extract(epoch FROM b), sum(c) OVER (PARTITION BY d ORDER BY e)
        FROM orders
    """,
    "words that begin no clause": """
        DELETE FROM orders
        WHERE a IS DISTINCT FROM b
          AND c = percentile_disc(1) WITHIN GROUP (ORDER BY d)
        RETURNING id
    """,
    "an upsert": """
        INSERT INTO t (a, b)
        VALUES ($1, $2)
        ON CONFLICT (a) DO UPDATE SET b = excluded.b
        WHERE t.b < excluded.b
    """,
    "unions": """
        WITH recent AS (SELECT *
            FROM orders
            WHERE id > $1)
        SELECT id
        FROM recent
        UNION ALL
        SELECT id
        FROM archive
    """,
    "quotes": """
        SELECT "from", $x$ where  it is $x$, 'or  and' /* from  here */
        FROM "left join"
        WHERE "group by" = $1
          AND a = 2
    """,
}


@pytest.mark.parametrize("name", LAID_OUT)
def test_each_clause_has_its_line(name: str) -> None:
    wanted = textwrap.dedent(LAID_OUT[name]).strip()
    assert written(re.sub(r"\n\s*", " ", wanted)) == wanted


def test_a_short_statement_stays_on_its_line_and_broken_lines_stay_broken() -> None:
    assert written("SELECT name FROM books WHERE id = $1") == "SELECT name FROM books WHERE id = $1"
    mine = "SELECT name,\n       author\nFROM books WHERE id = $1 AND author = $2 AND title = $3"
    assert written(f"\n    {mine.replace(chr(10), chr(10) + '    ')}\n  ") == mine


def test_key_words_are_told_from_names_and_quoted_text() -> None:
    pieces = laid_out("""SELECT "select" FROM books WHERE note = 'from' AND x = $1""")
    assert [piece.text for piece in pieces if piece.kind] == ["SELECT", "FROM", "WHERE", "AND"]


@pytest.mark.parametrize(
    "text", ["", "(", ")))", "'open", '"open', "/* open", "$tag$ open", "AND OR AND", "(SELECT " * 900]
)
def test_whatever_comes_is_kept(text: str) -> None:
    assert "".join(written(text).split()) == "".join(text.split())
