"""Outbound HTTP in the latency budget, from the spans of the instrumentations of httpx, aiohttp and the like.

Where the host has a tracer provider, what its sampler does not record is not seen, and is own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from watchglass import guard
from watchglass.instrumentation.budget import HTTP, note, part_of


class Outbound:
    """Listens to the host's tracer provider, whichever it is. `clock` is the recorder's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._met: object = None
        self.active = True

    def meet(self) -> None:
        """Listen to the provider that the host set, if it is another than before. Costs nothing else."""
        provider = getattr(trace, "_TRACER_PROVIDER", None)
        if provider is not self._met:
            self._met = provider
            add = getattr(provider, "add_span_processor", None)
            if add is not None:
                add(Listener(self))

    def stop(self) -> None:
        """Listen no longer; a provider does not let go of who listens."""
        self.active = False

    def ended(self, span: Any) -> None:
        """Take note of a span that ended here and now, if it is of an outbound request."""
        if not self.active or span.kind is not SpanKind.CLIENT or not span.attributes:
            return
        end = self._clock()
        note_http(span.attributes, end - (span.end_time - span.start_time) / 1e9, end)


def note_http(attributes: Mapping[str, Any], start: float, end: float) -> None:
    """Take note of a client's span that ended here and now, if its attributes say that it is of an HTTP request."""
    if "http.request.method" in attributes or "http.method" in attributes:
        note(part_of(HTTP, address=_host(attributes)), start, end)


def _host(attributes: Mapping[str, Any]) -> str | None:
    """Whom a request went to, by the semantic conventions of today or those that the instrumentations default to."""
    named = attributes.get("server.address") or attributes.get("net.peer.name")
    return str(named) if named else urlsplit(str(attributes.get("http.url", ""))).hostname


class Listener:
    """What OpenTelemetry's SDK calls a span processor, in methods rather than by descent: the SDK may be absent."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing begins here."""

    def _on_ending(self, span: Any) -> None:
        """Newer SDKs call it right before the end."""

    def on_end(self, span: Any) -> None:
        with guard.protected("outbound"):
            self._outbound.ended(span)

    def shutdown(self) -> None:
        """Nothing is held that could get lost."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True
