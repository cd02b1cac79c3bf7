"""What pg_stat_statements counted, into the recorder: by the elected process only, once a minute.

It is read, never reset: others read it too. What is counted between two readings is lost when another process is
elected, and never counted twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Hashable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from watchglass import guard, sql
from watchglass.analysis.fingerprints import of_statement
from watchglass.analysis.gains import Entry, Figures, Gains, add_up
from watchglass.errors import WatchglassError
from watchglass.jobs.doctor import postgresql as doctor
from watchglass.jobs.doctor.findings import Finding
from watchglass.jobs.readings import Recording
from watchglass.jobs.retention import Begin
from watchglass.meters import OF_STATEMENTS
from watchglass.redaction import sql_shape
from watchglass.settings import Settings
from watchglass.store.connection import close, connect, reported, transaction
from watchglass.store.text import storable

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

EVERY: Final = 60.0
SECONDS: Final = 3.0

MOST_READ: Final = 5_000
"""Statements that are read, those that took most time first: as many as pg_stat_statements keeps by default."""

MOST_KEPT: Final = 300
"""Statements that are told apart; what the others cost is that of `OTHER`. One that is idle for an hour makes room."""

MOST_NAMED: Final = 500
"""Texts that are asked for at a time: reducing them to their shapes takes the process 0.1 ms each."""

OTHER: Final = "other"

_IDLE_SECONDS: Final = 3600.0
_OLDEST_EXTENSION: Final = (1, 9)
_FIGURES: Final = (
    *("calls", "seconds", "rows", "shared_blks_hit", "shared_blks_read", "temp_blks_read", "temp_blks_written"),
    *("io_seconds", "wal_bytes"),
)
_UNREAD: Final = "pg_stat_statements could not be read"
_GRANT: Final = (
    "GRANT SELECT ON pg_stat_statements, pg_stat_statements_info TO {role}; "
    "GRANT EXECUTE ON FUNCTION pg_stat_statements(boolean), pg_stat_statements_info() TO {role};"
)
_OWN = re.compile(r'/\* watchglass:|^\s*COPY "?watchglass"?\.', re.IGNORECASE)


class Named(NamedTuple):
    """A statement whose text is known."""

    queryid: int
    fingerprint: str
    shape: str


_UNKNOWN: Final = Named(0, OTHER, "")


class Statements:
    """Reads what the service's database counts. `facts` says by name what was found, `problem` why there is nothing."""

    def __init__(self, settings: Settings, recorder: Recording) -> None:
        self.facts: dict[str, dict[str, Any]] = {}
        self._dsn = settings.application_dsn or ""
        self._service = settings.service
        self._recorder = recorder
        self._read_at = -inf
        self._begin()

    def _begin(self) -> None:
        self._gains = Gains()
        self._names: dict[int, Named | None] = {}  # None: a statement of our own
        self._kept: dict[str, float] = {}
        self._database = ""
        self._seen: dict[str, Named] = {}

    async def take(self) -> None:
        """Read what there is, if the last time is long enough ago."""
        if time.monotonic() - self._read_at < EVERY:
            return
        self._read_at = time.monotonic()
        with guard.as_own_work():
            try:
                self.facts["statements"] = await self._take()
            except (WatchglassError, asyncpg.PostgresError) as error:
                problem = str(error) if isinstance(error, WatchglassError) else f"{_UNREAD}: {type(error).__name__}."
                self.facts["statements"] = {"problem": problem, "remedy": None, "command": None}

    async def note(self, connection: Connection, begin: Begin = transaction) -> None:
        """Write down which statements there are, in the store's database."""
        if self._seen:
            seen, self._seen = list(self._seen.values()), {}
            columns = ([one.fingerprint for one in seen], [one.queryid for one in seen], [one.shape for one in seen])
            async with begin(connection, seconds=SECONDS):
                query = sql.load("statements")["add_statements"]
                await connection.execute(query, self._service, storable(self._database), *columns)

    def forget(self) -> None:
        """No longer ours to do: begin anew next time, because another process counts meanwhile."""
        self.facts.clear()
        self._read_at = -inf
        self._begin()

    async def _take(self) -> dict[str, Any]:
        connection = await connect(self._dsn, application_name="watchglass statements", seconds=SECONDS)
        try:
            with reported(self._dsn, seconds=SECONDS):
                fact = await self._read(connection)
                return fact or _missing(await doctor.of_statements(connection))
        finally:
            await close(connection)

    async def _read(self, connection: Connection) -> dict[str, Any] | None:
        """What is to be known of a reading; None where the extension does not serve."""
        queries = sql.load("statements")
        async with transaction(connection, seconds=SECONDS, readonly=True):
            extension = await connection.fetchrow(queries["statements_extension"])
            assert extension is not None
            if not extension["loaded"] or extension["version"] is None:
                return None
            if tuple(map(int, re.findall(r"\d+", extension["version"])[:2])) < _OLDEST_EXTENSION:
                return _outdated(extension["version"])
            if not extension["may_use"]:
                return _refused(extension["role"], "GRANT USAGE ON SCHEMA {schema} TO {role};", extension["schema"])
            try:
                reset = await connection.fetchrow(queries["statements_reset"])
                rows = await connection.fetch(queries["statements_figures"], MOST_READ)
                assert reset is not None
                gained = self._gained(rows, dict(reset))
                await self._name(connection, gained)
            except asyncpg.InsufficientPrivilegeError:
                return _refused(extension["role"])
        self._database = extension["database"]
        self._record(gained)
        return _found(dict(extension), rows)

    def _gained(self, rows: Sequence[Any], reset: Mapping[str, Any]) -> Mapping[Hashable, Figures]:
        """What each statement gained, by its identifier, those that took most time first."""
        entries = [
            Entry((row["queryid"], row["userid"], row["toplevel"]), row["began"], tuple(map(row.get, _FIGURES)))
            for row in rows
            if row["queryid"] is not None
        ]
        complete = len(rows) < MOST_READ
        found = self._gains.read(entries, reset=reset["stats_reset"], now=reset["now"], complete=complete)
        whole = add_up((key[0], figures) for key, figures in found.items())  # type: ignore[index]
        return dict(sorted(whole.items(), key=lambda one: -one[1][1]))

    async def _name(self, connection: Connection, gained: Mapping[Hashable, Figures]) -> None:
        """Ask for texts that are not known yet: PostgreSQL reads all of them from a file for that."""
        unknown = [key for key in gained if key not in self._names][:MOST_NAMED]
        if not unknown:
            return
        if len(self._names) > 2 * MOST_READ:
            self._names = {key: name for key, name in self._names.items() if key in gained}
        for row in await connection.fetch(sql.load("statements")["statements_texts"], unknown):
            self._names[row["queryid"]] = _named(row["queryid"], row["query"] or "")

    def _record(self, gained: Mapping[Hashable, Figures]) -> None:
        self._make_room()
        kept = ((self._admit(key), figures) for key, figures in gained.items())
        for fingerprint, figures in add_up(one for one in kept if one[0]).items():
            for meter, value in zip(OF_STATEMENTS, figures, strict=True):
                if value > 0:
                    self._recorder.counter(meter, (str(fingerprint),)).add(value)

    def _admit(self, key: Hashable) -> str | None:
        """The fingerprint under which it is counted; None for a statement of our own."""
        name = self._names.get(key, _UNKNOWN)  # type: ignore[call-overload]
        if name is None:
            return None
        if name is _UNKNOWN or (name.fingerprint not in self._kept and len(self._kept) >= MOST_KEPT):
            return OTHER
        self._kept[name.fingerprint] = time.monotonic()
        self._seen.setdefault(name.fingerprint, name)
        return str(name.fingerprint)

    def _make_room(self) -> None:
        oldest = time.monotonic() - _IDLE_SECONDS
        self._kept = {fingerprint: at for fingerprint, at in self._kept.items() if at >= oldest}


