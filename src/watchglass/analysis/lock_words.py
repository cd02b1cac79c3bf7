"""What a lock is on, as people say it, from a row of pg_locks.

https://www.postgresql.org/docs/current/view-pg-locks.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

KINDS: Final = {
    "r": "table",
    "p": "table",
    "i": "index",
    "I": "index",
    "S": "sequence",
    "v": "view",
    "m": "materialized view",
    "c": "type",
    "t": "TOAST table",
    "f": "foreign table",
}
"""What pg_class.relkind stands for."""

_PARTS: Final = {"page": "page of", "tuple": "row of", "extend": "extension of", "transactionid": "row of"}


def lock_name(lock: Mapping[str, Any]) -> str:
    """`table orders`, `row of table orders`, `advisory lock 42`; of a transaction whose row is not known its number."""
    kind, relation = lock["locktype"], lock["relation"]
    if relation is not None:
        part = _PARTS.get(kind, "")
        return f"{part} {KINDS.get(lock['kind'], 'relation')} {relation}".lstrip()
    match kind:
        case "transactionid":
            return f"transaction {lock['transaction']}"
        case "virtualxid":
            return f"virtual transaction {lock['virtualxid']}"
        case "advisory":
            return f"advisory lock {_advisory(lock)}"
        case "relation":
            return "a relation that is gone"
    return f"{kind} lock"


def _advisory(lock: Mapping[str, Any]) -> str:
    """Its key as the application gave it: one number of 64 bits, or two of 32."""
    high, low = lock["classid"] or 0, lock["objid"] or 0
    if lock["objsubid"] == 1:
        key = high << 32 | low
        return str(key - (1 << 64) if key >= 1 << 63 else key)
    return f"({_signed(high)}, {_signed(low)})"


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number
