"""Who does the periodic work: the process that holds a row with an expiry. It needs no session."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from watchglass import sql
from watchglass.errors import LeaseLost
from watchglass.store.connection import transaction

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

_SECONDS = 3.0


class Lease:
    """Held by at most one process at a time. Expiry is by the server's clock; whoever holds it renews in time."""

    def __init__(
        self, name: str, holder: str, *, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.holder = holder
        self.seconds = seconds
        self.epoch: int | None = None
        self._clock = clock
        self._until = 0.0

    @property
    def held(self) -> bool:
        """Whether it certainly is still ours: a process that was frozen finds out here."""
        return self.epoch is not None and self._clock() < self._until

    async def renew(self, connection: Connection) -> bool:
        """Take it, or take it for longer; False while somebody else holds it."""
        began = self._clock()
        async with transaction(connection, seconds=_SECONDS):
            self.epoch = await connection.fetchval(
                sql.load("leases")["take_lease"], self.name, self.holder, self.seconds
            )
        self._until = began + self.seconds
        return self.held

    @asynccontextmanager
    async def transaction(
        self, connection: Connection, *, seconds: float, lock_seconds: float = 1.0
    ) -> AsyncIterator[None]:
        """A transaction that counts if the lease is ours at its end, whatever froze us in it. Raises `LeaseLost`.

        Only then is the lease locked: a holder that is cut off in the middle keeps nobody from taking over.
        """
        if not self.held:
            raise LeaseLost(name=self.name)
        async with transaction(connection, seconds=seconds, lock_seconds=lock_seconds):
            yield
            query = sql.load("leases")["hold_lease"]
            if not await connection.fetchval(query, self.name, self.holder, self.epoch):
                raise LeaseLost(name=self.name)

    async def give_up(self, connection: Connection) -> None:
        """Let the next one take it at once."""
        epoch, self.epoch = self.epoch, None
        if epoch is not None:
            async with transaction(connection, seconds=_SECONDS):
                await connection.execute(sql.load("leases")["give_up_lease"], self.name, self.holder, epoch)
