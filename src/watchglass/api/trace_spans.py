"""The spans of a trace as its waterfall needs them, from the documents of its parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.spans import Span

MOST_SPANS = 5_000
"""Spans shown of one trace."""

MOST_ATTRIBUTES = 64
MOST_CHARACTERS = 2_000
"""Attributes of a span that are shown, and characters of one."""

_BUDGET = 8_000_000
"""Characters of attributes that one answer shows; spans beyond it come without."""

_REDIS = frozenset(("redis", "valkey"))
_STEPS = frozenset(("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "RESET"))
"""Steps of a transaction: as often as there are transactions, and no statement that could be spared."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """A local root of a trace: where it ran, when it began, and its spans as they are stored."""

    service: str
    instance: str
    host: str
    started: datetime
    spans: Sequence[Mapping[str, Any]]
    running: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A span with what it says of itself."""

    part: Part
    span: Span
    name: str
    error: str | None
    attributes: Mapping[str, Any]
    sql: str | None
    redis: str | None

    @property
    def fingerprint(self) -> str | None:
        return of_statement(self.sql) if self.sql else None

    @property
    def cache_hit(self) -> bool | None:
        return {"hit": True, "miss": False}.get(self.text("watchglass.cache.result") or "")

    @property
    def pool_wait(self) -> bool:
        """Whether it is the wait for a connection of a pool."""
        return "db.client.connection.pool.name" in self.attributes and not _system(self.attributes)

    def text(self, name: str) -> str | None:
        """An attribute that is a text; None where it is not."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) and value else None


def documents(text: str) -> list[Mapping[str, Any]]:
    """The spans of a stored document."""
    found = json.loads(text)
    return [span for span in found if isinstance(span, dict)] if isinstance(found, list) else []


def seen(parts: Sequence[Part]) -> list[Seen]:
    """The spans of all parts, at most `MOST_SPANS`, each part's root first."""
    return list(islice((one for number, part in enumerate(parts) for one in _of_part(part, number)), MOST_SPANS))


def _of_part(part: Part, number: int) -> Iterator[Seen]:
    origin = (part.started - _EPOCH) // timedelta(microseconds=1) * 1000
    for document in part.spans:
        given = document.get("attributes")
        attributes: Mapping[str, Any] = given if isinstance(given, dict) else {}
        start = origin + _whole(document.get("start_ns"))
        sql, redis = _sql(attributes), _redis(document, attributes)
        kind = str(document.get("kind") or "internal")
        span = Span(
            str(document.get("span_id") or ""),
            str(document["parent_id"]) if document.get("parent_id") else None,
            start,
            start + _whole(document.get("duration_ns")),
            kind,
            number,
            part.host,
            _alike(attributes, kind, sql, redis),
        )
        error = document.get("error") or attributes.get("error.type")
        yield Seen(part, span, _or_text(document.get("name")) or "", _or_text(error), attributes, sql, redis)


def _system(attributes: Mapping[str, Any]) -> str:
    return str(attributes.get("db.system.name") or attributes.get("db.system") or "")


def _sql(attributes: Mapping[str, Any]) -> str | None:
    text = attributes.get("db.query.text") or attributes.get("db.statement")
    return str(text) if text and _system(attributes) not in _REDIS else None


def _redis(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> str | None:
    """The command with the shape of its key, or of a pipeline the commands."""
    if _system(attributes) not in _REDIS:
        return None
    return _or_text(attributes.get("db.query.text") or attributes.get("db.query.summary") or document.get("name"))


def _alike(attributes: Mapping[str, Any], kind: str, sql: str | None, redis: str | None) -> tuple[str, str] | None:
    """What makes spans alike: one statement, one command on one kind of key, one method on one host."""
    if sql is not None:
        return None if sql.split(" ", 1)[0].rstrip(";").upper() in _STEPS else ("statement", of_statement(sql))
    if redis is not None:
        return "command", redis
    method = attributes.get("http.request.method") or attributes.get("http.method")
    if kind == "client" and method:
        address = attributes.get("server.address") or attributes.get("net.peer.name")
        return "call", f"{method} {address}"
    return None


def is_statement(attributes: Any) -> bool:
    """Whether a span with these attributes is PostgreSQL's."""
    return isinstance(attributes, dict) and _system(attributes) == "postgresql"


class Shown:
    """Attributes as an answer shows them, of all its spans within one budget."""

    def __init__(self) -> None:
        self._left = _BUDGET

    def of(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes, cut; none once the budget is spent."""
        shown: dict[str, Any] = {}
        for name, value in list(attributes.items())[:MOST_ATTRIBUTES] if self._left > 0 else ():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            self._left -= len(name) + min(len(text), MOST_CHARACTERS)
            whole = len(text) <= MOST_CHARACTERS
            shown[name[:MOST_CHARACTERS]] = value if whole else f"{text[: MOST_CHARACTERS - 1]}…"
        return shown


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _or_text(value: Any) -> str | None:
    return str(value)[:MOST_CHARACTERS] if value else None
