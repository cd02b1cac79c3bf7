"""Errors by their group, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watchglass.api.models import Missing
from watchglass.api.trace_answers import ErrorGroup, ErrorGroupsAnswer
from watchglass.ui.traces import endpoint_text


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Errors of one type from one place."""

    group: ErrorGroup
    id: str
    count: str


@dataclass(frozen=True, slots=True)
class GroupsView:
    """`endpoint` is the one they are of, as far as its kept traces say; empty without."""

    sentence: str
    endpoint: str
    rows: list[GroupRow]
    more: bool
    missing: Missing | None


def view(answer: ErrorGroupsAnswer, query: Mapping[str, str]) -> GroupsView:
    """The groups in the order of the answer."""
    rows = [GroupRow(one, f"g{one.id}-{number}", f"{one.count:,}") for number, one in enumerate(answer.groups)]
    return GroupsView(answer.sentence, endpoint_text(query.get("endpoint", "")), rows, answer.more, answer.missing)
