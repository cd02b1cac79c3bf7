"""The periodic work of a service: one of its processes is elected and does it on its pipeline's loop."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from watchglass import sql
from watchglass.errors import WatchglassError
from watchglass.exporters.pipeline import Pipeline
from watchglass.jobs.advice import AdviceWatch
from watchglass.jobs.forgetting import forget
from watchglass.jobs.lease import Lease
from watchglass.jobs.readings import Recording
from watchglass.jobs.retention import limit, maintain
from watchglass.jobs.rollup import roll_up_all
from watchglass.jobs.snapshots import Snapshots
from watchglass.jobs.statements import Statements
from watchglass.jobs.store_size import StoreSize
from watchglass.jobs.text_index import TextIndex
from watchglass.settings import Settings
from watchglass.store.forks import abandon

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

SNAPSHOT_SECONDS = 10.0
MAINTAIN_SECONDS = 600.0
LIMIT_SECONDS = 60.0
_FACTS_SECONDS = 60.0
_RETRY_SECONDS = 1.0


class ElectedJobs:
    """Every process has one; what it does besides asking for the lease, the elected process alone does.

    `run` is for `Pipeline.run_on_loop`.
    """

    def __init__(self, settings: Settings, pipeline: Pipeline, recorder: Recording) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._recorder = recorder
        self._begin()

    def _begin(self) -> None:
        self.snapshots = Snapshots(self._settings, self._recorder)
        self._statements = Statements(self._settings, self._recorder)
        self._size = StoreSize(self._recorder)
        self._text = TextIndex(self._settings)
        self._advice = AdviceWatch(self._settings)
        self._lease = Lease(f"jobs of {self._settings.service}", self._pipeline.instance.instance_id)
        self._written: dict[str, str] = {}
        self._written_at = self._maintained_at = self._limited_at = -inf

    @property
    def elected(self) -> bool:
        """Whether this process does the service's periodic work now."""
        return self._lease.held

    async def run(self) -> None:
        """Work for as long as the pipeline runs, and leave the lease to another at the end."""
        if self._lease.holder != self._pipeline.instance.instance_id:  # in a forked child nothing is the parent's
            abandon((self.snapshots, self._advice))
            self._begin()
        try:
            while True:
                pause = await self._turn()
                await asyncio.sleep(pause)
        finally:
            await self._retire()

    async def _turn(self) -> float:
        """One round, and how long to rest after it."""
        try:
            async with self._pipeline.borrow() as connection:
                await self._lease.renew(connection)
        except WatchglassError:
            if not self._lease.held:
                await self._forget()
            return _RETRY_SECONDS
        if not self._lease.held:
            await self._forget()
            return SNAPSHOT_SECONDS
        await self.snapshots.take()
        seldom = (self._watch_advice, self._maintain, self._limit)
        for work in (self._read_statements, self._roll_up, self._keep_house, *seldom):
            if self._lease.held:  # asked each time: whoever was frozen meanwhile has nothing more to do here
                with suppress(WatchglassError):  # the pipeline's status says it, and the next round tries again
                    await work()
        return SNAPSHOT_SECONDS

    async def _read_statements(self) -> None:
        await self._statements.take()
        async with self._pipeline.borrow() as connection:
            await self._statements.note(connection, self._lease.transaction)

    async def _watch_advice(self) -> None:
        async with self._pipeline.borrow() as connection:
            await self._advice.take(connection, self._lease.transaction)

    async def _roll_up(self) -> None:
        await roll_up_all(self._pipeline.borrow)

    async def _keep_house(self) -> None:
        async with self._pipeline.borrow() as connection:
            await self._write_facts(connection)
            await self._size.read(connection)

    async def _maintain(self) -> None:
        if time.monotonic() - self._maintained_at >= MAINTAIN_SECONDS:
            async with self._pipeline.borrow() as connection:
                await maintain(connection, self._settings, self._lease.transaction)
                await forget(connection, self._settings, self._lease.transaction)
            self._text.begin()
            self._maintained_at = time.monotonic()

    async def _limit(self) -> None:
        """As often as a gigabyte may come, at the most."""
        if time.monotonic() - self._limited_at >= LIMIT_SECONDS:
            async with self._pipeline.borrow() as connection:
                await limit(connection, self._settings, self._lease.transaction)
            self._limited_at = time.monotonic()

    async def _write_facts(self, connection: Connection) -> None:
        """Let every process know what was found, when it is new, and again after a minute."""
        found = self.snapshots.facts | self._statements.facts
        facts = {name: json.dumps(fact) for name, fact in found.items()}
        if facts == self._written and time.monotonic() - self._written_at < _FACTS_SECONDS:
            return
        async with self._lease.transaction(connection, seconds=3.0):
            for name, fact in facts.items():
                await connection.execute(sql.load("store")["set_fact"], self._settings.service, name, fact)
        self._written, self._written_at = facts, time.monotonic()

    async def _forget(self) -> None:
        await self._text.stop()
        await self.snapshots.forget()
        await self._advice.forget()
        self._statements.forget()
        self._size.forget()

    async def _retire(self) -> None:
        await self._forget()
        with suppress(WatchglassError):
            async with self._pipeline.borrow() as connection:
                await self._lease.give_up(connection)
