"""What tells the collector who speaks: the resource of a process, the scope of what we measured, attribute values."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as sdk_version

from watchglass.records import Instance
from watchglass.store.text import storable, storable_json

_VERSION = version("watchglass")

SCOPE = InstrumentationScope("watchglass", _VERSION)


def resource_of(instance: Instance, attributes: Mapping[str, str]) -> Resource:
    """The process, with the attributes that OTEL_RESOURCE_ATTRIBUTES gives it.

    `service.instance.id` is the process's own: workers that shared one would overwrite each other's metrics.
    """
    own = {
        "service.name": instance.service_name,
        "service.namespace": instance.service_namespace,
        "service.version": instance.service_version,
        "service.instance.id": instance.instance_id,
        "host.name": instance.host,
        "process.pid": instance.pid,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        "telemetry.distro.name": "watchglass",
        "telemetry.distro.version": _VERSION,
    }
    return Resource(cleaned({**attributes, **{name: value for name, value in own.items() if value}}))


def cleaned(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as every version of OpenTelemetry encodes them; what is structured becomes JSON, None is left out."""
    return {storable(str(name)): _value(value) for name, value in attributes.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return [storable(item) for item in value]
    return storable_json(value)
