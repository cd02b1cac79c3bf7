"""What the settings leave open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchglass.jobs.doctor.findings import Finding
from watchglass.settings import Settings


def findings(settings: Settings, clashes: Sequence[str]) -> list[Finding]:
    return [*_switch(settings), *_resource(settings), _metrics(settings), *map(_clash, clashes)]


def _switch(settings: Settings) -> Iterator[Finding]:
    if not settings.active:
        yield Finding(
            "watchglass",
            "warning",
            "Watchglass is switched off: nothing is observed.",
            "Unset WATCHGLASS_ENABLED and OTEL_SDK_DISABLED.",
        )


def _resource(settings: Settings) -> Iterator[Finding]:
    if settings.service == "unknown_service":
        yield Finding(
            "service.name",
            "missing",
            "The service has no name; several services in one database cannot be told apart.",
            "Name it.",
            "OTEL_SERVICE_NAME=shop",
        )
    else:
        yield Finding("service.name", "ok", f"The service is {settings.service}.")
    if settings.service_version:
        yield Finding("service.version", "ok", f"Its version is {settings.service_version}.")
    else:
        yield Finding(
            "service.version",
            "missing",
            "The service has no version; deploys cannot be seen.",
            "Set it at each deploy.",
            "OTEL_RESOURCE_ATTRIBUTES=service.version=1.2.3",
        )


def _metrics(settings: Settings) -> Finding:
    if settings.metrics_token is not None:
        return Finding("/metrics", "ok", "/metrics asks for a bearer token.")
    return Finding(
        "/metrics",
        "missing",
        "/metrics is open to whoever reaches the service; it carries no user data.",
        "To close it, set a token, and give it to Prometheus as authorization.credentials.",
        "WATCHGLASS_METRICS_TOKEN=...",
    )


def _clash(path: str) -> Finding:
    return Finding(
        path,
        "warning",
        f"The service answers {path} itself, so that Watchglass does not.",
        "Move all routes of Watchglass under a prefix.",
        "WATCHGLASS_PATH_PREFIX=/ops",
    )
