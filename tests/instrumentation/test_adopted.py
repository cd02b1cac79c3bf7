"""What the application measures by OpenTelemetry is in the recorder, nothing of ours twice, whoever set a provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import Observation
from opentelemetry.metrics import _internal as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from watchglass.analysis.buckets import index_of
from watchglass.instrumentation.adopted.host import HostMeters
from watchglass.instrumentation.recorder import Recorder
from watchglass.records import State

needs_readers = pytest.mark.skipif(
    not hasattr(MeterProvider, "add_metric_reader"), reason="a provider of this SDK takes no reader afterwards"
)


@pytest.fixture(autouse=True)
def fresh_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_METER_PROVIDER", None)
    monkeypatch.setattr(api, "_PROXY_METER_PROVIDER", api._ProxyMeterProvider())


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    host = HostMeters(recorder)
    yield recorder
    host.stop()


def host_provider(monkeypatch: pytest.MonkeyPatch, **options: object) -> InMemoryMetricReader:
    """The host sets its provider, as `set_meter_provider` does."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False, **options)  # type: ignore[arg-type]
    monkeypatch.setattr(api, "_METER_PROVIDER", provider)
    api._PROXY_METER_PROVIDER.on_set_meter_provider(provider)
    return reader


def states(recorder: Recorder) -> dict[str, State]:
    return {state.meter.name: state for state in recorder.collect()}


def measure(meter: metrics.Meter) -> None:
    meter.create_counter("sold", "{item}", "Sold.").add(2, {"kind": "book", "tags": ["a", "b"]})
    meter.create_up_down_counter("open").add(3)
    meter.create_histogram("weight", "kg").record(1.5)
    meter.create_observable_gauge("depth", [lambda options: [Observation(7)]])


def expect_measured(found: dict[str, State]) -> None:
    sold = found["sold"]
    assert (sold.meter.kind, sold.meter.unit, sold.meter.description) == ("counter", "{item}", "Sold.")
    assert dict(zip(sold.meter.attributes, sold.values, strict=True)) == {"kind": "book", "tags": "a,b"}
    assert (sold.sum, found["open"].sum, found["open"].meter.kind) == (2, 3, "updown")
    assert (found["depth"].sum, found["depth"].meter.kind) == (7, "gauge")
    assert (found["weight"].sum, found["weight"].buckets) == (1.5, {index_of(1.5): 1})


@needs_readers
def test_the_instruments_of_the_host_s_provider_are_read(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> None:
    host_provider(monkeypatch)
    recorder.collect()
    measure(metrics.get_meter("shop"))
    expect_measured(states(recorder))
    expect_measured(states(recorder))


def test_without_a_provider_the_application_s_own_instruments_are_read_all_the_same(recorder: Recorder) -> None:
    meter = metrics.get_meter("shop")
    sold, depth = meter.create_counter("sold"), [7]
    meter.create_observable_gauge("depth", [lambda options: [Observation(depth[0])]])
    recorder.collect()
    sold.add(2)
    later = meter.create_histogram("weight")
    recorder.collect()
    later.record(1.5)
    found = states(recorder)
    assert (found["sold"].sum, found["depth"].sum, found["weight"].count) == (2, 7, 1)
    assert api._METER_PROVIDER is None


def test_a_provider_that_the_host_sets_later_has_all_instruments(
    monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    sold = metrics.get_meter("shop").create_counter("sold")
    recorder.collect()
    sold.add(1)
    reader = host_provider(monkeypatch)
    sold.add(2)
    data = reader.get_metrics_data()
    assert data is not None
    [point] = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert point.value == 2
    if hasattr(MeterProvider, "add_metric_reader"):
        recorder.collect()
        sold.add(4)
        assert states(recorder)["sold"].sum == 5


@needs_readers
def test_what_watchglass_measures_itself_is_not_taken_from_others(
    monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    host_provider(monkeypatch)
    recorder.collect()
    for scope, name in (
        ("opentelemetry.instrumentation.asgi", "http.server.duration"),
        ("fastapi", "http.server.whatever"),
        ("anyone", "http.server.request.duration"),
        ("opentelemetry.instrumentation.httpx", "http.client.request.duration"),
    ):
        metrics.get_meter(scope).create_histogram(name, "s").record(1)
    assert set(states(recorder)) == {"http.client.request.duration"}


@needs_readers
def test_explicit_buckets_of_a_view_count_at_their_upper_bounds(
    monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    host_provider(
        monkeypatch, views=[View(instrument_name="weight", aggregation=ExplicitBucketHistogramAggregation([1, 2, 4]))]
    )
    recorder.collect()
    weight = metrics.get_meter("shop").create_histogram("weight")
    for value in (0.5, 1.5, 1.7, 9.0):
        weight.record(value)
    found = states(recorder)["weight"]
    assert found.buckets == {index_of(1): 1, index_of(2): 2, index_of(4) + 1: 1}
    assert (found.sum, found.min, found.max) == (12.7, 0.5, 9.0)


def test_nothing_stays_on_the_instruments_after_the_end() -> None:
    sold = metrics.get_meter("shop").create_counter("sold")
    recorder = Recorder()
    host = HostMeters(recorder)
    recorder.collect()
    assert sold._real_instrument is not None  # type: ignore[attr-defined]
    host.stop()
    assert sold._real_instrument is None  # type: ignore[attr-defined]
