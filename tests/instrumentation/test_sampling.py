"""OTEL_TRACES_SAMPLER decides what is sampled, by trace id and parent, as OpenTelemetry's SDK would."""

from __future__ import annotations

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import sampling as sdk
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from watchglass.instrumentation.propagation import Parent
from watchglass.instrumentation.request import new_trace_id
from watchglass.instrumentation.sampling import sampler_of

IDS = [1, 1 << 127, (1 << 64) - 1, 1 << 62, *(new_trace_id() for _ in range(200))]
PARENTS = [None, Parent(5, 6, True), Parent(5, 6, False)]


def sdk_decides(sampler: sdk.Sampler, trace_id: int, parent: Parent | None) -> bool:
    context = None
    if parent is not None:
        span = SpanContext(trace_id, parent.span_id, True, TraceFlags(parent.sampled))
        context = otel_trace.set_span_in_context(NonRecordingSpan(span))
    return sampler.should_sample(context, trace_id, "GET /").decision.is_sampled()


@pytest.mark.parametrize(
    ("name", "argument", "of_the_sdk"),
    [
        ("always_on", "", sdk.ALWAYS_ON),
        ("always_off", "", sdk.ALWAYS_OFF),
        ("traceidratio", "0.25", sdk.TraceIdRatioBased(0.25)),
        ("traceidratio", "", sdk.TraceIdRatioBased(1)),
        ("traceidratio", "0", sdk.TraceIdRatioBased(0)),
        ("parentbased_always_on", "", sdk.DEFAULT_ON),
        ("parentbased_always_off", "", sdk.DEFAULT_OFF),
        ("ParentBased_TraceIDRatio", "0.25", sdk.ParentBasedTraceIdRatio(0.25)),
    ],
)
def test_each_sampler_decides_as_that_of_the_sdk(name: str, argument: str, of_the_sdk: sdk.Sampler) -> None:
    sampler = sampler_of({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    assert sampler is not None
    for trace_id in IDS:
        for parent in PARENTS:
            assert sampler(trace_id, parent) == sdk_decides(of_the_sdk, trace_id, parent)


def test_without_the_variable_nothing_is_asked() -> None:
    assert sampler_of({"OTEL_TRACES_SAMPLER_ARG": "0.5"}) is None


def test_what_is_not_known_is_told_and_is_the_default(caplog: pytest.LogCaptureFixture) -> None:
    assert sampler_of({"OTEL_TRACES_SAMPLER": "jaeger_remote"}) is None
    assert "OTEL_TRACES_SAMPLER is 'jaeger_remote'" in caplog.text
    for argument in ("half", "1.5", "nan"):
        sampler = sampler_of({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": argument})
        assert sampler is not None
        assert sampler(1 << 63, None)
        assert f"OTEL_TRACES_SAMPLER_ARG is '{argument}'" in caplog.text
