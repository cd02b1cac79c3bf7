"""What never has a plan is told so by its text, and everything else is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchglass.ui import statement_planless
from watchglass.ui.statement_planless import planless

TEMPLATES = Path(statement_planless.__file__).parent / "templates"
HEALTH = {"health-checkpoints", "health-dead_tuples", "health-autovacuum"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("COMMIT", "COMMIT has no plan: its time is that of flushing"),
        ("/* of the driver */ commit;", "COMMIT has no plan: its time is that of flushing"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN has no plan: it marks where a transaction begins"),
        ("ROLLBACK TO SAVEPOINT ?", "ROLLBACK has no plan: it declares void"),
        ("SAVEPOINT ?", "SAVEPOINT has no plan: it marks a part"),
        ("SET LOCAL statement_timeout TO ?", "SET has no plan: it reads no table"),
        ("FETCH ? FROM ?", "FETCH has no plan of its own: it goes on"),
        ("prepare transaction ?", "PREPARE TRANSACTION has no plan: its time is that of flushing"),
        ("PREPARE one AS SELECT ?", "PREPARE has no plan of its own"),
        ("WITH new AS (SELECT ?) INSERT INTO orders SELECT * FROM new", "No plan is kept of INSERT"),
    ],
)
def test_where_the_time_of_a_planless_statement_goes(text: str, said: str) -> None:
    found = planless(text)
    assert found is not None and found.reason.startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        *("SELECT 1", "WITH a AS (SELECT 1) SELECT * FROM a", "UPDATE orders SET total = 1 WHERE id = 2"),
        *("DELETE FROM orders WHERE id = 1", "VALUES (1)", "commitment", "", None),
    ],
)
def test_what_may_have_a_plan_is_not_told_that_it_has_none(text: str | None) -> None:
    assert planless(text) is None


def test_what_is_pointed_at_is_on_the_page_of_postgresql() -> None:
    pages = "".join(one.read_text() for one in TEMPLATES.rglob("*postgresql*.html"))
    ids = {*re.findall(r' id="([a-z_-]+)"', pages), *HEALTH}
    assert {one.link for one in statement_planless._BY_NAME.values()} <= ids
