"""One run of the benchmark of the store: servers, fillings, questions, in that order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import accuracy, ingest, seed, tables
from bench.accuracy import Errors
from bench.filling import Filling, Tier, tiers
from bench.history import fill
from bench.ingest import Ingest
from bench.prometheus import Prometheus, version
from bench.questions import Question, questions
from bench.seed import SeedFigures
from bench.timing import Ask, Times, forget_files, interleaved, stopwatch
from bench.traffic import HOUR, Traffic
from watchglass.demo.servers import PostgreSQL
from watchglass.store.migrations import migrate
from watchglass.store.reader import Reader

DAY = 24 * HOUR
DURABLE = {"fsync": "on"}
"""The demo's server does without; a service's does not."""

Told = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    endpoints: int = 200
    rate: float = 100.0
    days: float = 30
    written_hours: float = 48
    prometheus_days: float = 8
    seed_hours: float = 3
    ingest_hours: float = 2
    rounds: int = 20
    cold_rounds: int = 3


@dataclass(frozen=True)
class Answers:
    """One question with the times of both, and how many seconds of the asked ones the store and Prometheus had."""

    question: Question
    ours: Times
    theirs: Times
    stored: int
    there: int

    @property
    def factor(self) -> float:
        """How many times as much the store had to read as Prometheus."""
        return self.stored / self.there if self.question.grows else 1.0


@dataclass
class Figures:
    """Everything that was measured."""

    plan: Plan
    machine: str
    versions: str
    tiers: dict[str, Tier] = field(default_factory=dict)
    store_bytes: int = 0
    prometheus_bytes: int = 0
    prometheus_series: int = 0
    answers: list[Answers] = field(default_factory=list)
    ingest: list[Ingest] = field(default_factory=list)
    errors: dict[str, Errors] = field(default_factory=dict)
    seed: SeedFigures | None = None
    roll_up_seconds_a_day: float = 0.0


@dataclass(frozen=True)
class Stage:
    """The two that are compared, filled with the traffic that ended at `end`."""

    plan: Plan
    folder: Path
    traffic: Traffic
    end: int
    postgres: PostgreSQL
    prometheus: Prometheus

    def restart(self) -> None:
        """Have both servers start with nothing in memory."""
        for server, folder in ((self.postgres, "postgresql"), (self.prometheus, "prometheus")):
            server.stop()
            forget_files(self.folder / folder)
            server.start()


async def measure(plan: Plan, told: Told) -> Figures:
    """Everything of the plan, on servers that are gone afterwards."""
    with TemporaryDirectory(prefix="watchglass-bench-", ignore_cleanup_errors=True) as temporary, ExitStack() as stack:
        folder = _prepared(Path(temporary))
        postgres = stack.enter_context(PostgreSQL(folder / "postgresql", settings=DURABLE))
        assert postgres.installation is not None
        figures = Figures(plan, tables.machine(), f"PostgreSQL {postgres.installation.major}, Prometheus {version()}")
        prometheus = Prometheus(folder / "prometheus")
        stage = Stage(
            plan, folder, Traffic(plan.endpoints, plan.rate), int(time.time()) // 60 * 60, postgres, prometheus
        )
        await _write(stage, figures, told)
        await _fill(stage, figures, told, stack)
        await _ask(stage, figures, told)
        await _judge(stage, figures, told)
    return figures


def _prepared(folder: Path) -> Path:
    """The folder with those of the servers; the account that runs PostgreSQL has to pass through."""
    folder.chmod(0o711)
    for name in ("postgresql", "prometheus"):
        (folder / name).mkdir()
    return folder


async def _write(stage: Stage, figures: Figures, told: Told) -> None:
    """What is measured on a server of its own: writing as fast as it goes, and a row per request."""
    plan = stage.plan
    for processes in (1, 4):
        with PostgreSQL(settings=DURABLE) as server, stopwatch(told, f"{processes} processes wrote"):
            await migrate(server.url)
            figures.ingest.append(await asyncio.to_thread(ingest.measure, server.url, processes, plan.ingest_hours))
    with PostgreSQL(settings=DURABLE) as server, stopwatch(told, "a row per request"):
        start = stage.end - plan.seed_hours * HOUR
        figures.seed = await seed.measure(server.url, stage.traffic, start, stage.end, plan.rounds)


async def _fill(stage: Stage, figures: Figures, told: Told, stack: ExitStack) -> None:
    plan = stage.plan
    start = stage.end - plan.days * DAY
    with stopwatch(told, f"Prometheus filled with {plan.prometheus_days:g} days"):
        since = stage.end - round(plan.prometheus_days * DAY)
        figures.prometheus_series = fill(stage.prometheus.folder, stage.traffic, since, stage.end)
    stack.enter_context(stage.prometheus)  # compacts its blocks meanwhile
    filling = Filling(stage.postgres.url, stage.traffic, start, stage.end, stage.end - plan.written_hours * HOUR)
    with stopwatch(told, f"the store filled with {plan.days:g} days"):
        await filling.run()
    figures.roll_up_seconds_a_day = filling.roll_up_seconds / plan.days
    figures.tiers, figures.store_bytes = await tiers(stage.postgres.url, start, stage.end)
    if plan.prometheus_days >= 1:
        with stopwatch(told, "Prometheus compacted its blocks"):
            stage.prometheus.settle()
    figures.prometheus_bytes = stage.prometheus.bytes()


async def _ask(stage: Stage, figures: Figures, told: Told) -> None:
    """Every question in turns, warm; then each again after everything was restarted."""
    figures.answers = [await _warm(stage, question, told) for question in questions(stage.traffic.keys[3])]
    for _ in range(stage.plan.cold_rounds):
        for answers in figures.answers:
            stage.restart()
            ours, theirs = _asks(stage, answers.question, Reader(stage.postgres.url), answers.there)
            await answers.ours.take(ours, answers.ours.cold)
            await answers.theirs.take(theirs, answers.theirs.cold)


async def _warm(stage: Stage, question: Question, told: Told) -> Answers:
    stored, there = (min(question.seconds, round(days * DAY)) for days in (stage.plan.days, stage.plan.prometheus_days))
    reader = Reader(stage.postgres.url)
    try:
        with stopwatch(told, question.title):
            ours, theirs = await interleaved(*_asks(stage, question, reader, there), stage.plan.rounds)
    finally:
        await reader.close()
    return Answers(question, ours, theirs, stored, there)


def _asks(stage: Stage, question: Question, reader: Reader, there: int) -> tuple[Ask, Ask]:
    async def ours() -> int:
        return await question.ours(reader, stage.end)

    async def theirs() -> int:
        return question.promql(stage.prometheus, stage.end, there)

    return ours, theirs


async def _judge(stage: Stage, figures: Figures, told: Told) -> None:
    """P95 beside the exact one."""
    end, traffic = stage.end, stage.traffic
    reader = Reader(stage.postgres.url)
    for title, seconds in (("1 h", HOUR), ("24 h", min(DAY, round(stage.plan.days * DAY)))):
        figures.errors[f"Watchglass, {title}"] = await accuracy.of_store(reader, traffic, end - seconds, end)
    await reader.close()
    exposed = accuracy.of_prometheus(stage.prometheus, traffic, end - HOUR, end)
    figures.errors["Prometheus, the 26 buckets that Watchglass exposes, 1 h"] = exposed
    default = accuracy.of_default_buckets(stage.folder / "default", traffic, end)
    figures.errors["Prometheus, default buckets of prometheus-client, 1 h"] = default
