"""What can be set: each knob with its type, its bounds and what it does. `settings` adds what follows from them."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings

PREFIX = "WATCHGLASS_"


def _variables(name: str, *more: str) -> AliasChoices:
    return AliasChoices(name, PREFIX + name.upper(), *more)


class Knobs(BaseSettings):
    """The fields of `Settings`."""

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
    explain_database_url: SecretStr | None = Field(
        None,
        description="The service's own database as a role that may only read, which `watchglass migrate --explain-role "
        "NAME` makes: its plans are asked for as this role, and EXPLAIN ANALYZE needs it.",
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
    retention_logs_bytes: int = Field(
        2 * 1024**3,
        ge=16 * 1024**2,
        le=2**50,
        description="Bytes of log lines kept, indexes included: where there are more, the oldest hours go.",
    )
    retention_traces_bytes: int = Field(1024**3, ge=16 * 1024**2, le=2**50, description="The same of traces.")
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
    trace_bytes_per_minute: int = Field(
        32 * 1024 * 1024,
        ge=0,
        le=2**40,
        description="Memory of the traces kept a minute, per process, about, in bytes.",
    )
    random_trace_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of all traces that is kept at random, at most 60 a minute: chosen by the trace id, so that "
        "services keep the same ones.",
    )
    black_box_seconds: float = Field(
        180,
        ge=0,
        le=3600,
        description="Seconds of requests and log lines in full detail that the black box holds. 0: none.",
    )
    black_box_bytes: int = Field(
        16 * 1024 * 1024,
        ge=2**20,
        le=2**30,
        description="Memory that the black box of a process takes, about, in bytes.",
    )
    retention_incidents_days: int = Field(90, ge=1, le=4000, description="Days frozen black boxes are kept.")
    max_incidents: int = Field(
        500, ge=1, le=100_000, description="Frozen black boxes that a service keeps at the most."
    )
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
