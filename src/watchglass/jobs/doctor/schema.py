"""The schema watchglass: whether it is there, current, and open to the role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watchglass import sql
from watchglass.errors import SchemaForbidden, SchemaMissing, WriterTooOld
from watchglass.jobs.doctor.findings import Finding
from watchglass.settings import Settings
from watchglass.store.connection import address_of, transaction
from watchglass.store.migrations import check

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

SUBJECT = "schema watchglass"


async def finding(connection: Connection, dsn: str, settings: Settings) -> Finding:
    try:
        version = await check(connection, dsn)
    except SchemaMissing as error:
        return await _missing(connection, dsn, settings, error)
    except SchemaForbidden as error:
        return Finding(SUBJECT, "error", "The role may not use the schema watchglass.", *_granting(error))
    except WriterTooOld as error:
        return Finding(SUBJECT, "error", str(error), "Upgrade the package.", "pip install --upgrade watchglass")
    return Finding(SUBJECT, "ok", f"The schema watchglass in {address_of(dsn)} is at version {version}.")


async def _missing(connection: Connection, dsn: str, settings: Settings, error: SchemaMissing) -> Finding:
    """Whoever may make the schema, or bring it up to date, does so when it serves, unless told not to."""
    async with transaction(connection, seconds=4.0, readonly=True):
        standing: Any = await connection.fetchrow(sql.load("migrations")["standing"])
    able = standing["may_create_tables"] if standing["has_schema"] else standing["may_create_schema"]
    state = "is older than this version needs" if error.fields["found"] else "is not there yet"
    if not able:
        return Finding(
            SUBJECT,
            "error",
            f"The schema watchglass {state}, and the role {standing['role']} may not change that.",
            "As an owner of the database, by its URL:",
            f"watchglass migrate --role {standing['role']}",
        )
    if settings.migrations == "auto":
        return Finding(
            SUBJECT, "ok", f"The schema watchglass {state}; the service brings it up to date when it serves."
        )
    remedy = "Make it, or set WATCHGLASS_MIGRATIONS=auto."
    return Finding(SUBJECT, "error", f"The schema watchglass {state}; nothing is kept.", remedy, "watchglass migrate")


def _granting(error: SchemaForbidden) -> tuple[str, str]:
    return "As an owner of the database:", str(error.fields["statement"])
