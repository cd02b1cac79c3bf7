"""Settings come from arguments and the environment, and say what is wrong with either."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from watchglass.errors import SettingsError, UnknownSetting
from watchglass.settings import Settings


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"WATCHGLASS_{name.upper()}", raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("WATCHGLASS_FLUSH_INTERVAL", "0", "from 1 to 300"),
        ("WATCHGLASS_FLUSH_INTERVAL", "often", "from 1 to 300"),
        ("WATCHGLASS_RECORDS_INTERVAL", "61", "from 0.1 to 60"),
        ("WATCHGLASS_SLOW_STATEMENT_SECONDS", "0", "more than 0 to 3600"),
        ("WATCHGLASS_MIGRATIONS", "yes", "'auto', 'check' or 'off'"),
        ("WATCHGLASS_ENABLED", "perhaps", "true or false"),
        ("WATCHGLASS_PATH_PREFIX", "ops", "begins with /"),
        ("WATCHGLASS_SECRET_KEY", "short", "at least 16 characters"),
        ("WATCHGLASS_DATABASE_URL", "mysql://u:hunter2@h/d", "postgresql://"),
        ("WATCHGLASS_REDIS_URL", "http://u:hunter2@h", "redis://"),
    ],
)
def test_a_value_out_of_range_names_the_variable_and_what_it_allows(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        Settings()
    assert variable in str(raised.value)
    assert says in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_argument_out_of_range_is_named_by_its_variable() -> None:
    with pytest.raises(SettingsError, match="WATCHGLASS_QUEUE_SIZE is 1"):
        Settings(queue_size=1)


def test_an_argument_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownSetting, match="no setting flush_intervall; the nearest is flush_interval"):
        Settings(flush_intervall=3)


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().flush_interval = 3  # type: ignore[misc]


def test_the_service_s_own_database_keeps_the_telemetry_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://u:p@h/shop")
    assert Settings().store_dsn == Settings().application_dsn == "postgresql://u:p@h/shop"
    monkeypatch.setenv("WATCHGLASS_DATABASE_URL", "postgres://u:p@h/telemetry")
    assert Settings().store_dsn == "postgresql://u:p@h/telemetry"
    assert Settings().application_dsn == "postgresql://u:p@h/shop"


def test_a_service_on_another_database_still_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///app.db")
    monkeypatch.setenv("REDIS_URL", "memory://")
    settings = Settings()
    assert settings.store_dsn is None
    assert settings.redis_dsn is None


def test_secrets_are_not_shown() -> None:
    settings = Settings(database_url="postgresql://u:hunter2@h/d", secret_key="hunter2hunter2hunter2")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


def test_the_service_is_named_by_opentelemetry_s_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,service.version=1%2E2,team=a=b")
    assert Settings().service == "shop"
    assert Settings().service_version == "1.2"
    assert Settings().resource["team"] == "a=b"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "till")
    assert Settings().service == "till"


def test_disabling_the_sdk_disables_watchglass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().active
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert not Settings().active


def test_addresses_are_hashed_under_a_key_that_is_never_a_known_one() -> None:
    store = {"database_url": "postgresql://app:x@db/shop"}

    assert Settings().redaction_key == Settings(service_name="other").redaction_key
    assert Settings(**store).redaction_key == Settings(**store).redaction_key
    assert len({Settings().redaction_key, Settings(**store).redaction_key}) == 2
    alone = "from watchglass import Settings; print(Settings().redaction_key.hex())"
    keys = {subprocess.run([sys.executable, "-c", alone], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(keys) == 2
