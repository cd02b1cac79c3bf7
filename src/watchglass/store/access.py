"""Who may look: the secret that signs sessions, one-time login tokens, and the record of what was done."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from watchglass import sql
from watchglass.store.database import Database
from watchglass.store.text import storable, storable_json

Role = Literal["viewer", "admin"]

LOGIN_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Login:
    """Who a login token lets in."""

    username: str
    role: Role


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that someone did, at `time` (unix seconds)."""

    time: float
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


class Access:
    """Kept in the store, so that every process of the service agrees. Errors are those of `Database.fetch`."""

    def __init__(self, database: Database | str) -> None:
        self.database = Database(database) if isinstance(database, str) else database

    async def secret(self, name: str = "session") -> str:
        """The secret of that name, the same for every process; made by whichever asks first."""
        queries = sql.load("access")
        await self.database.fetch(queries["make_secret"], name, secrets.token_urlsafe(32), readonly=False)
        rows = await self.database.fetch(queries["secret"], name)
        value: str = rows[0]["value"]
        return value

    async def new_login_token(
        self, *, username: str = "admin", role: Role = "admin", seconds: float = LOGIN_SECONDS
    ) -> str:
        """A token that lets one browser in, once, within that time. Only its hash is kept."""
        token = secrets.token_urlsafe(24)
        await self.database.fetch(
            sql.load("access")["add_login_token"], _hash(token), storable(username), role, seconds, readonly=False
        )
        return token

    async def use_login_token(self, token: str) -> Login | None:
        """Whom the token lets in; None when it is unknown, expired or was used before."""
        rows = await self.database.fetch(sql.load("access")["use_login_token"], _hash(token), readonly=False)
        return Login(rows[0]["username"], rows[0]["role"]) if rows else None

    async def claim_first_login(self, holder: str) -> bool:
        """Whether nobody has logged in yet, and no other process was told so within the last minute."""
        queries = sql.load("access")
        return bool(await self.database.fetch(queries["claim_first_login"], storable(holder), readonly=False))

    async def audit(self, actor: str, action: str, target: str = "", detail: Mapping[str, Any] | None = None) -> None:
        """Note who did what to what."""
        values = (storable(actor), storable(action), storable(target), storable_json(dict(detail or {})))
        await self.database.fetch(sql.load("access")["add_audit"], *values, readonly=False)

    async def ended_sessions(self, seconds: float) -> set[str]:
        """The sessions that were noted as ended (`session` of an audited "logout") within so many seconds."""
        rows = await self.database.fetch(sql.load("access")["ended_sessions"], seconds)
        return {row["session"] for row in rows}

    async def audit_entries(self, limit: int = 100) -> list[AuditEntry]:
        """What was done, newest first."""
        rows = await self.database.fetch(sql.load("access")["audit"], limit)
        return [AuditEntry(**{**row, "detail": json.loads(row["detail"])}) for row in rows]

    async def close(self) -> None:
        """Close the connection; the next question opens another."""
        await self.database.close()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
