"""What an instrument is; `meters` is the table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["histogram", "counter", "updown", "gauge"]

Across = Literal["sum", "process", "latest"]
"""How the values of a service's processes on one host become one on `/metrics`.

`sum`: they add up, as counts, requests under way and pool connections do. `process`: each is a series of its own, told
apart by `process.pid`. `latest`: they measure one and the same thing, and the newest reading holds.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Meter:
    """An instrument.

    `stored` and `exposed` name the attributes kept in PostgreSQL and on `/metrics` (and OTLP); `None` keeps all. Series
    that become equal are merged. `breakdown` is a counter that PostgreSQL gets in addition, with all attributes, from
    the histogram's count: a status code on the histogram itself would double thirty days of buckets. `across` says what
    the values of several processes come to on `/metrics`.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    stored: tuple[str, ...] | None = None
    exposed: tuple[str, ...] | None = None
    breakdown: Meter | None = None
    across: Across = "sum"
