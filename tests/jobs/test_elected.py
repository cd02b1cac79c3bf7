"""One process of a service does its periodic work, and what it finds reaches all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.databases import execute, run
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs import elected, statements
from watchglass.jobs.elected import ElectedJobs
from watchglass.records import Instance
from watchglass.settings import Settings
from watchglass.store.database import Database
from watchglass.store.reader import Fact, Reader
from watchglass.store.statements import Known
from watchglass.store.statements import known as known_in

Process = Callable[..., tuple[Pipeline, ElectedJobs, Recorder]]


@pytest.fixture
def process(store_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    monkeypatch.setattr(elected, "SNAPSHOT_SECONDS", 0.2)
    with ExitStack() as stack:

        def start(service: str = "shop") -> tuple[Pipeline, ElectedJobs, Recorder]:
            settings = Settings(app_database_url=store_url, redis_url=redis_url, service_name=service)
            recorder = Recorder()
            instance = Instance(service, "", "", os.urandom(8).hex(), "host", os.getpid(), time.time())
            pipeline = Pipeline(settings, instance, recorder.collect)
            jobs = ElectedJobs(settings, pipeline, recorder)
            pipeline.run_on_loop(jobs.run)
            pipeline.start()
            stack.callback(pipeline.stop)
            return pipeline, jobs, recorder

        yield start


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def facts(dsn: str, service: str = "shop") -> dict[str, Fact]:
    async def ask() -> dict[str, Fact]:
        reader = Reader(dsn, service=service)
        try:
            return await reader.facts()
        finally:
            await reader.close()

    return run(ask())


def noted(dsn: str, fingerprint: str) -> dict[str, Known]:
    async def ask() -> dict[str, Known]:
        database = Database(dsn)
        try:
            return await known_in(database, "shop", [fingerprint])
        finally:
            await database.close()

    return run(ask())


def has(recorder: Recorder, meter: meters.Meter) -> bool:
    return any(state.meter is meter for state in recorder.collect())


def test_one_of_several_is_elected_and_the_next_when_it_stops(process: Process) -> None:
    started = [process() for _ in range(3)]
    until(lambda: any(jobs.elected for _, jobs, _ in started))
    [(pipeline, first, recorder)] = [one for one in started if one[1].elected]
    until(lambda: has(recorder, meters.REDIS_MEMORY_USED) and has(recorder, meters.POSTGRESQL_DB_SIZE))
    others = [one for one in started if one[1] is not first]
    assert not any(has(other[2], meters.REDIS_MEMORY_USED) for other in others)
    pipeline.stop()
    assert not has(recorder, meters.REDIS_MEMORY_USED)
    until(lambda: any(has(other[2], meters.REDIS_MEMORY_USED) for other in others))
    assert sum(jobs.elected for _, jobs, _ in started) == 1


def test_each_service_elects_its_own(process: Process) -> None:
    shop, billing = process("shop"), process("billing")
    until(lambda: shop[1].elected and billing[1].elected)


def test_what_was_found_reaches_every_process(process: Process, store_url: str) -> None:
    process()
    until(lambda: "redis" in facts(store_url))
    found = facts(store_url)
    assert found["redis"].value["engine"].split()[0] in ("Redis", "Valkey")
    assert found["postgresql"].value["problem"] is None
    assert time.time() - found["postgresql"].updated_at < 60
    assert facts(store_url, "billing") == {}


def test_what_postgresql_counts_of_statements_reaches_the_store(
    process: Process, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "EVERY", 0.2)
    _, _, recorder = process()
    until(lambda: facts(store_url).get("statements", Fact({"problem": "not yet"}, 0)).value["problem"] is None)
    asked = "SELECT count(*) FROM pg_class WHERE relname = $1"
    fingerprint = of_statement(asked)

    def is_noted() -> bool:
        execute(store_url, "SELECT count(*) FROM pg_class WHERE relname = 'x'")
        return fingerprint in noted(store_url, fingerprint)

    until(is_noted)
    assert any(state.values == (fingerprint,) for state in recorder.collect() if state.meter is meters.STATEMENT_CALLS)
