"""What a process has to show for itself: kept traces and their exemplars, groups of errors, and its last minutes."""

from __future__ import annotations

import os
from collections.abc import Callable

from watchglass import guard, termination
from watchglass.api.context import Running
from watchglass.exporters.exemplars import KeptExemplars
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.attributes import span_name
from watchglass.instrumentation.black_box import BlackBox
from watchglass.instrumentation.error_groups import ErrorGroups
from watchglass.instrumentation.exceptions import exception_text
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.request import Request
from watchglass.instrumentation.tail import Handled, Tail
from watchglass.jobs.backends import HeldConnections
from watchglass.jobs.black_box import Freezer
from watchglass.jobs.pending import PendingRequests
from watchglass.records import LogRecord, Trace
from watchglass.settings import Settings


class Evidence:
    """Of one process, whatever applications it serves. Making it starts nothing."""

    def __init__(self, settings: Settings, recorder: Recorder) -> None:
        self.errors = ErrorGroups(settings.redaction_key, exception_text)
        self.exemplars = KeptExemplars()
        self.box = BlackBox(settings)
        self._settings = settings
        self._recorder = recorder
        self._pid = os.getpid()
        self.tail: Tail
        self.freezer: Freezer

    def join(self, pipeline: Pipeline, offer_trace: Callable[[Trace], None]) -> None:
        """Have what is kept leave by these, and look for what has to be while the pipeline runs."""
        ended_too = self.box.request if self.box.active else None
        self.tail = Tail(self._settings, self._recorder, offer_trace, self.errors, ended_too)
        self.freezer = Freezer(self._settings, self.box, self.errors, pipeline, self._recorder, self._open)
        pipeline.run_on_loop(self.freezer.watch)
        pipeline.run_on_loop(PendingRequests(pipeline, self._open, self._recorder.clock).run)
        pipeline.run_on_loop(HeldConnections(pipeline, self._open, self._recorder.clock).run)
        termination.tell(self.freezer.told_to_end)

    def hearing(self, offer: Callable[[LogRecord], None]) -> Callable[[LogRecord], None]:
        """`offer`, which the black box hears too."""
        if not self.box.active:
            return offer

        def offer_both(record: LogRecord) -> None:
            self.box.log(record)
            offer(record)

        return offer_both

    def start(self) -> None:
        """The process serves, from now on or again; in a forked child what was under way is the parent's."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.tail.open.clear()
            self.box.clear()
        self.freezer.begin()

    def running(self) -> list[Running]:
        """The requests that this process handles now; a stream that began to flow is not waited for."""
        now, found = self._recorder.clock(), []
        for request, handled in self._open().items():
            if request.work is not None:
                with guard.protected("running requests"):
                    handled.known()  # which finds its route
                found.append(Running(span_name(request), max(0.0, now - request.start)))
        return found

    def _open(self) -> dict[Request, Handled]:
        return self.tail.open.copy()
