"""The service's own database as it is met elsewhere: a replica, behind a pool, as a role that owns nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from support.databases import execute, fresh_database, run
from support.many_tables import MANY_TABLES
from support.pgbouncer import PgBouncer
from support.programs import need
from support.standby import Standby
from watchglass.demo.servers import PostgreSQL
from watchglass.store.explain_role import make, url_of


@dataclass(frozen=True)
class Observed:
    """`url` is the service's, `explain_url` that of the role that may only read. `owner_url` is where it is changed."""

    url: str
    explain_url: str
    owner_url: str
    superuser_url: str
    settle: Callable[[], None] = field(default=lambda: None)
    is_crowded: bool = False

    def change(self, *statements: str) -> None:
        """As the owner, until it is seen where it is observed."""
        execute(self.owner_url, *statements)
        self.settle()


@contextmanager
def _database(server: PostgreSQL) -> Iterator[Observed]:
    role = f"explain_{secrets.token_hex(4)}"
    with fresh_database(server) as url:
        superuser = f"{server.superuser_url.rpartition('/')[0]}/{url.rpartition('/')[2]}"
        run(make(superuser, role, "x"))
        yield Observed(url, url_of(url, role, "x"), url, superuser)
        execute(superuser, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@contextmanager
def replica(server: PostgreSQL) -> Iterator[Observed]:
    """Of a primary of its own."""
    with (
        PostgreSQL(installation=server.installation) as primary,
        Standby(primary) as standby,
        _database(primary) as there,
    ):
        standby.catch_up()
        yield Observed(
            standby.of(there.url),
            standby.of(there.explain_url),
            there.url,
            standby.of(there.superuser_url),
            standby.catch_up,
        )


@contextmanager
def pooled(server: PostgreSQL) -> Iterator[Observed]:
    """By a pgbouncer that pools transactions."""
    with (
        _database(server) as direct,
        PgBouncer(need("pgbouncer", package="pgbouncer"), direct.url, others=[direct.explain_url]) as pgbouncer,
    ):
        explaining = pgbouncer.of(urlsplit(direct.explain_url))
        yield Observed(pgbouncer.url, explaining, direct.url, direct.superuser_url)


@contextmanager
def owned_by_another(server: PostgreSQL) -> Iterator[Observed]:
    """As a role that may read and write the tables and is nothing else: not the owner, and without pg_monitor."""
    role = f"clerk_{secrets.token_hex(4)}"
    with _database(server) as owned:
        granted = "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES"
        execute(
            owned.superuser_url,
            f"CREATE ROLE {role} LOGIN PASSWORD 'x'",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            "GRANT CREATE ON SCHEMA public TO app",
        )
        execute(owned.url, f"ALTER DEFAULT PRIVILEGES {granted} TO {role}")
        yield Observed(url_of(owned.url, role, "x"), owned.explain_url, owned.url, owned.superuser_url)
        execute(owned.superuser_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@contextmanager
def crowded(server: PostgreSQL) -> Iterator[Observed]:
    """With thousands of tables beside its own."""
    with _database(server) as observed:
        execute(observed.url, MANY_TABLES)
        yield replace(observed, is_crowded=True)


KINDS = {"a replica": replica, "a pool": pooled, "owned by another": owned_by_another, "crowded": crowded}