def _named(queryid: int, text: str) -> Named | None:
    if _OWN.search(text):
        return None
    shape = storable(sql_shape(text))
    return Named(queryid, of_statement(shape), shape)


def _found(extension: Mapping[str, Any], rows: Sequence[Any]) -> dict[str, Any]:
    hidden = rows[0]["hidden"] if rows else 0
    note, command = None, None
    if hidden:
        role = extension["role"]
        note = f"The role {role} does not see {hidden} of {len(rows)} statements, which are those of other roles."
        command = f"GRANT pg_monitor TO {role};"
    return {"problem": None, "version": extension["version"], "hidden": hidden, "note": note, "command": command}


def _missing(finding: Finding) -> dict[str, Any]:
    return {"problem": finding.sentence, "remedy": finding.remedy, "command": finding.command}


def _outdated(version: str) -> dict[str, Any]:
    problem = f"pg_stat_statements {version} is older than the server's, which has other columns."
    remedy = "As a superuser, in this database:"
    return {"problem": problem, "remedy": remedy, "command": "ALTER EXTENSION pg_stat_statements UPDATE;"}


def _refused(role: str, command: str = _GRANT, schema: str = "") -> dict[str, Any]:
    problem = f"The role {role} may not read pg_stat_statements."
    remedy = "As a superuser, in this database:"
    return {"problem": problem, "remedy": remedy, "command": command.format(role=role, schema=schema)}
