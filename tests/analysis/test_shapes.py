"""A shape becomes a statement that PostgreSQL can plan: each literal left out of it is a parameter."""

from __future__ import annotations

import pytest

from watchglass.analysis.shapes import as_statement


@pytest.mark.parametrize(
    ("shape", "statement"),
    [
        ("SELECT 1 FROM t WHERE a = ? AND b IN (?)", "SELECT 1 FROM t WHERE a = $1 AND b IN ($2)"),
        ("SELECT 1 FROM t WHERE a = $1 LIMIT ?", "SELECT 1 FROM t WHERE a = $1 LIMIT $2"),
        ("SELECT 1 FROM t WHERE a = $2 AND b = ?", "SELECT 1 FROM t WHERE a = $2 AND b = $3"),
        ('SELECT "what?" FROM t WHERE a = ?', 'SELECT "what?" FROM t WHERE a = $1'),
        ("SELECT 1 FROM t WHERE doc ?| $1", "SELECT 1 FROM t WHERE doc ?| $1"),
        ("SELECT 1", "SELECT 1"),
    ],
)
def test_what_was_left_out_becomes_a_parameter(shape: str, statement: str) -> None:
    assert as_statement(shape) == statement


def test_a_shape_that_is_cut_off_is_no_statement() -> None:
    assert as_statement("SELECT a, b, …") is None
