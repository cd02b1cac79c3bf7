"""Sessions of PostgreSQL as they are answered: redacted, and with the request that uses their connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from watchglass import redaction
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.activity_answers import Session
from watchglass.store.activity import MOST_LOCKED

if TYPE_CHECKING:
    from watchglass.store.activity import Row

UNKNOWN: Final = "unknown"
"""The state of a session that is hidden."""

PREPARED_STATE: Final = "prepared transaction"
SEVERAL: Final = (
    "It is one of {prepared} prepared transactions, and PostgreSQL does not say which: see pg_prepared_xacts for the "
    "one that was forgotten, and end it by ROLLBACK PREPARED."
)
NOT_LOOKED_AT: Final = (
    f"It was not looked at: more than {MOST_LOCKED} sessions wait or are waited for. See it with SELECT * "
    "FROM pg_stat_activity WHERE pid = {pid};"
)
OURS: Final = "It is Watchglass's own, and ends by itself."
NOT_A_CLIENT: Final = "It is no client's but PostgreSQL's own: {kind}."
HIDDEN: Final = "The role {role} does not see when it began, so that another might be ended. To see it: {grant}"
OF_ANOTHER: Final = (
    "It is of the database {database}, and this page of {own}: end it where that one is looked after, or by "
    "SELECT pg_terminate_backend({pid});"
)
SUPERUSER: Final = "It is a superuser's: only a superuser may end it."
NOT_ALLOWED: Final = (
    "The role {role} may end sessions of its own role only. To let it end others: GRANT pg_signal_backend TO {role};"
)

_SAME: Final = timedelta(seconds=30)
"""How far the clocks of the store and of the server may be apart where a session is recognised by its beginning."""

_CUT: Final = 5
"""Bytes that may be missing of a text that was cut: a character is not."""

_HELD: Final = ("trace_id", "endpoint", "request_ended")


def _has_our_name(row: Row) -> bool:
    name = row["application_name"] or ""
    return bool(name == "watchglass" or name.startswith("watchglass "))


def _is_hidden(row: Row) -> bool:
    """Whether the role may not see what it does; what it has for a statement is a remark of PostgreSQL's then."""
    return row["backend_type"] is None


def grant_of(server: Mapping[str, Any]) -> str:
    """The statement after which the role sees everything."""
    return f"GRANT pg_monitor TO {server['quoted_role']};"


def why_not(row: Mapping[str, Any], server: Mapping[str, Any]) -> str | None:
    """Why this session may not be ended from here; None where it may be tried."""
    role = server["quoted_role"]
    if row["is_ours"]:
        return OURS
    if row["backend_start"] is None:
        return HIDDEN.format(role=role, grant=grant_of(server))
    if row["backend_type"] != "client backend":
        return NOT_A_CLIENT.format(kind=row["backend_type"])
    if row["database"] != server["database"]:
        return OF_ANOTHER.format(database=row["database"], own=server["database"], pid=row["pid"])
    if row["of_superuser"] and not server["is_superuser"]:
        return SUPERUSER
    return None if row["may_signal"] else NOT_ALLOWED.format(role=role)


class Sessions:
    """Makes the answers. `waiting` are the locks that are waited for, `held` is what processes say that they hold."""

    def __init__(
        self, server: Mapping[str, Any], waiting: Sequence[Row] = (), held: Sequence[Row] = (), key: bytes | None = None
    ) -> None:
        self._server = server
        self._key = key
        self._waiting = {row["pid"]: row for row in waiting}
        self._held: dict[int, list[Row]] = {}
        for row in held:
            self._held.setdefault(row["pid"], []).append(row)

    def of(self, row: Row) -> Session:
        """A session that PostgreSQL has shown."""
        waits = self._waiting.get(row["pid"])
        text, ours = self._statement(row), row["is_ours"]
        return Session(
            pid=row["pid"],
            backend_start=row["backend_start"],
            user=self._text(row["username"]),
            application=None if _has_our_name(row) and not ours else self._text(row["application_name"]),
            client=self._text(row["client_hostname"] or row["client_addr"] or _socket(row)),
            state=row["state"] or (UNKNOWN if _is_hidden(row) else None),
            seconds=row["seconds"],
            transaction_seconds=row["transaction_seconds"],
            wait=_wait(row, waits),
            statement=text,
            fingerprint=of_statement(text) if text and self._is_whole(row) else None,
            relation=waits["relation"] if waits else None,
            waits_for=list(dict.fromkeys(waits["blocked_by"])) if waits else [],
            ours=ours,
            why_not=why_not(row, self._server),
            **self._holder(row),
        )

    def missing(self, pid: int, looked_for: bool) -> Session:
        """One that waited or was waited for, and is not among the sessions: it ended, unless nobody looked for it."""
        waits = self._waiting.get(pid)
        blockers = list(dict.fromkeys(waits["blocked_by"])) if waits else []
        return _bare(pid, "It has ended." if looked_for else NOT_LOOKED_AT.format(pid=pid), waits_for=blockers)

    def prepared(self, row: Row | None) -> Session:
        """A prepared transaction, which has no session."""
        if row is None:
            return _bare(0, "It is a prepared transaction, of another database.", state=PREPARED_STATE)
        if not row["is_it"]:
            return _bare(0, SEVERAL.format(prepared=row["everyone"]), state=PREPARED_STATE)
        gid = row["gid"].replace("'", "''")
        told = f"It is a prepared transaction. To end it, as its owner: ROLLBACK PREPARED '{gid}';"
        seconds = {"seconds": row["seconds"], "transaction_seconds": row["seconds"]}
        return _bare(0, told, state=PREPARED_STATE, user=self._text(row["owner"]), **seconds)

    def _holder(self, row: Row) -> dict[str, Any]:
        """Who holds its connection, as the process says of it that opened a connection when this session began."""
        for held in self._held.get(row["pid"], ()):
            began, transaction = row["backend_start"], row["xact_start"]
            is_it = began is None or abs(began - held["connected_at"]) <= _SAME
            if is_it and (transaction is None or transaction <= held["seen_at"]):
                idle = row["state"] == "idle"
                found = dict.fromkeys(_HELD[:2]) | {"request_ended": False} if idle else {k: held[k] for k in _HELD}
                of_process = {"service": held["service_name"], "instance": held["service_instance_id"]}
                return found | of_process | {"host": held["host_name"], "process_pid": held["process_pid"]}
        return dict.fromkeys((*_HELD[:2], "service", "instance", "host", "process_pid")) | {"request_ended": False}

    def _statement(self, row: Row) -> str | None:
        if not row["query"] or _is_hidden(row):
            return None
        return redaction.sql_shape(row["query"]) or None

    def _is_whole(self, row: Row) -> bool:
        return bool(row["query_bytes"] < self._server["longest_text"] - _CUT)

    def _text(self, text: str | None) -> str | None:
        return redaction.text(text, self._key, 200) if text else None


def _wait(row: Row, waits: Row | None) -> str | None:
    kind, event = row["wait_event_type"], row["wait_event"]
    if kind is None:
        return f"Lock: {waits['locktype']}" if waits else None
    return f"{kind}: {event}" if event else str(kind)


def _socket(row: Row) -> str | None:
    """A client on the machine of the server, which PostgreSQL says by a port of -1."""
    return "local socket" if row["client_port"] == -1 else None


def _bare(pid: int, told: str, **known: Any) -> Session:
    nothing = dict.fromkeys(name for name in Session.model_fields if name not in ("pid", "why_not"))
    empty = {"waits_for": [], "ours": False, "request_ended": False}
    return Session(**{**nothing, **empty, **known, "pid": pid, "why_not": told})
