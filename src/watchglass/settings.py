"""Every knob: one typed, documented, frozen `Settings`. The environment is read here and nowhere else."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from watchglass.complaints import explain

PREFIX = "WATCHGLASS_"


def _variables(name: str, *more: str) -> AliasChoices:
    return AliasChoices(name, PREFIX + name.upper(), *more)


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value else ""


def _refuse(url: SecretStr | None, variable: str, expected: str) -> None:
    """Refuse a URL that Watchglass was given; overlook one of the service's own that names another database."""
    if url is not None and _secret(url) != os.environ.get(variable):
        raise ValueError(expected)


class Settings(BaseSettings):
    """Settings of one process. Each is an argument, or the environment variable WATCHGLASS_<NAME>.

    Variables of OpenTelemetry, and DATABASE_URL and REDIS_URL, are used where no variable of Watchglass's own is set.
    Raises `SettingsError`, naming the variable and what it allows, or `UnknownSetting`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        env_ignore_empty=True,
        validate_default=False,
    )

    enabled: bool = Field(
        True, description="Whether Watchglass does anything at all. OTEL_SDK_DISABLED=true turns it off."
    )
    service_name: str = Field(
        "unknown_service",
        validation_alias=_variables("service_name", "OTEL_SERVICE_NAME"),
        min_length=1,
        max_length=200,
        description="The service's name; OTEL_SERVICE_NAME, or service.name in OTEL_RESOURCE_ATTRIBUTES.",
    )
    resource_attributes: str = Field(
        "",
        validation_alias=_variables("resource_attributes", "OTEL_RESOURCE_ATTRIBUTES"),
        description="OTEL_RESOURCE_ATTRIBUTES: key=value,key=value; service.version marks a deploy.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="Where telemetry is kept, postgresql://user:password@host:port/database, if not in the "
        "service's own database.",
    )
    app_database_url: SecretStr | None = Field(
        None,
        validation_alias=_variables("app_database_url", "DATABASE_URL"),
        description="The service's own database, whose state is shown and where telemetry is kept unless "
        "database_url is set. Falls back to DATABASE_URL.",
    )
    redis_url: SecretStr | None = Field(
        None,
        validation_alias=_variables("redis_url", "REDIS_URL"),
        description="The service's Redis or Valkey, whose state is shown. Falls back to REDIS_URL.",
    )
    migrations: Literal["auto", "check", "off"] = Field(
        "auto",
        description="auto: bring the schema up to date once the process serves; check: only say what is missing; off.",
    )
    flush_interval: float = Field(10.0, ge=1, le=300, description="Seconds between two flushes of metrics.")
    records_interval: float = Field(0.5, ge=0.1, le=60, description="Seconds between two flushes of logs and traces.")
    shutdown_timeout: float = Field(
        5.0, ge=0, le=60, description="Seconds a stopping process may spend on its last flush."
    )
    max_series: int = Field(
        10_000, ge=100, le=1_000_000, description="Series held in memory; more go to an overflow series."
    )
    series_idle_minutes: float = Field(
        60, ge=1, le=10_080, description="Minutes after which a series that nothing is recorded to leaves memory."
    )
    queue_size: int = Field(
        20_000, ge=100, le=1_000_000, description="Log lines and traces held in memory until written."
    )
    retention_10s_hours: int = Field(48, ge=2, le=720, description="Hours metrics are kept in steps of ten seconds.")
    retention_1m_days: int = Field(8, ge=1, le=90, description="Days metrics are kept in steps of a minute.")
    retention_metrics_days: int = Field(30, ge=1, le=400, description="Days metrics are kept in steps of an hour.")
    retention_1d_days: int = Field(400, ge=1, le=4000, description="Days metrics are kept in steps of a day.")
    retention_records_days: int = Field(7, ge=1, le=90, description="Days logs and traces are kept.")
    state_dir: str = Field(
        "",
        description="Folder for what outlives a process: telemetry that could not be written yet, and what the workers "
        "of a host share for /metrics. Without it, watchglass-<user id> in the system's temporary folder.",
    )
    spool_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        le=2**40,
        description="Bytes on disk, per process, of telemetry that cannot be written while the store is away. 0: none.",
    )
    instrumentation: Literal["watchglass", "contrib"] = Field(
        "watchglass",
        description="watchglass: spans by our own instrumentation. contrib: by OpenTelemetry's packages for FastAPI, "
        "asyncpg and Redis (extra contrib), at their price. Measurements are ours in both.",
    )
    slow_statement_seconds: float = Field(1.0, gt=0, le=3600, description="A statement that takes longer is slow.")
    slow_request_seconds: float = Field(
        1.0, gt=0, le=3600, description="The trace of a request that takes longer is kept."
    )
    blocked_loop_seconds: float = Field(
        0.2, ge=0.05, le=3600, description="What holds the event loop for longer is logged, with the stack of who does."
    )
    traces_per_minute: int = Field(200, ge=0, le=10_000, description="Traces kept a minute, per process.")
    capture_logs: bool = Field(True, description="Keep log records in the store.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The lowest level of log records kept."
    )
    excluded_urls: str = Field(
        "",
        validation_alias=_variables("excluded_urls", "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS"),
        description="Comma-separated regular expressions; requests whose URL one of them finds are not recorded.",
    )
    path_prefix: str = Field("", description="Moves every route of Watchglass under this path, for example /ops.")
    public_url: str = Field("", description="The address under which people reach the service; used in printed links.")
    secret_key: SecretStr | None = Field(
        None, min_length=16, description="Signs session cookies. Without it one is made and kept in the store."
    )
    session_hours: float = Field(168, gt=0, le=8760, description="Hours a login lasts.")
    metrics_token: SecretStr | None = Field(None, description="Bearer token for /metrics; open without.")
    record_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Bearer token with which a program may record metrics by hand, and nothing else.",
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise explain(error, type(self).model_fields, PREFIX) from None

    @field_validator("database_url", "app_database_url", mode="after")
    @classmethod
    def _postgresql_url(cls, url: SecretStr | None) -> SecretStr | None:
        """Accept SQLAlchemy's spelling (postgresql+asyncpg://) too."""
        scheme, separator, rest = _secret(url).partition("://")
        if separator and scheme.split("+")[0] in ("postgresql", "postgres"):
            return SecretStr(f"postgresql://{rest}")
        _refuse(url, "DATABASE_URL", "postgresql://user:password@host:port/database")
        return None

    @field_validator("redis_url", mode="after")
    @classmethod
    def _redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        if _secret(url).startswith(("redis://", "rediss://", "unix://", "valkey://", "valkeys://")):
            return url
        _refuse(url, "REDIS_URL", "redis://user:password@host:port/0")
        return None

    @field_validator("path_prefix", mode="after")
    @classmethod
    def _prefix(cls, prefix: str) -> str:
        if prefix and (not prefix.startswith("/") or any(c in prefix for c in "{}?# ")):
            raise ValueError("a path that begins with /, for example /ops")
        return prefix.rstrip("/")

    @cached_property
    def resource(self) -> dict[str, str]:
        """The resource attributes as OTEL_RESOURCE_ATTRIBUTES spells them, percent-decoded."""
        pairs = (item.partition("=") for item in self.resource_attributes.split(",") if "=" in item)
        return {name.strip(): unquote(value.strip()) for name, _, value in pairs}

    @property
    def service(self) -> str:
        """The service's name, from whichever variable names it."""
        if self.service_name != "unknown_service":
            return self.service_name
        return self.resource.get("service.name", self.service_name)

    @property
    def service_version(self) -> str:
        return self.resource.get("service.version", "")

    @property
    def host_name(self) -> str:
        return self.resource.get("host.name") or socket.gethostname()

    @property
    def store_dsn(self) -> str | None:
        """The URL of the store's database, or None."""
        return _secret(self.database_url or self.app_database_url) or None

    @property
    def application_dsn(self) -> str | None:
        """The URL of the service's own database, or None."""
        return _secret(self.app_database_url) or self.store_dsn

    @property
    def state_folder(self) -> Path:
        """Where `state_dir` is; not made yet."""
        user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
        return Path(self.state_dir or Path(tempfile.gettempdir()) / f"watchglass-{user}").absolute()

    @property
    def redis_dsn(self) -> str | None:
        """The URL of the service's Redis, or None."""
        return _secret(self.redis_url) or None

    @property
    def redaction_key(self) -> bytes:
        """The key under which addresses are hashed: the same in every process that writes to one store."""
        secret = _secret(self.secret_key) or self.store_dsn or ""
        return hashlib.blake2b(secret.encode(), digest_size=16, person=b"redaction").digest()

    @property
    def opentelemetry(self) -> dict[str, str]:
        """The variables of OpenTelemetry's that decide what leaves by OTLP, as they are set now."""
        return {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}

    @property
    def kept(self) -> tuple[tuple[int, float], ...]:
        """For each width of rows in seconds, finest first, how many seconds metrics are kept in it."""
        return (
            (10, self.retention_10s_hours * 3600.0),
            (60, self.retention_1m_days * 86_400.0),
            (3600, self.retention_metrics_days * 86_400.0),
            (86_400, self.retention_1d_days * 86_400.0),
        )

    @property
    def active(self) -> bool:
        """Whether to observe: enabled, and the OpenTelemetry SDK not disabled."""
        return self.enabled and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
