"""The service's own database may be a replica, behind pgbouncer, another role's, or of 5,000 tables: all is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import httpx
import pytest
import pytest_asyncio

from support.many_tables import TABLES
from support.observed import KINDS, Observed
from support.past import Process, ask, browser, log_in
from support.pipelines import fetch, until
from support.pipelines import process as of_shop
from support.shop_tables import SHOP
from watchglass import meters
from watchglass.analysis.fingerprints import of_statement
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.demo.servers import PostgreSQL
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.slow_captures import SlowCaptures
from watchglass.jobs import advice, statements
from watchglass.jobs.advice import AdviceWatch
from watchglass.jobs.doctor import diagnose
from watchglass.jobs.elected import ElectedJobs
from watchglass.jobs.plans import Plans
from watchglass.jobs.snapshots import Snapshots
from watchglass.jobs.statements import Statements
from watchglass.settings import Settings
from watchglass.store import relations
from watchglass.store.connection import transaction
from watchglass.store.database import Database
from watchglass.store.explain import Explainer

HOUR = 3600.0
TOO_SLOW = "the question was cancelled"
BY_REFERENCE = "SELECT * FROM orders WHERE reference = $1"
INDEX = "CREATE INDEX CONCURRENTLY ON public.orders (reference)"


CROWDED = pytest.param("crowded", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[*(kind for kind in KINDS if kind != "crowded"), CROWDED])
def observed(request: pytest.FixtureRequest, postgres_server: PostgreSQL) -> Iterator[Observed]:
    with KINDS[request.param](postgres_server) as observed:
        observed.change(SHOP, "ANALYZE")
        yield observed


@pytest.fixture
def is_replica(observed: Observed) -> bool:
    return bool(fetch(observed.url, "SELECT pg_is_in_recovery() AS so")[0]["so"])


@pytest.fixture
def settings(observed: Observed, store_url: str) -> Settings:
    """Telemetry is kept elsewhere."""
    return Settings(
        service_name="shop",
        app_database_url=observed.url,
        explain_database_url=observed.explain_url,
        database_url=store_url,
        flush_interval=300,
    )


@pytest_asyncio.fixture
async def api(context: Callable[..., Context], settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    made = context(**settings.model_dump(include={"app_database_url", "explain_database_url", "database_url"}))
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        yield client


async def test_its_statements_are_counted(
    settings: Settings, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "EVERY", 0.0)
    recorder = Recorder()
    job = Statements(settings, recorder)
    client = await asyncpg.connect(observed.url, statement_cache_size=0)
    await client.fetch("SELECT count(*) FROM customers WHERE country = $1", "C1")
    await job.take()
    assert job.facts["statements"]["problem"] is None
    for _ in range(7):
        await client.fetch("SELECT count(*) FROM customers WHERE country = $1", "C1")
    await client.close()
    await job.take()
    calls = {state.values[0]: state.sum for state in recorder.collect() if state.meter is meters.STATEMENT_CALLS}
    assert calls[of_statement("SELECT count(*) FROM customers WHERE country = $1")] == 7


async def test_a_statement_is_planned_with_parameters_and_for_any_and_is_run(observed: Observed) -> None:
    for explainer in (Explainer(observed.url), Explainer(observed.url, observed.explain_url)):
        for arguments in (["R7"], None):
            explained = await explainer.explain(BY_REFERENCE, arguments)
            assert explained.plan is not None, explained
            assert explained.how == ("generic" if arguments is None else "parameters")
    explained = await explainer.explain(BY_REFERENCE, ["R7"], analyze=True)
    assert explained.plan is not None, explained
    assert "Actual Rows" in str(explained.plan)


def test_a_slow_statement_has_its_plan_in_the_store(settings: Settings, observed: Observed, store_url: str) -> None:
    pipeline = Pipeline(settings, of_shop(), list)
    plans = Plans(settings, SlowCaptures(1.0), pipeline)
    pipeline.run_on_loop(plans.run)
    pipeline.start()
    until(lambda: pipeline.status.state == "ok")
    plans.captures.offer(BY_REFERENCE, None, ("R7",), 1.5, observed.url.rpartition("/")[2])
    kept = "SELECT how, plan FROM watchglass.plans"
    until(lambda: bool(fetch(store_url, kept)) or plans.problem is not None)
    assert plans.problem is None
    assert [row["how"] for row in fetch(store_url, kept)] == ["parameters"]
    pipeline.stop(5.0)


def test_the_elected_process_tells_the_others_what_it_found(settings: Settings, store_url: str) -> None:
    pipeline = Pipeline(settings, of_shop(), list)
    pipeline.run_on_loop(ElectedJobs(settings, pipeline, Recorder()).run)
    pipeline.start()
    told = "SELECT name FROM watchglass.facts WHERE value::jsonb ->> 'problem' IS NULL"
    until(lambda: {"postgresql", "statements"} <= {row["name"] for row in fetch(store_url, told)})
    assert pipeline.status.state == "ok"
    pipeline.stop(5.0)


async def test_an_index_is_advised_and_seen_once_it_is_built(
    api: httpx.AsyncClient,
    process: Callable[..., Process],
    settings: Settings,
    observed: Observed,
    store_url: str,
    now: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def act(recorder: Recorder) -> None:
        values = ("postgresql", "SELECT", "SELECT orders", BY_REFERENCE, None, None)
        recorder.histogram(meters.DB_CLIENT_OPERATION_DURATION, values).record(2.0)

    await process(now - HOUR).live(now - HOUR, now, act)
    [slow] = (await ask(api, "/performance/optimize/suggestions"))["statements"]
    [index] = slow["indexes"]
    assert index["statement"] == INDEX, slow

    monkeypatch.setattr(advice, "EVERY", 0.0)
    watch = AdviceWatch(settings)
    store = await asyncpg.connect(store_url)
    observed.change(INDEX)
    try:
        await watch.take(store, transaction)
        assert [row["state"] for row in await store.fetch("SELECT state FROM watchglass.advice")] == ["built"]
    finally:
        observed.change("DROP INDEX orders_reference_idx")
        await watch.forget()
        await store.close()


async def test_a_replica_is_not_asked_for_writes_which_it_does_not_count(observed: Observed, is_replica: bool) -> None:
    database = Database(observed.url)
    facts, _ = await database.ask(lambda fetch: relations.facts(fetch, ["orders"]))
    await database.close()
    assert "orders" in facts.relations
    assert (facts.writes_seconds is None) is is_replica


async def test_its_indexes_are_listed(api: httpx.AsyncClient, observed: Observed, is_replica: bool) -> None:
    answer = await ask(api, "/performance/database/indexes")
    assert answer["indexes"] >= (2 * TABLES if observed.is_crowded else 4)
    assert not answer["more"]
    assert answer["replica"] is is_replica
    assert "replica" in answer["caveat"]


async def test_its_sessions_and_health_are_told(api: httpx.AsyncClient, is_replica: bool) -> None:
    now = await ask(api, "/api/monitoring/postgres/now")
    assert now["server"]["standby"] is is_replica
    assert now["role"]["sees_all"] is False and "pg_monitor" in now["role"]["would_add"]
    assert now["connections"]["used"] > 0
    health = await ask(api, "/api/monitoring/postgres/health")
    checks = {check["name"]: check["sentence"] for check in health["checks"]}
    assert len(checks) == 9
    assert ("his replica" in checks["replication"]) is is_replica
    assert ("on the primary" in checks["autovacuum"]) is is_replica
    assert {check["state"] for check in health["checks"]} <= {"good", "attention", "bad", "unknown"}
    assert TOO_SLOW not in str((now, health))


@pytest.mark.parametrize(
    "path", ["/performance/database/pool", "/performance/database/slow-queries", "/api/monitoring/footprint"]
)
async def test_every_other_question_is_answered(api: httpx.AsyncClient, path: str) -> None:
    assert (await ask(api, path))["sentence"]


async def test_its_figures_are_read(settings: Settings) -> None:
    recorder = Recorder()
    snapshots = Snapshots(settings, recorder)
    await snapshots.take()
    assert snapshots.facts["postgresql"]["problem"] is None
    await snapshots.forget()


async def test_the_doctor_finds_nothing_wrong(settings: Settings, is_replica: bool) -> None:
    found = {finding.subject: finding for finding in await diagnose(settings)}
    assert (found["PostgreSQL"].state, found["explain role"].state) == ("ok", "ok")
    assert ("a replica" in found["PostgreSQL"].sentence) is is_replica
    assert found["pg_stat_statements"].state == "ok"
    assert str(found["pg_monitor"].remedy).startswith("On the primary. As a superuser") is is_replica
    assert [finding.subject for finding in found.values() if finding.state == "error"] == []
