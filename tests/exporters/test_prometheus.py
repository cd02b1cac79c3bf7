"""The exposition is right to Prometheus' own tools, and exact."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from math import inf, nan

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from watchglass import meters
from watchglass.exporters.prometheus import OPENMETRICS, TEXT, render, spelled
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import Meter

Promtool = Callable[..., subprocess.CompletedProcess[str]]
RESOURCE = {"service.name": "shop", "service.version": "1.0", "service.instance.id": "abc"}
EVIL = 'a"b\\c\nd\x00e\ud800'


@pytest.fixture
def recorder() -> Recorder:
    """Every meter there is, twice, with values that need care among them."""
    recorder = Recorder()
    for meter in meters.ALL:
        for value in ("x", EVIL):
            values = tuple(value for _ in meter.attributes)
            if meter.kind == "histogram":
                for seconds in (0.0, 0.001, 0.1, 7.0, 1e6):
                    recorder.histogram(meter, values).record(seconds)
            elif meter.kind == "gauge":
                recorder.gauge(meter, values).set(0.5)
            else:
                recorder.counter(meter, values).add(3)
    return recorder


def families(text: bytes, accept: str) -> dict[str, Metric]:
    parse = parse_openmetrics if "openmetrics" in accept else parse_text
    return {family.name: family for family in parse(text.decode())}


def samples(recorder: Recorder, name: str, accept: str = "") -> dict[tuple[str, ...], float]:
    text, _ = render(recorder.collect(), accept)
    family = families(text, accept)[name]
    return {(sample.name, *sample.labels.values()): sample.value for sample in family.samples}


def test_promtool_finds_nothing_to_complain_about(recorder: Recorder, promtool: Promtool) -> None:
    text, content_type = render(recorder.collect(), "", RESOURCE)
    checked = promtool("check", "metrics", input=text.decode())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert content_type == TEXT


def test_openmetrics_is_valid_and_has_the_same_values(recorder: Recorder) -> None:
    text, content_type = render(recorder.collect(), OPENMETRICS, RESOURCE)
    assert content_type == OPENMETRICS
    assert text.endswith(b"\n# EOF\n")
    assert b"# UNIT http_server_request_duration_seconds seconds\n" in text
    found = families(text, OPENMETRICS)
    plain = families(render(recorder.collect(), "", RESOURCE)[0], "")
    assert set(found) - {"target"} == set(plain) - {"target_info"}
    for name, family in found.items():
        if name != "target":
            assert [(s.name, s.labels, s.value) for s in family.samples] == [
                (s.name, s.labels, s.value) for s in plain[name].samples
            ]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", OPENMETRICS),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;version=broken;q=x,;;,=", TEXT),
        ("application/openmetrics-text;q=", TEXT),
    ],
)
def test_the_format_is_what_the_client_prefers(accept: str, expected: str) -> None:
    assert render([], accept)[1] == expected


def test_names_are_opentelemetrys_in_prometheus_spelling() -> None:
    assert {meter: spelled(meters.BY_NAME[meter]) for meter in NAMES} == NAMES
    assert len({spelled(meter) for meter in meters.ALL}) == len(meters.ALL)


NAMES = {
    "http.server.request.duration": "http_server_request_duration_seconds",
    "http.server.active_requests": "http_server_active_requests",
    "db.client.connection.count": "db_client_connections",
    "process.thread.count": "process_threads",
    "process.cpu.utilization": "process_cpu_utilization_ratio",
    "process.memory.usage": "process_memory_usage_bytes",
    "postgresql.backends": "postgresql_backends",
    "postgresql.commits": "postgresql_commits",
    "redis.uptime": "redis_uptime_seconds",
}


def test_bucket_counts_are_exact_on_the_grid() -> None:
    recorder = Recorder()
    histogram = recorder.histogram(meters.EVENT_LOOP_LAG)
    values = [0.0, 2.0**-10, 2.0**-10 * 1.0001, 2.0**-4, 0.25, 0.2500001, 1.0, 1.9, 2.0, 31.9, 32.0, 32.001, 5000.0]
    for value in values:
        histogram.record(value)
    family = families(render(recorder.collect())[0], "")["watchglass_event_loop_lag_seconds"]
    buckets = {float(s.labels["le"]): s.value for s in family.samples if s.name.endswith("_bucket")}
    assert len(buckets) == 27
    assert {2.0**-10, 2.0**-9, 2.0**-0.5, 1.0, 32.0, inf} <= buckets.keys()
    assert buckets == {edge: sum(value <= edge for value in values) for edge in buckets}
    others = {s.name: s.value for s in family.samples if not s.name.endswith("_bucket")}
    assert others == {
        "watchglass_event_loop_lag_seconds_count": len(values),
        "watchglass_event_loop_lag_seconds_sum": pytest.approx(sum(values)),
    }


def test_attributes_that_are_not_exposed_are_merged(recorder: Recorder) -> None:
    meter = meters.DB_CLIENT_OPERATION_DURATION
    recorder = Recorder()
    for text in ("SELECT 1", "SELECT 2"):
        recorder.histogram(meter, ("postgresql", "SELECT", "SELECT a", text, None, None)).record(0.5)
    text = render(recorder.collect())[0].decode()
    assert 'db_client_operation_duration_seconds_count{db_operation_name="SELECT",' in text
    assert "db_query_text" not in text
    assert sum(line.startswith("db_client_operation_duration_seconds_count") for line in text.splitlines()) == 1
    assert 'db_query_summary="SELECT a",db_system_name="postgresql"} 2.0' in text


def test_attributes_that_are_not_set_are_left_out() -> None:
    recorder = Recorder()
    recorder.counter(meters.CACHE_LOOKUPS, ("", "hit")).add()
    assert samples(recorder, "watchglass_cache_lookups") == {("watchglass_cache_lookups_total", "hit"): 1.0}


def test_series_that_differ_in_what_cannot_be_written_are_one() -> None:
    recorder = Recorder()
    for value in ("a", "a\x00"):
        recorder.counter(meters.WATCHGLASS_ERRORS, (value,)).add()
    assert samples(recorder, "watchglass_errors") == {("watchglass_errors_total", "a"): 2.0}


def test_the_overflow_series_is_marked() -> None:
    recorder = Recorder(max_series=1)
    for route in "abc":
        recorder.histogram(meters.HTTP_SERVER_REQUEST_DURATION, ("GET", route, "200", None, "http")).record(1.0)
    assert (
        b'http_server_request_duration_seconds_count{otel_metric_overflow="true"} 2.0' in render(recorder.collect())[0]
    )


@pytest.mark.parametrize("value", [nan, inf, -inf, 0.0, 1e308])
@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
def test_any_float_can_be_exposed(value: float, accept: str) -> None:
    recorder = Recorder()
    recorder.gauge(meters.SYSTEM_CPU_UTILIZATION).set(value)
    [(_, found)] = samples(recorder, "system_cpu_utilization_ratio", accept).items()
    assert found == value or (found != found and value != value)


def test_a_gauge_that_was_never_set_is_absent() -> None:
    recorder = Recorder()
    recorder.gauge(meters.SYSTEM_CPU_UTILIZATION)
    assert render(recorder.collect()) == (b"", TEXT)


def test_the_process_says_what_it_is(recorder: Recorder) -> None:
    info = b'target_info{service_instance_id="abc",service_name="shop",service_version="1.0"} 1.0'
    for accept in (TEXT, OPENMETRICS):
        assert info in render([], accept, {**RESOURCE, "service.namespace": ""})[0]


def test_a_meter_that_is_not_of_seconds_has_edges_too() -> None:
    meter = Meter("app.reply.size", "histogram", "By", "Size of replies.")
    recorder = Recorder()
    for size in (1.0, 100.0, 70_000.0):
        recorder.histogram(meter).record(size)
    found = samples(recorder, "app_reply_size_bytes")
    assert found["app_reply_size_bytes_bucket", "1024.0"] == 2
    assert found["app_reply_size_bytes_bucket", "+Inf"] == 3
