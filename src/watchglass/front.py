"""The page's side of a process: what it may know, and the application that answers for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from watchglass.api.admins import Admins
from watchglass.api.context import Authorize, Context
from watchglass.api.invitation import invite
from watchglass.api.serving import OwnLoop
from watchglass.api.sessions import Sessions
from watchglass.exporters import prometheus
from watchglass.exporters.exports import Exports
from watchglass.exporters.workers.worker import Worker
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.server_timing import ServerTiming
from watchglass.jobs.plans import Plans
from watchglass.meters import WATCHGLASS_QUERY_DURATION
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.store.database import Database
from watchglass.store.reader import Reader

if TYPE_CHECKING:
    from watchglass.jobs.doctor import Finding

Answer = Callable[[Any, Any, Any], Awaitable[None]]


class Front:
    """The page and the API of one process, on a loop of their own. Opens nothing before it is asked."""

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        exports: Exports,
        worker: Worker,
        plans: Plans,
        authorize: Authorize | None,
        clashes: Callable[[], Sequence[str]],
    ) -> None:
        self._settings = settings
        self._recorder = recorder
        self._exports = exports
        self._worker = worker
        self._clashes = clashes
        self.own_loop = OwnLoop()
        self.context = self._new_context(plans, authorize)
        self.sessions = Sessions(self.context)
        self.answer = self.own_loop.bridge(self._page)
        self._built: Answer | None = None

    async def open(self) -> None:
        """Say how to log in, and know who did: the store may be away when somebody comes to this process."""
        await invite(self.context)
        await self.sessions.refresh()

    def timing(self) -> ServerTiming | None:
        """Who is told the timing of the service's own responses: nobody where the service itself decides who sees."""
        if self.context.authorize is not None:
            return None
        admins = Admins(self.sessions, self.own_loop.run)
        return ServerTiming(admins.mark, admins.has)

    async def _page(self, scope: Any, receive: Any, send: Any) -> None:
        """On the own loop: answer by the application of the API and the page, which is made on first use."""
        if self._built is None:
            from watchglass.api.app import create_app
            from watchglass.ui.app import add_pages

            self._built = create_app(self.context, add_pages, self.sessions)
        await self._built(scope, receive, send)

    def _new_context(self, plans: Plans, authorize: Authorize | None) -> Context:
        """What the page knows of this process."""
        dsn = self._settings.store_dsn
        database = Database(dsn, timed=self._timed) if dsn else None
        if database is not None:
            self.own_loop.at_stop(database.close)
        return Context(
            settings=self._settings,
            reader=Reader(database, service=self._settings.service) if database else None,
            access=Access(database) if database else None,
            render_metrics=self._render_metrics,
            status=lambda: self._exports.status,
            findings=self._findings,
            collect=self._exports.pipeline.collect,
            recorder=self._recorder,
            authorize=authorize,
            plans=plans,
        )

    def _timed(self, statement: str, seconds: float) -> None:
        self._recorder.histogram(WATCHGLASS_QUERY_DURATION, (statement,)).record(seconds)

    def _render_metrics(self, accept: str) -> tuple[bytes, str]:
        target, totals = self._worker.totals()
        resource = {
            **self._settings.resource,
            "service.name": self._settings.service,
            "service.instance.id": target,
        }
        return prometheus.write(totals, accept, resource)

    async def _findings(self) -> Sequence[Finding]:
        from watchglass.jobs.doctor import diagnose

        return await diagnose(self._settings, clashes=self._clashes())
