"""PostgreSQL's health: what goes wrong slowly, checked now, each check with what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from watchglass.analysis.postgresql_health import Server
from watchglass.api.activity_answers import Role
from watchglass.api.asking import Asked
from watchglass.api.postgresql_health_answers import HealthCheck, HealthChecksAnswer, Name
from watchglass.api.postgresql_health_growth import growth
from watchglass.api.postgresql_health_load import cache_hit_ratio, deadlocks, temporary_files
from watchglass.api.postgresql_health_parts import KINDS, Check, Examination, History, check, plain, worst
from watchglass.api.postgresql_health_replication import replication
from watchglass.api.postgresql_health_server import checkpoints, wraparound
from watchglass.api.postgresql_health_tables import dead_tuples
from watchglass.api.postgresql_health_vacuum import autovacuum
from watchglass.errors import DatabaseNotConfigured, WatchglassError
from watchglass.store import postgresql_health as store
from watchglass.store.database import Database

EXAMINER: Final = "watchglass health"

WOULD_ADD: Final = (
    "pg_monitor would show the vacuums of autovacuum and how far they are, the transactions of other roles that keep "
    "dead rows, and how far replicas are behind: GRANT pg_monitor TO {role};"
)
NOT_ASKED: Final = "What is kept of PostgreSQL is not known, so that figures are those since it began to count. {why}"
NO_HISTORY: Final = "PostgreSQL was not read in this window, so that figures are those since it began to count."

CHECKS: Final[Mapping[Name, Check]] = {
    "cache_hit_ratio": cache_hit_ratio,
    "dead_tuples": dead_tuples,
    "autovacuum": autovacuum,
    "growth": growth,
    "wraparound": wraparound,
    "checkpoints": checkpoints,
    "replication": replication,
    "temporary_files": temporary_files,
    "deadlocks": deadlocks,
}


async def health(asked: Asked) -> HealthChecksAnswer:
    """Every check; one that PostgreSQL does not answer is unknown and says why. Raises `DatabaseNotConfigured`."""
    database = _database(asked)
    try:
        server = await store.server(database)
    except WatchglassError as error:
        return _answer([check(name, "unknown", plain(error)) for name in KINDS], None, [plain(error)])
    history, missing = await _history(asked)
    examination = Examination(asked, database, server, history)
    found = await asyncio.gather(*(_checked(name, examination) for name in CHECKS))  # on two connections
    return _answer(found, role(server), missing)


async def _history(asked: Asked) -> tuple[History | None, list[str]]:
    """What is kept of the server, and why there is nothing: the store may be away while the server answers."""
    try:
        history = await History.of(asked)
    except WatchglassError as error:
        return None, [NOT_ASKED.format(why=plain(error))]
    return history, [] if history else [NO_HISTORY]


def role(server: Server) -> Role:
    """As whom PostgreSQL was asked, and what it would see with pg_monitor."""
    would_add = None if server.sees_all else WOULD_ADD.format(role=server.role)
    return Role(name=server.role, sees_all=server.sees_all, would_add=would_add)


async def _checked(name: Name, examination: Examination) -> HealthCheck:
    try:
        return await CHECKS[name](examination)
    except WatchglassError as error:
        return check(name, "unknown", plain(error))


def _answer(checks: Sequence[HealthCheck], who: Role | None, told: Sequence[str]) -> HealthChecksAnswer:
    return HealthChecksAnswer(
        at=datetime.now(UTC),
        sentence=_sentence(checks),
        state=worst(one.state for one in checks),
        checks=list(checks),
        role=who,
        told=[*told, *([who.would_add] if who and who.would_add else [])],
    )


def _sentence(checks: Sequence[HealthCheck]) -> str:
    """What needs somebody, the worst first."""
    counts = {state: [one.title.lower() for one in checks if one.state == state] for state in ("bad", "attention")}
    said = [f"{', '.join(counts['bad'])} cannot wait" if counts["bad"] else ""]
    said.append(f"see to {', '.join(counts['attention'])}" if counts["attention"] else "")
    text = "; ".join(filter(None, said))
    unknown = sum(one.state == "unknown" for one in checks)
    if not text:
        known = len(checks) - unknown
        text = f"{known} of {len(checks)} checks are good" if unknown else f"all {len(checks)} checks are good"
    return f"{text[0].upper()}{text[1:]}."


def _database(asked: Asked) -> Database:
    """The service's own, on a connection that nothing else waits for."""
    dsn = asked.context.settings.application_dsn
    if dsn is None:
        raise DatabaseNotConfigured
    return asked.reader.database.beside(EXAMINER, dsn)
