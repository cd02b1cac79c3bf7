"""The page of the log: which filters its address says. The lines themselves come from the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watchglass.api.live.filters import LEVELS

SHOWN_LEVELS = tuple(LEVELS)[1:]
"""TRACE, which hardly anything logs, is in "every level"."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The filters, as the form shows them before its script runs."""

    level: str
    text: str
    logger: str
    service: str
    trace_id: str
    ids: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Chosen:
        """From the address; what it says may make no sense, which the API then says."""
        level = query.get("level", "").upper()
        texts = {name: query.get(name, "")[:500] for name in ("text", "logger", "service", "trace_id")}
        return cls(level=level if level in LEVELS else "", ids="ids" in query, **texts)
