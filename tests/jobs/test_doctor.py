"""The doctor, on real servers in good and in bad shape."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from opentelemetry.sdk.metrics import MeterProvider

from support.databases import execute
from support.silent import silent_server
from watchglass.cli import main
from watchglass.demo.servers import PostgreSQL, Redis
from watchglass.jobs.doctor import Finding, diagnose
from watchglass.settings import Settings


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def settings(**values: object) -> Settings:
    return Settings(**values)


async def test_nothing_set_is_said_without_an_error_being_raised() -> None:
    found = by_subject(await diagnose(settings()))
    assert found["PostgreSQL"].state == "error"
    assert found["PostgreSQL"].command == "DATABASE_URL=postgresql://user:password@host:5432/database"
    assert found["Redis"].state == "missing"
    assert found["service.name"].state == found["service.version"].state == "missing"
    assert found["FastAPI"].state == found["asyncpg"].state == "ok"


async def test_where_telemetry_goes_beside_the_store_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    found = by_subject(await diagnose(settings()))
    assert found["OTLP, traces"] == Finding("OTLP, traces", "ok", "Traces go by OTLP, http/protobuf.")
    assert found["OTLP, logs"].state == "warning"
    assert "set OTEL_EXPORTER_OTLP_PROTOCOL to grpc or http/protobuf" in (found["OTLP, logs"].remedy or "")
    assert "OTLP, metrics" not in found
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = by_subject(await diagnose(settings()))
    assert "pip install 'watchglass[otlp]'" in (found["OTLP, traces"].remedy or "")


async def test_an_sdk_that_does_not_tell_what_it_measures_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(MeterProvider, "add_metric_reader"):
        assert "MeterProvider" not in by_subject(await diagnose(settings()))
        monkeypatch.delattr(MeterProvider, "add_metric_reader")
    assert by_subject(await diagnose(settings()))["MeterProvider"].state == "missing"


async def test_an_ordinary_role_on_a_fresh_database(database_url: str, redis_url: str) -> None:
    found = by_subject(await diagnose(settings(app_database_url=database_url, redis_url=redis_url)))
    assert found["PostgreSQL"].state == "ok"
    assert "/test_" in found["PostgreSQL"].sentence
    assert found["pg_stat_statements"].state == "ok"
    assert (found["pg_monitor"].state, found["pg_monitor"].command) == ("missing", "GRANT pg_monitor TO app;")
    assert found["hypopg"].state == "missing"
    assert (found["pg_trgm"].state, found["pg_trgm"].command) == ("missing", "CREATE EXTENSION pg_trgm;")
    assert found["schema watchglass"].state == "ok"
    assert "when it serves" in found["schema watchglass"].sentence
    assert found["Redis"].state == found["maxmemory"].state == "ok"


async def test_what_it_says_to_run_makes_it_content(
    database_url: str, redis_url: str, postgres_server: PostgreSQL
) -> None:
    """Each statement it gives is run as it says, and is not asked for again."""
    owner = postgres_server.superuser_url.rpartition("/")[0] + "/" + database_url.rpartition("/")[2]
    execute(owner, "DROP EXTENSION pg_stat_statements")
    before = by_subject(await diagnose(settings(app_database_url=database_url)))
    assert before["pg_stat_statements"].state == "warning"
    for subject in ("pg_stat_statements", "pg_monitor", "pg_trgm"):
        command = before[subject].command
        assert command is not None
        execute(owner, command)
    try:
        after = by_subject(await diagnose(settings(app_database_url=database_url)))
    finally:
        execute(owner, "REVOKE pg_monitor FROM app")
    assert [after[subject].state for subject in ("pg_stat_statements", "pg_monitor", "pg_trgm")] == ["ok"] * 3


async def test_the_schema_is_told_apart_current_missing_and_out_of_reach(
    store_url: str, database_url: str, postgres_server: PostgreSQL
) -> None:
    current = by_subject(await diagnose(settings(app_database_url=store_url)))["schema watchglass"]
    assert "is at version" in current.sentence
    unmade = settings(app_database_url=database_url, migrations="check")
    missing = by_subject(await diagnose(unmade))["schema watchglass"]
    assert (missing.state, missing.command) == ("error", "watchglass migrate")
    name = database_url.rpartition("/")[2]
    execute(postgres_server.superuser_url, f"ALTER DATABASE {name} OWNER TO postgres")
    forbidden = by_subject(await diagnose(settings(app_database_url=database_url)))["schema watchglass"]
    assert (forbidden.state, forbidden.command) == ("error", "watchglass migrate --role app")


async def test_a_store_elsewhere_is_looked_at_too(database_url: str, store_url: str) -> None:
    findings = await diagnose(settings(app_database_url=database_url, database_url=store_url))
    found = by_subject(findings)
    assert found["The telemetry's PostgreSQL"].state == "ok"
    assert store_url.rpartition("/")[2] in found["schema watchglass"].sentence
    assert [finding.subject for finding in findings].count("pg_stat_statements") == 1


@pytest.mark.parametrize(
    ("change", "reason", "remedy"),
    [
        (lambda url: url.replace("@", "SECRET@"), "the password of the role app is wrong", "Correct the password"),
        (lambda url: url.rpartition("/")[0] + "/absent", "there is no database absent", "Create the database"),
        (lambda url: url.replace("127.0.0.1", "nowhere.invalid"), "nowhere.invalid is unknown", "Correct the host"),
        (lambda url: "postgresql://app:SECRET@127.0.0.1:1/app", "nothing listens there", "Start PostgreSQL there"),
    ],
)
async def test_a_database_that_cannot_be_used(
    database_url: str, change: Callable[[str], str], reason: str, remedy: str
) -> None:
    findings = await diagnose(settings(app_database_url=change(database_url)))
    found = by_subject(findings)["PostgreSQL"]
    assert found.state == "error"
    assert reason in found.sentence
    assert remedy in (found.remedy or "")
    assert not any("SECRET" in str(finding) for finding in findings)


async def test_a_database_that_is_silent_is_told_to_be() -> None:
    async with silent_server() as silent:
        found = by_subject(await diagnose(settings(app_database_url=silent.url)))["PostgreSQL"]
    assert found.state == "error" and "nothing was heard from it in time" in found.sentence
    assert (found.remedy or "").startswith("See whether it hangs, or what keeps the network from it;")


async def test_a_server_without_pg_stat_statements_is_told_how_to_load_it() -> None:
    with PostgreSQL(settings={"shared_preload_libraries": "auto_explain", "track_io_timing": "off"}) as server:
        hidden = by_subject(await diagnose(settings(app_database_url=server.url)))
        shown = by_subject(await diagnose(settings(app_database_url=server.superuser_url)))
        assert hidden["pg_stat_statements"].state == "warning"
        assert shown["pg_stat_statements"].command == (
            "ALTER SYSTEM SET shared_preload_libraries = auto_explain, pg_stat_statements;"
        )
        for command in (hidden["pg_stat_statements"].command, shown["pg_stat_statements"].command):
            assert command is not None
            execute(server.superuser_url, command)
        assert shown["track_io_timing"].state == "missing"
        assert shown["track_io_timing"].command is not None
        execute(server.superuser_url, *shown["track_io_timing"].command.split("; "))


async def test_the_role_that_explains_is_missing_until_the_command_has_made_it(
    database_url: str, postgres_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = by_subject(await diagnose(settings(app_database_url=database_url)))["explain role"]
    assert (missing.state, missing.command) == ("missing", "watchglass migrate --explain-role watchglass_explain")
    superuser = postgres_server.superuser_url.rpartition("/")[0] + "/" + database_url.rpartition("/")[2]
    monkeypatch.setenv("DATABASE_URL", superuser)
    _, *command = missing.command.split()
    assert await asyncio.to_thread(main, command) == 0
    url = re.search(r"WATCHGLASS_EXPLAIN_DATABASE_URL=(\S+)", capsys.readouterr().out)
    assert url
    try:
        await the_role_is_judged(database_url, superuser, url[1])
    finally:
        execute(superuser, "DROP OWNED BY watchglass_explain", "DROP ROLE watchglass_explain")


async def the_role_is_judged(database_url: str, superuser: str, url: str) -> None:
    async def judged(explain_database_url: str) -> Finding:
        values = {"app_database_url": database_url, "explain_database_url": explain_database_url}
        return by_subject(await diagnose(settings(**values)))["explain role"]

    assert (await judged(url)).state == "ok"
    as_superuser = await judged(superuser)
    assert (as_superuser.state, "a superuser" in as_superuser.sentence) == ("warning", True)
    elsewhere = await judged(superuser.rpartition("/")[0] + "/postgres")
    assert (elsewhere.state, "in the database postgres" in elsewhere.sentence) == ("error", True)
    away = await judged("postgresql://x@127.0.0.1:1/x")
    assert (away.state, "WATCHGLASS_EXPLAIN_DATABASE_URL" in str(away.remedy)) == ("error", True)
    for change, state in (
        ("REVOKE pg_read_all_data FROM watchglass_explain", "missing"),
        ("ALTER ROLE watchglass_explain RESET default_transaction_read_only", "warning"),
    ):
        execute(superuser, change)
        found = await judged(url)
        assert (found.state, found.command is None) == (state, False)
    for _ in range(2):
        execute(superuser, str((await judged(url)).command))
    assert (await judged(url)).state == "ok"


# Redis


@pytest.fixture
def private_redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


async def test_a_redis_without_a_limit_and_one_that_refuses_writes(private_redis: Redis) -> None:
    with redis.Redis.from_url(private_redis.url) as client:
        client.config_set("maxmemory", 0)
        unlimited = by_subject(await diagnose(settings(redis_url=private_redis.url)))
        client.config_set("maxmemory", 50_000_000)
        client.config_set("maxmemory-policy", "noeviction")
        full = by_subject(await diagnose(settings(redis_url=private_redis.url)))
        client.execute_command(*(full["maxmemory-policy"].command or "").split())
        mended = by_subject(await diagnose(settings(redis_url=private_redis.url)))
    assert unlimited["maxmemory"].state == "missing"
    assert full["maxmemory-policy"].state == "warning"
    assert mended["maxmemory"].state == "ok"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://127.0.0.1:1/0", "nothing listens there"),
        ("redis://nowhere.invalid:6379/0", "the host name nowhere.invalid is unknown"),
    ],
)
async def test_a_redis_that_is_not_there(url: str, reason: str) -> None:
    found = by_subject(await diagnose(settings(redis_url=url)))["Redis"]
    assert (found.state, reason in found.sentence) == ("error", True), found


async def test_a_redis_that_wants_another_password_or_allows_no_info(private_redis: Redis) -> None:
    address = f"127.0.0.1:{private_redis.port}/0"
    with redis.Redis.from_url(private_redis.url) as client:
        client.acl_setuser("shut", enabled=True, passwords=["+right"], commands=["+ping"])
        client.acl_setuser("default", enabled=False, reset=True)
    wrong = by_subject(await diagnose(settings(redis_url=f"redis://shut:SECRET@{address}")))["Redis"]
    without = by_subject(await diagnose(settings(redis_url=f"redis://{address}")))["Redis"]
    barred = by_subject(await diagnose(settings(redis_url=f"redis://shut:right@{address}")))["Redis"]
    assert "the user or password is wrong" in wrong.sentence
    assert "SECRET" not in str(wrong)
    assert "the user or password is wrong, or missing" in without.sentence
    assert "may not ask for INFO" in barred.sentence


# Settings and the command


async def test_settings_are_looked_at() -> None:
    set_up = settings(
        service_name="shop", resource_attributes="service.version=2.0", metrics_token="0123456789abcdef", enabled=False
    )
    found = by_subject(await diagnose(set_up, clashes=["/health"]))
    assert found["service.name"].sentence == "The service is shop."
    assert found["service.version"].sentence == "Its version is 2.0."
    assert found["/metrics"].state == "ok"
    assert found["watchglass"].state == "warning"
    assert found["/health"].command == "WATCHGLASS_PATH_PREFIX=/ops"


def test_the_command_ends_with_1_for_what_is_wrong_and_prints_what_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "ERROR    No database is set" in printed
    assert "\n             DATABASE_URL=postgresql://user:password@host:5432/database\n" in printed


def test_the_command_ends_with_0_when_only_notes_are_left(
    store_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"subject", "state", "sentence", "remedy", "command"} == set(findings[0])


def test_the_doctor_is_quick_when_nothing_answers() -> None:
    """An address that swallows packets is given up after some seconds."""
    started = time.monotonic()
    environment = {"DATABASE_URL": "postgresql://a:b@192.0.2.1/x", "REDIS_URL": "redis://192.0.2.1/0"}
    command = [sys.executable, "-c", "import os, sys; os.environ.update(eval(sys.argv[1])); "
               "from watchglass.cli import main; sys.exit(main(['doctor']))", repr(environment)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert time.monotonic() - started < 16
