"""Every knob: one typed, documented, frozen `Settings`. The environment is read here and nowhere else."""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import socket
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from watchglass.complaints import explain
from watchglass.knobs import PREFIX, Knobs

_OF_THIS_PROCESS = secrets.token_hex(16)


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value else ""


def _refuse(url: SecretStr | None, variable: str, expected: str) -> None:
    """Refuse a URL that Watchglass was given; overlook one of the service's own that names another database."""
    if url is not None and _secret(url) != os.environ.get(variable):
        raise ValueError(expected)


class Settings(Knobs):
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

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise explain(error, type(self).model_fields, PREFIX) from None

    @field_validator("database_url", "app_database_url", "explain_database_url", mode="after")
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
    def explain_dsn(self) -> str | None:
        """The URL by which statements are explained as a role that may only read, or None."""
        return _secret(self.explain_database_url) or None

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
        """The key under which addresses are hashed: the same in every process that writes to one store.

        Without a store, and without a secret of its own, it is another in every process: a key that all know is none.
        """
        secret = _secret(self.secret_key) or self.store_dsn or _OF_THIS_PROCESS
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
