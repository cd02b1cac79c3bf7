"""Which indexes may go: what enforces something never does, and young statistics tell nothing."""

from __future__ import annotations

from typing import Any

from watchglass.analysis.index_usage import DAY, IndexUse, duplicates, unused

MONTH = 30 * DAY


def index(name: str, *keys: str, **fields: Any) -> IndexUse:
    known: dict[str, Any] = {
        "schema": "public",
        "table": "orders",
        "quoted_table": "public.orders",
        "quoted": f"public.{name}",
        "oid": 1,
        "method": "btree",
        "included": 0,
        "expressions": None,
        "predicate": None,
        "unique": False,
        "primary": False,
        "constraint": None,
        "replica_identity": False,
        "valid": True,
        "bytes": 8192,
        "scans": 0,
    }
    return IndexUse(name=name, keys=keys, **{**known, **fields})


def pairs(*indexes: IndexUse) -> list[tuple[str, str | None]]:
    return [(one.index.name, one.serving) for one in duplicates(indexes)]


def test_an_index_that_was_not_scanned_for_a_month_is_unused_and_may_be_dropped() -> None:
    found = unused([index("a", "1", bytes=10), index("b", "2", bytes=20), index("c", "3", scans=1)], MONTH)
    assert [one.index.name for one in found] == ["b", "a"]
    assert found[0].statement == "DROP INDEX CONCURRENTLY public.b"
    assert "30 days" in found[0].reason


def test_statistics_of_less_than_a_week_tell_nothing() -> None:
    assert unused([index("a", "1")], 6.9 * DAY) == []


def test_what_enforces_something_is_never_superfluous() -> None:
    enforcing: list[dict[str, Any]] = [
        {"primary": True, "unique": True},
        {"unique": True},
        {"constraint": "no_overlap"},
        {"replica_identity": True},
    ]
    for fields in enforcing:
        assert unused([index("a", "1", **fields)], MONTH) == []
        assert pairs(index("a", "1", **fields), index("b", "1", "2", oid=2)) == []


def test_of_two_alike_the_one_that_enforces_stays_and_else_the_older() -> None:
    assert pairs(index("old", "1", oid=1), index("new", "1", oid=2)) == [("new", "old")]
    assert pairs(index("old", "1", oid=1), index("key", "1", oid=2, unique=True)) == [("old", "key")]


def test_an_index_that_another_begins_with_is_superfluous() -> None:
    assert pairs(index("a", "1"), index("ab", "1", "2", oid=2)) == [("a", "ab")]
    assert pairs(index("b", "2"), index("ab", "1", "2", oid=2)) == []


def test_what_differs_in_rows_methods_keys_or_columns_kept_is_no_duplicate() -> None:
    other = index("other", "1", "2", oid=2)
    assert pairs(index("some", "1", predicate="x"), other) == []
    assert pairs(index("hash", "1", method="hash"), other) == []
    assert pairs(index("wide", "1", included=1), other) == []
    assert pairs(index("folded", "0", expressions="lower"), index("two", "0", "2", oid=2, expressions="upper")) == []
    assert pairs(index("gin", "1", method="gin"), index("gins", "1", "2", oid=2, method="gin")) == []
    assert pairs(index("away", "1"), index("there", "1", quoted_table="public.items")) == []
