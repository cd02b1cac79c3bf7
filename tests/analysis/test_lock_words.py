"""Locks by the names that people have for what they are on."""

from __future__ import annotations

from typing import Any

import pytest

from watchglass.analysis.lock_words import lock_name


def lock(locktype: str, **known: Any) -> dict[str, Any]:
    names = ("relation", "kind", "transaction", "virtualxid", "classid", "objid", "objsubid")
    return {**dict.fromkeys(names), "locktype": locktype, **known}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (lock("relation", relation="orders", kind="r"), "table orders"),
        (lock("relation", relation="orders", kind="p"), "table orders"),
        (lock("relation", relation="orders_pkey", kind="i"), "index orders_pkey"),
        (lock("tuple", relation="orders", kind="r"), "row of table orders"),
        (lock("transactionid", relation="orders", kind="r", transaction="7"), "row of table orders"),
        (lock("transactionid", transaction="7"), "transaction 7"),
        (lock("virtualxid", virtualxid="3/17"), "virtual transaction 3/17"),
        (lock("extend", relation="orders", kind="r"), "extension of table orders"),
        (lock("advisory", classid=0, objid=42, objsubid=1), "advisory lock 42"),
        (lock("advisory", classid=2**32 - 1, objid=2**32 - 1, objsubid=1), "advisory lock -1"),
        (lock("advisory", classid=1, objid=2**32 - 2, objsubid=2), "advisory lock (1, -2)"),
        (lock("relation"), "a relation that is gone"),
        (lock("object"), "object lock"),
    ],
)
def test_a_lock_is_named(row: dict[str, Any], said: str) -> None:
    assert lock_name(row) == said
