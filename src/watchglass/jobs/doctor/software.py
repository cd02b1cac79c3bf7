"""Which packages were found."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from watchglass.jobs.doctor.findings import Finding
from watchglass.settings import Settings

_PACKAGES = {
    "FastAPI": "fastapi",
    "asyncpg": "asyncpg",
    "OpenTelemetry SDK": "opentelemetry-sdk",
    "redis-py": "redis",
}


def findings(settings: Settings) -> list[Finding]:
    found = {subject: _version(package) for subject, package in _PACKAGES.items()}
    if found["redis-py"] is None and settings.redis_dsn is None:
        del found["redis-py"]  # a service without Redis needs no client for it
    return [_detected(subject, number) for subject, number in found.items()]


def _detected(subject: str, number: str | None) -> Finding:
    if number is not None:
        return Finding(subject, "ok", f"{subject} {number}.")
    return Finding(
        subject,
        "warning",
        f"The package {_PACKAGES[subject]} is not installed.",
        "Install it.",
        f"pip install '{'watchglass[redis]' if subject == 'redis-py' else _PACKAGES[subject]}'",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
