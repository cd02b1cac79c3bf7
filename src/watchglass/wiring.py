"""The composition root: the only module that sees the whole house and joins its stations.

A process has one `House`, however many applications it observes. Making it starts nothing; it comes to life once the
process serves, and ends with the last application that does.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from typing import Any, TypeVar

from watchglass import guard, redaction, termination
from watchglass.api import paths
from watchglass.api.context import Authorize
from watchglass.errors import AlreadyObserving
from watchglass.evidence import Evidence
from watchglass.exporters.exports import Exports, instance_of
from watchglass.exporters.workers.worker import Worker
from watchglass.front import Front
from watchglass.instrumentation.adopted.host import HostMeters
from watchglass.instrumentation.adopted.sending import HostHandlers, host_sends_traces
from watchglass.instrumentation.adopted.tracers import HostSpans
from watchglass.instrumentation.asgi import Observer, enter, layer_of, leave
from watchglass.instrumentation.asyncpg import AsyncPGInstrumentor
from watchglass.instrumentation.budget import Budget
from watchglass.instrumentation.contrib_packages import ContribPackages
from watchglass.instrumentation.logs import LoggingInstrumentor
from watchglass.instrumentation.own_threads import OwnThreads
from watchglass.instrumentation.pools import Pools
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.redis import RedisInstrumentor
from watchglass.instrumentation.routes import clashes
from watchglass.instrumentation.runtime import RuntimeInstrumentor
from watchglass.instrumentation.slow_captures import SlowCaptures
from watchglass.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from watchglass.jobs.elected import ElectedJobs
from watchglass.jobs.plans import Plans
from watchglass.meters import WATCHGLASS_DROPPED
from watchglass.settings import Settings

App = TypeVar("App")

_house: House | None = None


def observe(
    app: App, settings: Settings | None = None, *, authorize: Authorize | None = None, inside: bool = False
) -> App:
    """Observe an ASGI application: its requests, statements, commands and logs; returns what is to be served.

    That is `app` itself wherever possible. Nothing starts before the process serves: no thread, no connection.
    `settings` come from the environment where not given. `authorize` decides who may see the page, in place of the
    login: given the starlette Request it returns, or awaits, None, "viewer" or "admin". With `inside` the page's routes
    become routes of the application, behind its own middlewares. Observing twice is observing once.

    Raises `SettingsError`, and `AlreadyObserving` when the process observes with other settings.
    """
    global _house
    settings = settings or Settings()
    if not settings.active or layer_of(app) is not None:
        return app
    if _house is None:
        _house = House(settings, authorize)
    elif _house.settings != settings:
        raise AlreadyObserving(service=_house.settings.service)
    return _house.admit(app, inside)


def unobserve(app: App) -> App:
    """Undo `observe`, and return the application as it was. With the last one everything else is undone too."""
    global _house
    left: App = leave(app)
    if _house is not None and _house.dismiss(app):
        _house.close()
        _house = None
    return left


def house() -> House | None:
    """What this process's applications share; None while none is observed."""
    return _house


