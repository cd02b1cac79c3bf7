"""The plans of slow statements: asked for by the process that saw them, on its pipeline's loop, and kept as history."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from watchglass import guard
from watchglass.analysis.documents import keys_of
from watchglass.analysis.patterns import patterns_of
from watchglass.analysis.searches import search_of
from watchglass.errors import WatchglassError
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.slow_captures import SlowCaptures, SlowStatement
from watchglass.redaction import sql_shape
from watchglass.settings import Settings
from watchglass.store.explain import SECONDS, Explained, Explainer
from watchglass.store.explain_settings import NOT_FOUND, NOT_FOUND_WHY
from watchglass.store.plans import KeptPlan, keep

LOOK_SECONDS: Final = 1.0
_MOST_RUN: Final = 20
_MOST_PROBLEMS: Final = 200
_CANCELLED: Final = "57014"
_LOCKED: Final = "55P03"

LOCKED: Final = "A session holds a lock on a table of it, so that it could not be planned."


class Plans:
    """Of one process. `run` is for `Pipeline.run_on_loop`; `problem` says why there is no plan lately, a sentence."""

    def __init__(self, settings: Settings, captures: SlowCaptures, pipeline: Pipeline) -> None:
        self.problem: str | None = None
        self.captures = captures
        self._problems: OrderedDict[str, str] = OrderedDict()
        self._run: deque[KeptPlan] = deque(maxlen=_MOST_RUN)
        self._settings = settings
        self._pipeline = pipeline

    async def run(self) -> None:
        """Explain what was captured, for as long as the pipeline runs."""
        dsn = self._settings.application_dsn
        if not dsn:
            return
        explainer = Explainer(dsn, self._settings.explain_dsn)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.captures.forget_old()
            with suppress(WatchglassError):
                await self._keep_run()
            for statement in self.captures.take():
                with guard.protected("jobs.plans"):
                    await self._capture(explainer, statement)

    async def analyze(self, fingerprint: str) -> tuple[KeptPlan | None, str | None]:
        """Run the latest slow execution of a statement again, on whichever loop: its plan, or why there is none.

        The plan is in the store soon after. Raises `DatabaseUnavailable`.
        """
        statement = self.captures.latest(fingerprint)
        if statement is None or not is_of(statement, self._settings):
            return None, None
        explainer = Explainer(self._settings.application_dsn or "", self._settings.explain_dsn)
        kept, explained = await explained_as_kept(explainer, statement, self._settings.service, analyze=True)
        if kept is not None:
            self._run.append(kept)
        return kept, why_none(explained)

    def problem_of(self, fingerprint: str) -> str | None:
        """Why this process got no plan of the statement when it asked last; None where it got one, or never asked."""
        return self._problems.get(fingerprint)

    def _note(self, fingerprint: str, problem: str | None) -> None:
        self.problem = problem
        self._problems.pop(fingerprint, None)
        if problem is not None:
            self._problems[fingerprint] = problem
        while len(self._problems) > _MOST_PROBLEMS:
            self._problems.popitem(last=False)

    async def _keep_run(self) -> None:
        while self._run:
            async with self._pipeline.borrow() as connection:
                await keep(connection, self._run[0], datetime.now(UTC))
            self._run.popleft()

    async def _capture(self, explainer: Explainer, statement: SlowStatement) -> None:
        """One plan into the store; what stands in the way is said, and the statement is captured again when due."""
        if not is_of(statement, self._settings):
            return
        try:
            kept, explained = await explained_as_kept(explainer, statement, self._settings.service)
            if kept is not None:
                async with self._pipeline.borrow() as connection:
                    await keep(connection, kept, datetime.now(UTC))
            self._note(statement.fingerprint, why_none(explained))
        except WatchglassError as error:
            self._note(statement.fingerprint, str(error))


async def explained_as_kept(
    explainer: Explainer, statement: SlowStatement, service: str, *, analyze: bool = False
) -> tuple[KeptPlan | None, Explained]:
    """The plan of a statement as it may be kept, None where there is none, and what came of asking.

    Of what changes or locks rows it is that of the SELECT that finds them.
    """
    search = None if analyze else search_of(statement.text)
    text, arguments = statement.text, statement.arguments
    if search is not None:
        text, arguments = search.text, search.arguments(statement.arguments)
    explained = await explainer.explain(text, arguments, analyze=analyze, search_path=statement.search_path)
    if explained.plan is None:
        return None, explained
    kept = KeptPlan.of(
        *(service, statement.fingerprint, explained.plan, explained.how, explained.server_version),
        seconds=_seconds(explained) if analyze else statement.seconds,
        trace_id=None if analyze else statement.trace_id,
        text=sql_shape(statement.text),
        database=statement.database or "",
        parameters=statement.shapes,
        planned=sql_shape(search.text) if search else None,
        patterns=patterns_of(text, arguments),
        keys=keys_of(text, arguments),
    )
    return kept, explained


def why_none(explained: Explained) -> str | None:
    """Why there is no plan, a sentence; None where there is one."""
    if explained.sqlstate == _CANCELLED:
        return f"It took longer than the {SECONDS:g} s that it was given, and was cancelled."
    if explained.sqlstate == _LOCKED:
        return LOCKED
    if explained.sqlstate is not None:
        why = f" {NOT_FOUND_WHY}." if explained.sqlstate in NOT_FOUND else ""
        return f"PostgreSQL refused to plan it: SQLSTATE {explained.sqlstate}.{why}"
    return explained.refusal


def is_of(statement: SlowStatement, settings: Settings) -> bool:
    """Whether the statement went to the database that is asked for plans, by its name."""
    name = unquote(urlsplit(settings.application_dsn or "").path.lstrip("/"))
    return statement.database is None or not name or statement.database == name


def _seconds(explained: Explained) -> float | None:
    took = (explained.plan or {}).get("Execution Time")
    return None if took is None else float(took) / 1000
