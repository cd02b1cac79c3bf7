"""What the question about PostgreSQL's sessions and locks answers, and what ending one does."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime

from watchglass.api.models import Model


class Server(Model):
    """The server of the service's database. `started` is None where the role may not know."""

    version: str
    standby: bool
    started: datetime | None
    database: str


class Role(Model):
    """As whom PostgreSQL was asked. `would_add` is what pg_monitor would let it see, None where it sees all."""

    name: str
    sees_all: bool
    would_add: str | None


class StateCount(Model):
    """Connections of clients in a state; "unknown" where the role may not see it."""

    state: str
    count: int


class ApplicationCount(Model):
    """Connections of clients that gave this name, of one user; None where nobody said."""

    application: str | None
    user: str | None
    count: int


class Connections(Model):
    """Connections of clients of the whole server against its limit. `limit` counts the `reserved` ones.

    `ours` of the `used` are Watchglass's own; `by_state` has the others. `reserved` are those kept back for superusers
    and, from version 16 on, for pg_use_reserved_connections.
    """

    limit: int
    reserved: int
    used: int
    ours: int
    by_state: list[StateCount]
    by_application: list[ApplicationCount]


class Session(Model):
    """One server process, and what the service's side knows of it.

    `seconds` in its state, of an active one since its statement began; None where the role may not see it. `wait` is
    the type and name of what it waits for. `statement` is the last one where it is not active; its literals are shapes.
    `relation` is what it waits to lock. `waits_for` are the processes that block it. `trace_id`, `endpoint` and
    `instance` are those of the request that uses its connection, None where no process of the service says so. `ours`:
    it is Watchglass's own. `why_not` says why it may not be ended from here, None where an admin may try.
    """

    pid: int
    backend_start: datetime | None
    user: str | None
    application: str | None
    client: str | None
    state: str | None
    seconds: float | None
    transaction_seconds: float | None
    wait: str | None
    statement: str | None
    fingerprint: str | None
    relation: str | None
    waits_for: list[int]
    trace_id: str | None
    endpoint: str | None
    request_ended: bool
    service: str | None
    instance: str | None
    host: str | None
    process_pid: int | None
    ours: bool
    why_not: str | None


class LockNode(Model):
    """A session with those that wait for it, each beneath the session that blocks it, the longest waiting first.

    `mode` and `on` are the lock that it waits for, None for the root, which waits for nobody (`granted`).
    `seconds` is for how long it waits. `waiters_total` counts all that wait for it or for those beneath it. A session
    stands beneath the one nearest to a root that it waits for, and once more, `cut`, beneath each other root; so does
    one that closes a circle. `cut` says that what waits for it is shown elsewhere, or would be too deep.
    """

    session: Session
    mode: str | None
    on: str | None
    granted: bool
    seconds: float | None
    waiters: list[LockNode]
    waiters_total: int
    cut: bool


class Pool(Model):
    """A pool of connections of one process of the service. Its figures are of the last flush.

    `wait_p95_seconds` of acquiring, and `timeouts`, are of the last `pool_window_seconds` of the answer; the former is
    None where none was acquired. What the process does not say is None.
    """

    name: str
    size: int | None
    max: int | None
    idle: int | None
    used: int | None
    waiting: int | None
    wait_p95_seconds: float | None
    timeouts: float
    instance: str
    host: str | None = None
    process_pid: int | None = None


class ActivityAnswer(Model):
    """PostgreSQL now. Lists are of at most 100 sessions, the longest first; `left_off` counts the others of each.

    `running` are active and do not wait for a lock, `waiting` wait for one, `blocking` are waited for. `server`, `role`
    and `connections` are None where PostgreSQL does not answer. `told` says what is missing and why, a sentence each.
    """

    at: datetime
    sentence: str
    server: Server | None
    role: Role | None
    connections: Connections | None
    running: list[Session]
    waiting: list[Session]
    blocking: list[Session]
    idle_in_transaction: list[Session]
    left_off: dict[str, int]
    locks: list[LockNode]
    pool: list[Pool]
    pool_window_seconds: int
    told: list[str]


class EndSession(Model):
    """Which session is to be ended: the one that began then, so that no other gets it that has its number by now."""

    backend_start: AwareDatetime
    confirm: Literal[True]


class EndedAnswer(Model):
    """Whether it was asked to end, and what was found, a sentence."""

    done: bool
    told: str