class House:
    """Everything of one process: the recorder, what fills it, the way out, and the page."""

    def __init__(self, settings: Settings, authorize: Authorize | None = None) -> None:
        self.settings = settings
        redaction.mark_with(settings.redaction_key)
        self.contrib = ContribPackages(settings.instrumentation == "contrib")
        self.recorder = Recorder(settings.max_series, idle_seconds=60 * settings.series_idle_minutes)
        self.evidence = Evidence(settings, self.recorder)
        self.exports = Exports(
            settings,
            instance_of(settings),
            self.recorder.collect,
            self.recorder.retire,
            overflowed=lambda: self.recorder.overflowed,
            dropped=lambda *what: self.recorder.counter(WATCHGLASS_DROPPED, what[:2]).add(what[2]),
            host_sends=host_sends_traces,
            host_sends_line=HostHandlers().send,
            sent_by_host=lambda: self.host_meters.sent_by_host,
            take_errors=self.evidence.errors.take,
            stored=self.evidence.exemplars.stored,
        )
        self.pipeline = self.exports.pipeline
        identity, exemplars = lambda: self.pipeline.instance.instance_id, self.evidence.exemplars.now
        self.worker = Worker(settings, identity, self.pipeline.collect, exemplars)
        self.recorder.before_retire(self.worker.retire)
        self.evidence.join(self.pipeline, self.exports.offer_trace)
        self.pipeline.run_on_loop(ElectedJobs(settings, self.pipeline, self.recorder).run)
        self.plans = Plans(settings, SlowCaptures(settings.slow_statement_seconds), self.pipeline)
        self.pipeline.run_on_loop(self.plans.run)
        self.runtime = RuntimeInstrumentor()
        self.budget = Budget(self.recorder, self.runtime.lag)
        self.own_threads = OwnThreads(self.recorder)
        self.host_meters = HostMeters(self.recorder)
        self.host_spans = HostSpans(self.recorder)
        self._exact = frozenset(settings.path_prefix + path for path in paths.EXACT)
        self._prefixes = tuple(settings.path_prefix + path for path in paths.PREFIXES)
        self._apps: list[Any] = []
        self._serving = (0, 0)
        self.front = Front(settings, self.recorder, self.exports, self.worker, self.plans, authorize, self._clashes)
        self.context, self.own_loop = self.front.context, self.front.own_loop
        self.context.freeze, self.context.running = self.evidence.freezer.freeze, self.evidence.running
        self._instrument()

    def admit(self, app: App, inside: bool) -> App:
        """Enter an application."""
        observer = Observer(
            recorder=self.recorder,
            settings=self.settings,
            offer_trace=self.exports.offer_trace,
            on_serving=self.start,
            on_shutdown=self.shut_down,
            own_app=self.front.answer,
            own_exact=self._exact,
            own_prefixes=self._prefixes,
            budget=self.budget,
            tail=self.evidence.tail,
            timing=self.front.timing(),
            failed=LoggingInstrumentor().failed,
        )
        with guard.protected("contrib"):  # its oldest packages refuse an application that has begun to serve
            self.contrib.enter(app)
        entered: App = enter(app, observer, inside=inside)
        self._apps.append(entered)
        return entered

    def dismiss(self, app: Any) -> bool:
        """Forget an application; whether none is left."""
        self.contrib.leave(app)
        self._apps = [other for other in self._apps if other is not app]
        return not self._apps

    def start(self) -> None:
        """Come to life, on the event loop of an application that begins to serve."""
        self.runtime.watch_loop()
        if self._count(+1) > 1:
            return
        termination.watch()
        self.host_meters.read()
        self.host_spans.meet()
        LoggingInstrumentor().meet()
        SQLAlchemyInstrumentor().meet()
        self.evidence.start()
        self.exports.start()
        self.worker.start()
        atexit.register(self._end)
        self.own_loop.run(self.front.open())

    async def shut_down(self) -> None:
        """Write what is left and end, once the last application that serves has shut down; its loop is not blocked."""
        self.runtime.leave_loop()
        if self._count(-1) > 0:
            return
        self.own_loop.stop()
        await asyncio.to_thread(self._end)
        atexit.unregister(self._end)

    def close(self) -> None:
        """Undo everything: libraries are as they were, threads end."""
        termination.forget()
        clients = SQLAlchemyInstrumentor(), RedisInstrumentor(), AsyncPGInstrumentor()
        for instrumentor in (self.contrib, *clients, LoggingInstrumentor(), self.runtime, self.host_spans):
            with guard.protected("close"):
                instrumentor.uninstrument()
        redaction.mark_with(None)
        self.own_loop.stop()
        self._stop()
        self.host_meters.stop()
        atexit.unregister(self._end)

    def _end(self) -> None:
        self.evidence.freezer.ended()
        self._stop()

    def _stop(self) -> None:
        self.exports.stop()
        self.worker.stop()

    def _instrument(self) -> None:
        pools, captures = Pools(self.recorder), self.plans.captures
        for client in (AsyncPGInstrumentor(), RedisInstrumentor(), SQLAlchemyInstrumentor()):
            with guard.protected("instrument"):
                client.instrument(recorder=self.recorder, pools=pools, captures=captures)
        with guard.protected("instrument"):
            self.contrib.instrument(recorder=self.recorder)
        hearing = self.evidence.hearing
        offer_log = hearing(self.exports.offer_log) if self.settings.capture_logs else None
        with guard.protected("instrument"):
            blocked = self.settings.blocked_loop_seconds
            self.runtime.instrument(recorder=self.recorder, offer_log=offer_log, blocked_seconds=blocked)
        with guard.protected("instrument"):
            LoggingInstrumentor().instrument(
                offer_log=offer_log,
                offer_handled=hearing(self.exports.offer_handled_log),
                level=self.settings.log_level,
                key=self.settings.redaction_key,
            )

    def _count(self, change: int) -> int:
        """Applications that serve in this process; a fork begins at none."""
        pid, number = self._serving
        self._serving = os.getpid(), (number if pid == os.getpid() else 0) + change
        return self._serving[1]

    def _clashes(self) -> list[str]:
        """Paths that both the page and an application answer; the application's win."""
        return sorted({path for app in self._apps for path in clashes(app, self._exact, self._prefixes)})
