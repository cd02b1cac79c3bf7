"""What the API and the page are given: everything they know of the process they run in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchglass.api.models import Finding
from watchglass.records import Collect
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.exporters.pipeline import PipelineStatus
    from watchglass.store.access import Access
    from watchglass.store.reader import Reader

Authorize = Callable[[Any], Any]
"""The host's own: given the starlette Request, it returns None or False (no), True (viewer), "viewer" or "admin", or an
awaitable of one of these."""


@dataclass(slots=True)
class Context:
    """Handed in by whoever serves: a process of the service, or `watchglass serve`.

    `reader` and `access` are None without a database. `render_metrics` takes an Accept header and gives the exposition
    and its content type; `collect` reads the meters of this process (None in `watchglass serve`); `findings` is what
    doctor finds.
    """

    settings: Settings
    reader: Reader | None = None
    access: Access | None = None
    render_metrics: Callable[[str], tuple[bytes, str]] | None = None
    status: Callable[[], PipelineStatus] | None = None
    findings: Callable[[], Awaitable[Sequence[Finding]]] | None = None
    collect: Collect | None = None
    authorize: Authorize | None = None
    clock: Callable[[], float] = time.time
