"""Statements that never have a plan: where their time goes instead, and where that is seen."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.instrumentation.statements import parse

_WAY = "What is waited for is the way to the server and back, and a free connection where there is a pooler."


@dataclass(frozen=True, slots=True)
class Planless:
    """Why there is no plan. `link` is a part of PostgreSQL's page, and `seen` says what is seen there.

    `find` is what its list of statements is to look for.
    """

    reason: str
    seen: str
    link: str
    find: str = ""


_KINDS = (
    (
        "COMMIT, END, PREPARE TRANSACTION",
        "{name} has no plan: its time is that of flushing the write-ahead log to the disk, and of waiting for a "
        "synchronous replica where there is one; PostgreSQL's own count ends before that.",
        *("checkpoints and their writing", "health-checkpoints"),
    ),
    (
        "BEGIN, START",
        f"{{name}} has no plan: it marks where a transaction begins. {_WAY}",
        *("the service's pools", "pools"),
    ),
    (
        "ROLLBACK, ABORT",
        f"{{name}} has no plan: it declares void what was written, and leaves that to vacuum. {_WAY}",
        *("dead rows", "health-dead_tuples"),
    ),
    (
        "SAVEPOINT, RELEASE",
        f"{{name}} has no plan: it marks a part of a transaction. {_WAY} More than 64 parts in one transaction make "
        "other sessions slow as well.",
        *("what sessions do now", "now"),
    ),
    (
        "SET, RESET, SHOW, DISCARD, DEALLOCATE, LISTEN, UNLISTEN, NOTIFY, CLOSE, LOAD",
        f"{{name}} has no plan: it reads no table. {_WAY}",
        *("the service's pools", "pools"),
    ),
    (
        "FETCH, MOVE",
        "{name} has no plan of its own: it goes on with that of its cursor's query, which DECLARE names.",
        *("statements that declare a cursor", "statements", "declare"),
    ),
    (
        "DECLARE",
        "No plan is kept of a cursor: DECLARE begins its query, and FETCH reads its rows.",
        *("statements that fetch", "statements", "fetch"),
    ),
    (
        "LOCK",
        "LOCK has no plan: its time is that of waiting for the lock.",
        *("who waits for which lock", "now"),
    ),
    (
        "CREATE, ALTER, DROP, TRUNCATE, COMMENT, GRANT, REVOKE, SECURITY, IMPORT, REASSIGN",
        "No plan is kept of {name}: its time is that of waiting for a lock, and of writing what is made anew.",
        *("who waits for which lock", "now"),
    ),
    (
        "VACUUM, ANALYZE, REINDEX, CLUSTER, REFRESH",
        "No plan is kept of {name}: its time is that of reading and writing the table, and of waiting for its lock.",
        *("what autovacuum does", "health-autovacuum"),
    ),
    (
        "CHECKPOINT",
        "CHECKPOINT has no plan: its time is that of writing every page that was changed.",
        *("checkpoints and their writing", "health-checkpoints"),
    ),
    (
        "INSERT, MERGE, COPY",
        "No plan is kept of {name}: plans are those of what finds rows. Its time is that of the table's indexes, "
        "constraints and triggers, for each row, and of waiting for another session's row with the same key.",
        *("indexes that may go", "superfluous"),
    ),
    (
        "PREPARE, EXECUTE",
        "{name} has no plan of its own: it is that of the statement that was prepared.",
        *("the statements", "statements"),
    ),
    (
        "CALL, DO",
        "{name} has no plan of its own: what it runs has. PostgreSQL counts that with pg_stat_statements.track = all.",
        *("the statements", "statements"),
    ),
)
"""Of each kind the first word, or the first two, of its statements; why; and what is seen where."""

_BY_NAME = {name: Planless(*said) for names, *said in _KINDS for name in names.split(", ")}


def planless(text: str | None) -> Planless | None:
    """Why a statement never has a plan, by its text; None of one that may have, and where the text is not known."""
    if not text:
        return None
    operation, two = parse(text).operation, " ".join(text.upper().split()[:2])
    name = two if two in _BY_NAME else operation
    found = _BY_NAME.get(name)
    return found and Planless(found.reason.format(name=name), found.seen, found.link, found.find)
