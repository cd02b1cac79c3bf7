"""The role as which statements are explained: whether there is one, and whether it may read and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchglass import sql
from watchglass.jobs.doctor.findings import Finding
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

SUBJECT: Final = "explain role"
VARIABLE: Final = "WATCHGLASS_EXPLAIN_DATABASE_URL"

UNSET: Final = Finding(
    SUBJECT,
    "missing",
    "Statements are explained as the service's own role: no EXPLAIN ANALYZE, and less that holds what a plan may run.",
    "Make a role that may only read, and set the variable that the command prints.",
    "watchglass migrate --explain-role watchglass_explain",
)


async def finding(connection: Connection, application: str) -> Finding:
    """What there is to say of the connection's role; `application` is the name of the service's own database."""
    async with transaction(connection, seconds=4.0, readonly=True):
        row = await connection.fetchrow(sql.load("doctor")["explaining"])
    assert row is not None
    role, said = row["role"], f"Statements are explained as the role {row['role']}"
    if row["database"] != application:
        sentence = f"{said} in the database {row['database']}, and the service's own is {application}."
        return Finding(SUBJECT, "error", sentence, f"Let {VARIABLE} name that one.")
    if row["is_superuser"]:
        sentence = f"{said}, a superuser: no EXPLAIN ANALYZE, and less that holds what a plan may run."
        return Finding(SUBJECT, "warning", sentence, f"Make one that may only read, for {VARIABLE}.", UNSET.command)
    if not row["is_read_only"]:
        command = f"ALTER ROLE {role} SET default_transaction_read_only = on;"
        return Finding(SUBJECT, "warning", f"{said}, whose transactions may write.", "As a superuser:", command)
    if not row["reads_all"]:
        command = f"GRANT pg_read_all_data TO {role};"
        return Finding(SUBJECT, "missing", f"{said}, which may not read every table.", "As a superuser:", command)
    return Finding(SUBJECT, "ok", f"{said}, which may only read; an admin may have one run by EXPLAIN ANALYZE.")
