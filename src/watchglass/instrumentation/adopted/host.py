"""The application's own instruments, whether the host set a meter provider or not.

Where it did, a reader is added to it (from SDK 1.43 on; before that no provider takes one). Where it did not, the API's
proxies of the application's instruments are given real ones of a provider of ours, which never becomes the global one:
a provider that the host sets later takes their place, as it would have taken that of nothing.
"""

from __future__ import annotations

import os
import sys
from typing import Any
from weakref import WeakSet

from opentelemetry.metrics import _internal as api

from watchglass import guard
from watchglass.instrumentation.adopted.scopes import is_ours
from watchglass.instrumentation.adopted.sending import sends_otlp
from watchglass.instrumentation.recorder import Recorder

_WHERE = "instrumentation.adopted"


class HostMeters:
    """Meets the host's meter provider, or stands in for it, and adds what it gives to `recorder`.

    OpenTelemetry's SDK is loaded only if there is something to read.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._adopted: Any = None
        self._met: Any = None
        self._reader: Any = None
        self._own: Any = None
        self._bound: list[Any] = []
        recorder.before_collect(self.read)
        _all.add(self)

    def read(self) -> None:
        """Bring the recorder up to date. Any thread."""
        with guard.protected(_WHERE):
            self.meet()
            self._read()

    def meet(self) -> None:
        """Read from the provider that the host set, if it is another than before; without one, offer ours."""
        provider = getattr(api, "_METER_PROVIDER", None)
        if provider is None:
            self._offer()
        elif provider is not self._met:
            self._met = provider
            self._join(provider)

    def _read(self) -> None:
        loaded = sys.modules.get("watchglass.instrumentation.adopted.meters")
        if loaded is None:
            return
        if self._adopted is None:
            self._adopted = loaded.AdoptedMeters(self._recorder, besides_ours=True)
        for reader in (self._reader, *loaded.by_entry_point):
            if reader is not None:
                reader.read(self._adopted.add)

    @property
    def sent_by_host(self) -> frozenset[str]:
        """Names of instruments that are on the host's provider, if that sends by OTLP itself."""
        if self._adopted is None or self._met is None or not sends_otlp(self._met):
            return frozenset()
        names: frozenset[str] = self._adopted.names
        return names

    def stop(self) -> None:
        """Leave the host's provider and its proxies as they were."""
        with guard.protected(_WHERE):
            if self._reader is not None and self._own is None:
                self._met.remove_metric_reader(self._reader)
            for instrument in self._bound:
                if getattr(api, "_METER_PROVIDER", None) is None:
                    instrument._real_instrument = None
            self._reader = self._own = self._met = None
            self._bound = []

    def _join(self, provider: Any) -> None:
        """Have a reader on the host's provider, unless it has one by opentelemetry-instrument."""
        if self._own is not None:
            self._read()  # what came before the host set it
        self._own = self._reader = None
        if not hasattr(provider, "add_metric_reader"):
            return
        from watchglass.instrumentation.adopted.meters import Reader, by_entry_point

        if not by_entry_point:
            self._reader = Reader()
            provider.add_metric_reader(self._reader)

    def _offer(self) -> None:
        """Give a real instrument to each proxy that has none yet and is the application's own."""
        meters = list(getattr(api._PROXY_METER_PROVIDER, "_meters", ()))
        waiting = [(meter, one) for meter in meters for one in list(meter._instruments) if one._real_instrument is None]
        if not waiting:
            return
        for meter, instrument in waiting:
            if not is_ours(meter.name):
                instrument.on_meter_set(self._provider().get_meter(meter.name, meter.version, meter.schema_url))
                self._bound.append(instrument)

    def _provider(self) -> Any:
        if self._own is None:
            from opentelemetry.sdk.metrics import MeterProvider

            from watchglass.instrumentation.adopted.meters import Reader

            self._reader = Reader()
            self._own = MeterProvider([self._reader], shutdown_on_exit=False)
        return self._own

    def after_fork(self) -> None:
        """In the child: another thread of the parent may have been reading."""
        if self._reader is not None:
            self._reader.fresh()


_all: WeakSet[HostMeters] = WeakSet()


def _after_fork_in_child() -> None:
    for host in list(_all):
        host.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
