"""A statement has one short name everywhere: in a trace, in the list of slow statements, in a URL."""

from __future__ import annotations

import pytest

from watchglass.analysis.fingerprints import is_fingerprint, of_statement
from watchglass.redaction import sql_shape

TEXTS = [
    "SELECT id FROM documents WHERE name = ?",
    "SELECT id FROM documents WHERE name IN (?) AND id = $1",
    "INSERT INTO lines (a, b) VALUES ($1, $2), ...",
    'SELECT "a b" FROM "T" WHERE x = ARRAY[?]',
    "",
    "ü" * 3000,
    "\ud800 lone",
]


def test_a_fingerprint_never_changes_for_it_is_stored() -> None:
    assert of_statement("SELECT id FROM documents WHERE name = ?") == "2e5889b2f6542a2c"


@pytest.mark.parametrize("text", TEXTS)
def test_a_fingerprint_is_sixteen_digits_of_any_text(text: str) -> None:
    assert is_fingerprint(of_statement(text))


def test_white_space_and_what_a_store_does_not_keep_do_not_matter() -> None:
    assert of_statement(" SELECT\n\t1 ") == of_statement("SELECT 1") == of_statement("SEL\x00ECT 1")


def test_names_and_case_matter() -> None:
    assert len({of_statement(text) for text in ("SELECT a", "SELECT b", "select a", "SELECT 'a'")}) == 4


def test_texts_that_differ_in_literals_have_the_fingerprint_of_their_shape() -> None:
    one, other = (sql_shape(f"SELECT id FROM documents\n WHERE name = '{name}'") for name in ("ann", "bob"))
    assert of_statement(one) == of_statement(other) == of_statement(TEXTS[0])


@pytest.mark.parametrize("text", TEXTS)
def test_the_shape_of_a_shape_is_that_shape(text: str) -> None:
    """Whoever pastes a text from a page finds what that page showed."""
    assert of_statement(sql_shape(sql_shape(text))) == of_statement(sql_shape(text))


@pytest.mark.parametrize("text", ["", "SELECT 1", "4dbe1fea95f80ea", "4DBE1FEA95F80EA8", "4dbe1fea95f80ea8\n"])
def test_anything_else_is_no_fingerprint(text: str) -> None:
    assert not is_fingerprint(text)
