"""The meters as Prometheus reads them: OpenTelemetry's names in Prometheus' spelling, written by prometheus-client.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ with one difference: a gauge whose
name ends in `.count` is spelled in the plural (`process.thread.count`: `process_threads`), because `_count` belongs to
histograms and `promtool check metrics` refuses it elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache

from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from watchglass.analysis.buckets import PER_DOUBLING
from watchglass.exporters.projection import Projection
from watchglass.meters import Meter
from watchglass.records import Attributes, State
from watchglass.store.text import storable

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_UNITS = {"s": "seconds", "By": "bytes"}

_HALF_DOUBLINGS = {"s": (-20, -18, *range(-16, 5), 6, 8, 10)}
"""Upper edges of the exposed buckets, as exponents of the square root of two: 1 ms to 32 s."""
_OTHER_HALF_DOUBLINGS = tuple(range(0, 61, 4))

_projection = Projection(lambda meter: meter.exposed)


def render(states: Iterable[State], accept: str = "", resource: Mapping[str, str] | None = None) -> tuple[bytes, str]:
    """The exposition of cumulative states and its content type: OpenMetrics if `accept` prefers it, else text.

    Buckets lie on the recorder's grid, so that each cumulative count is exact. `resource` becomes `target_info`.
    """
    families = _Families(states, resource or {})
    if _prefers_openmetrics(accept):
        return openmetrics.generate_latest(families), OPENMETRICS  # type: ignore[no-untyped-call]
    return generate_latest(families), TEXT


@cache
def spelled(meter: Meter) -> str:
    """The name of the meter's family, without the suffixes of its samples: `http_server_request_duration_seconds`."""
    name = label(meter.name)
    if meter.kind == "gauge" and name.endswith("_count"):
        name = name.removesuffix("_count") + "s"
    unit = _UNITS.get(meter.unit, "ratio" if meter.kind == "gauge" and meter.unit == "1" else "")
    return f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name


@lru_cache(maxsize=10_000)
def label(attribute: str) -> str:
    """The attribute's name as a label."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", attribute)
    return f"_{name}" if name[:1].isdigit() else name


class _Families(Collector):
    """Lets prometheus-client write states."""

    def __init__(self, states: Iterable[State], resource: Mapping[str, str]) -> None:
        self._states = states
        self._resource = resource

    def collect(self) -> Iterator[Metric]:
        if self._resource:
            yield _target_info(self._resource)
        by_meter: dict[Meter, list[tuple[Attributes, State]]] = {}
        for (meter, attributes), state in _projection.merge(self._states).items():
            by_meter.setdefault(meter, []).append((attributes, state))
        for meter, series in by_meter.items():
            yield _family(meter, series)


def _target_info(resource: Mapping[str, str]) -> Metric:
    family = Metric("target", "What is measured.", "info")
    labels = {label(name): storable(value) for name, value in resource.items() if value}
    family.samples.append(Sample("target_info", labels, 1.0))
    return family


def _family(meter: Meter, series: Iterable[tuple[Attributes, State]]) -> Metric:
    kind = "gauge" if meter.kind == "updown" else meter.kind
    family = Metric(spelled(meter), meter.description, kind)
    family.unit = _UNITS.get(meter.unit, "")
    for attributes, state in series:
        labels = {label(name): value for name, value in attributes}
        if state.buckets is not None:
            family.samples.extend(_histogram(family.name, labels, state, meter.unit))
        else:
            family.samples.append(Sample(family.name + ("_total" if kind == "counter" else ""), labels, state.sum))
    return family


def _histogram(name: str, labels: dict[str, str], state: State, unit: str) -> Iterator[Sample]:
    """Cumulative counts at each edge, which is the upper bound of a bucket of the grid."""
    left = sorted((state.buckets or {}).items(), reverse=True)
    count = 0
    for exponent in _HALF_DOUBLINGS.get(unit, _OTHER_HALF_DOUBLINGS):
        last = exponent * PER_DOUBLING // 2 - 1
        while left and left[-1][0] <= last:
            count += left.pop()[1]
        yield Sample(f"{name}_bucket", {**labels, "le": _edge(exponent)}, count)
    count += sum(number for _, number in left)
    yield Sample(f"{name}_bucket", {**labels, "le": "+Inf"}, count)
    yield Sample(f"{name}_sum", labels, state.sum)
    yield Sample(f"{name}_count", labels, count)


@cache
def _edge(exponent: int) -> str:
    edge: str = floatToGoString(2.0 ** (exponent / 2))  # type: ignore[no-untyped-call]
    return edge


def _prefers_openmetrics(accept: str) -> bool:
    """Whether the header wants OpenMetrics, and no less than plain text."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for item in accept.split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        if media in weights:
            weight = float(quality) if re.fullmatch(r"\d?(\.\d+)?", quality) and quality else 0.0
            weights[media] = max(weights[media], weight)
    return weights["application/openmetrics-text"] > 0 and (
        weights["application/openmetrics-text"] >= weights["text/plain"]
    )
