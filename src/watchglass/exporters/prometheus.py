"""The meters as Prometheus reads them: OpenTelemetry's names in Prometheus' spelling, written by prometheus-client.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ with one difference: a gauge whose
name ends in `.count` is spelled in the plural (`process.thread.count`: `process_threads`), because `_count` belongs to
histograms and `promtool check metrics` refuses it elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache

from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as OfClient
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from watchglass.exporters.workers.totals import BEYOND, Exemplars, Total, Totals, edges, exposed
from watchglass.meters import Meter
from watchglass.records import Attributes, State
from watchglass.store.text import storable

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_UNITS = {"s": "seconds", "By": "bytes"}


def render(states: Iterable[State], accept: str = "", resource: Mapping[str, str] | None = None) -> tuple[bytes, str]:
    """The exposition of one process's cumulative states and its content type, as `write` gives it."""
    return write(exposed(states), accept, resource)


def write(totals: Totals, accept: str = "", resource: Mapping[str, str] | None = None) -> tuple[bytes, str]:
    """The exposition of totals and its content type: OpenMetrics if `accept` prefers it, else text.

    Buckets lie on the recorder's grid, so that each cumulative count is exact. `resource` becomes `target_info`.
    """
    families = _Families(totals, resource or {})
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
    """Lets prometheus-client write totals."""

    def __init__(self, totals: Totals, resource: Mapping[str, str]) -> None:
        self._totals = totals
        self._resource = resource

    def collect(self) -> Iterator[Metric]:
        if self._resource:
            yield _target_info(self._resource)
        by_name: dict[str, list[tuple[Meter, Attributes, Total]]] = {}
        for (meter, attributes), total in self._totals.items():
            by_name.setdefault(spelled(meter), []).append((meter, attributes, total))
        for series in by_name.values():
            yield _family(series)


def _target_info(resource: Mapping[str, str]) -> Metric:
    family = Metric("target", "What is measured.", "info")
    labels = {label(name): storable(value) for name, value in resource.items() if value}
    family.samples.append(Sample("target_info", labels, 1.0))
    return family


def _family(series: Sequence[tuple[Meter, Attributes, Total]]) -> Metric:
    """One family of all series of a name; where a worker of another version describes it otherwise, the first holds."""
    meter = series[0][0]
    kind = "gauge" if meter.kind == "updown" else meter.kind
    family = Metric(spelled(meter), meter.description, kind)
    family.unit = _UNITS.get(meter.unit, "")
    for other, attributes, total in series:
        labels = {label(name): value for name, value in attributes}
        if (other.kind, other.unit) != (meter.kind, meter.unit):
            continue
        if total.bins is not None:
            family.samples.extend(_histogram(family.name, labels, total, meter.unit))
        else:
            family.samples.append(Sample(family.name + ("_total" if kind == "counter" else ""), labels, total.sum))
    return family


def _histogram(name: str, labels: dict[str, str], total: Total, unit: str) -> Iterator[Sample]:
    """Cumulative counts at each edge, which is the upper bound of a bucket of the grid."""
    bins, exemplars = total.bins or {}, total.exemplars or {}
    left = sorted(bins.items(), reverse=True)
    count = 0
    for edge in edges(unit):
        while left and left[-1][0] <= edge:
            count += left.pop()[1]
        shown = _exemplar(exemplars, edge) if bins.get(edge) else None
        yield Sample(f"{name}_bucket", {**labels, "le": _edge(edge)}, count, None, shown)
    count += sum(number for _, number in left)
    yield Sample(f"{name}_bucket", {**labels, "le": "+Inf"}, count, None, _exemplar(exemplars, BEYOND))
    yield Sample(f"{name}_sum", labels, total.sum)
    yield Sample(f"{name}_count", labels, count)


def _exemplar(exemplars: Exemplars, edge: int) -> OfClient | None:
    """The exemplar of a bucket, in OpenMetrics alone: the text format has no place for one."""
    found = exemplars.get(edge)
    if found is None:
        return None
    return OfClient({"trace_id": found.trace_id, "span_id": found.span_id}, found.value, found.time)


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
