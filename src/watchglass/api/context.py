"""What the API and the page are given: everything they know of the process they run in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.requests import Request

from watchglass.api.tokens import Tokens
from watchglass.jobs.doctor.findings import Finding
from watchglass.jobs.plans import Plans
from watchglass.records import Collect, Incident
from watchglass.settings import Settings
from watchglass.store.access import Access
from watchglass.store.reader import Reader

if TYPE_CHECKING:
    from watchglass.exporters.status import PipelineStatus
    from watchglass.instrumentation.recorder import Recorder

Authorize = Callable[[Request], Any]
"""The host's own: it returns None or False (no), True (viewer), "viewer" or "admin", or an awaitable of one of these,
which runs on the host's loop."""


Freeze = Callable[[Any, str], Awaitable[Incident | None]]
"""Freezes the black box of this process, for a reason and under a title, into an incident; None where it has none."""


class Running(NamedTuple):
    """A request that is being handled: `GET /items/{id}`, or the method alone where no route matched; for how long."""

    name: str
    seconds: float


ALL_SERVICES = "all services"


@dataclass(slots=True)
class Context:
    """Handed in by whoever serves: a process of the service, or `watchglass serve`.

    `reader` and `access` are None without a database; both are used on the loop that serves only. `render_metrics`
    takes an Accept header and gives the exposition and its content type; `collect` reads the meters of this process,
    `recorder` takes what is recorded by hand, `running` tells which requests it handles, and `freeze` freezes its black
    box (all None in `watchglass serve`);
    `findings` is what doctor finds, `plans` gets the plans of slow statements. `aside` says that it is not a process of
    the service that answers, but `watchglass serve`.
    """

    settings: Settings
    reader: Reader | None = None
    access: Access | None = None
    render_metrics: Callable[[str], tuple[bytes, str]] | None = None
    status: Callable[[], PipelineStatus] | None = None
    findings: Callable[[], Awaitable[Sequence[Finding]]] | None = None
    collect: Collect | None = None
    recorder: Recorder | None = None
    aside: bool = False
    authorize: Authorize | None = None
    freeze: Freeze | None = None
    running: Callable[[], Sequence[Running]] | None = None
    plans: Plans | None = None
    clock: Callable[[], float] = time.time
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.access)

    @property
    def service(self) -> str:
        """Whose figures are shown, as people read it."""
        return ALL_SERVICES if self.aside and self.reader and not self.reader.service else self.settings.service
