"""The application's own spans as children of its requests, whether the host set a tracer provider or not.

Where it did, its provider tells of each span that ends; what its sampler does not record is not seen. Where it did not,
the API's proxy tracers make spans while a request is handled: about 30 us each, on top of the 17 of a span that
records nothing.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.trace import ProxyTracer

from watchglass import guard
from watchglass.instrumentation.adopted.scopes import is_ours
from watchglass.instrumentation.adopted.spans import record_of
from watchglass.instrumentation.contrib_spans import ChildTracer
from watchglass.instrumentation.patching import Patches
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import current_request


class HostSpans:
    """At work from the first `meet` on, which each reading of the recorder repeats, until `uninstrument`."""

    def __init__(self, recorder: Recorder) -> None:
        self._tracer = ChildTracer(recorder.clock, (), {})
        self._met: object = None
        self._patches = Patches()
        self._active = True
        if isinstance(vars(ProxyTracer).get("_tracer"), property):
            self._patches.replace(ProxyTracer, "_tracer", self._offer)
        recorder.before_collect(self.meet)

    def meet(self) -> None:
        """Listen to the provider that the host set, if it is another than before."""
        provider: Any = getattr(trace, "_TRACER_PROVIDER", None)
        if provider is not self._met and self._active:
            self._met = provider
            if hasattr(provider, "add_span_processor"):
                with guard.protected("instrumentation.adopted"):
                    provider.add_span_processor(self)

    def _offer(self, original: Any) -> property:
        """A proxy's tracer: ours while a request is handled and there is no provider."""
        ours = self._tracer

        def tracer(proxy: Any) -> Any:
            try:
                nobodys = proxy._real_tracer is None and getattr(trace, "_TRACER_PROVIDER", None) is None
                if nobodys and current_request() is not None and not is_ours(proxy._instrumenting_module_name):
                    return ours
            except Exception:
                guard.caught("instrumentation.adopted")
            return original.fget(proxy)

        return property(tracer)

    def uninstrument(self) -> None:
        """Undo it; a provider does not let go of who listens."""
        self._patches.restore()
        self._active = False

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing begins here: these are the methods of a span processor, of the SDK, which may not be loaded."""

    def _on_ending(self, span: Any) -> None:
        """Newer SDKs call it right before the end."""

    def on_end(self, span: Any) -> None:
        if self._active:
            with guard.protected("instrumentation.adopted"):
                _ended(span)

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def _ended(span: Any) -> None:
    """A child of the request that is handled here, unless it is that itself, or its record is there already."""
    request, found = current_request(), span.context
    if request is None or found.trace_id != request.trace_id or found.span_id == request.span_id:
        return
    if is_ours(span.instrumentation_scope.name):
        return
    record = record_of(span)
    start, end = (request.start + (moment - request.start_ns) / 1e9 for moment in (record.start_ns, record.end_ns))
    ids = record.span_id, record.parent_id or 0
    request.add_child(record.name, start, end, record.attributes, record.error, *ids, record.kind)
