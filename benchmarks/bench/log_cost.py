"""CPU that a line costs the thread that writes it, with Watchglass less without.

Lines are written while a request is handled, to a stream that keeps nothing; each has another number in its message
and in one of its fields. The service is observed, its lines go on to a real PostgreSQL. In one process and in turns, a
burst of lines each, Watchglass's logging is off and on, so that a busy machine disturbs both alike. The figures are CPU
of the thread that logs: medians of the rounds, and of the differences within a round, with the half around them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
from fastapi import FastAPI

from bench import tables
from bench.entering import lifespan, request
from watchglass import Settings, observe, wiring
from watchglass.demo.servers import PostgreSQL
from watchglass.instrumentation.logs import LoggingInstrumentor

GOAL = 10.0
"""Microseconds a line, at most."""

_BURST = 250


class Case(NamedTuple):
    """What writes lines: `make` makes a function that writes so many."""

    title: str
    fields: int
    make: Callable[[int], Callable[[int], None]]


class Nowhere:
    """A stream that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--rounds", type=int, default=60)


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print the table."""
    print(table(asyncio.run(measured(arguments.rounds))))


def table(figures: dict[Case, tuple[list[float], list[float]]]) -> str:
    """What a line takes without Watchglass, what it adds, and whether that is within the goal."""
    rows = []
    for case, (plain, watched) in figures.items():
        added = [ours - theirs for theirs, ours in zip(plain, watched, strict=True)]
        low, median, high = statistics.quantiles(added, n=4)
        within = "yes" if median <= GOAL else "**no**"
        half = f"{low:.1f} to {high:.1f}"
        rows.append([case.title, str(case.fields), f"{statistics.median(plain):.1f}", f"+{median:.1f}", half, within])
    return tables.table(
        ["line by", "fields", "plain, us", "Watchglass adds, us", "half of the rounds", "at most 10"], rows
    )


async def measured(rounds: int) -> dict[Case, tuple[list[float], list[float]]]:
    """CPU microseconds a line of each case, a figure a round, without and with Watchglass."""
    figures: dict[Case, tuple[list[float], list[float]]] = {case: ([], []) for case in CASES}
    app = FastAPI()

    @app.get("/round")
    async def one_round() -> None:
        for case, kept in figures.items():
            for watched, into in zip((False, True), kept, strict=True):
                switch(watched)
                into.append(burst(case))

    with PostgreSQL() as server:
        observe(app, Settings(service_name="bench", database_url=server.url))
        stop = await lifespan(app)
        for number in range(rounds + 1):
            assert await request(app, "/round") == 200
            if number == 0:
                for kept in figures.values():
                    for figure in kept:
                        figure.clear()
            await asyncio.sleep(0.2)  # for what was logged to be written
        switch(True)
        await stop()
    return figures


def burst(case: Case) -> float:
    """CPU microseconds a line."""
    write = case.make(case.fields)
    write(20)
    began = time.thread_time()
    write(_BURST)
    return (time.thread_time() - began) / _BURST * 1e6


def switch(watched: bool) -> None:
    """Have logging observed as the service's settings say, or not at all."""
    house = wiring.house()
    assert house is not None
    instrumentor = LoggingInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry == watched:
        return
    if watched:
        ways = {"offer_log": house.exports.offer_log, "offer_handled": house.exports.offer_handled_log}
        instrumentor.instrument(**ways, level=house.settings.log_level, key=house.settings.redaction_key)
    else:
        instrumentor.uninstrument()


_numbers = itertools.count()


def values(fields: int, number: int) -> dict[str, Any]:
    """Fields of a line."""
    return (
        {"user": f"u-{number}", "query": "structured logs", "hits": 12, "seconds": 0.25, "cached": True}
        if fields
        else {}
    )


def standard(fields: int) -> Callable[[int], None]:
    """The standard library, fields by `extra=`."""
    logger = logger_of("bench.standard")

    def write(lines: int) -> None:
        for _ in range(lines):
            number = next(_numbers)
            logger.info("search %d is done in %d ms", number, 12, extra=values(fields, number))

    return write


def structured(cached: bool, prints: bool) -> Callable[[int], Callable[[int], None]]:
    """structlog with a JSON renderer, in the way its documentation recommends for either kind of logger."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.JSONRenderer(),
    ]
    wrapper: Any = structlog.make_filtering_bound_logger(logging.INFO) if prints else structlog.stdlib.BoundLogger
    factory: Any = structlog.PrintLoggerFactory(Nowhere()) if prints else structlog.stdlib.LoggerFactory()  # type: ignore[arg-type]

    def make(fields: int) -> Callable[[int], None]:
        logger_of("bench.structured")
        structlog.configure(shared, wrapper, logger_factory=factory, cache_logger_on_first_use=cached)
        logger = structlog.get_logger() if prints else structlog.get_logger("bench.structured")

        def write(lines: int) -> None:
            for _ in range(lines):
                number = next(_numbers)
                logger.info(f"search {number} is done in 12 ms", **values(fields, number))

        return write

    return make


def logger_of(name: str) -> logging.Logger:
    """A logger of the standard library that writes to nowhere."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        handler = logging.StreamHandler(Nowhere())
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


CASES = [
    *(Case("standard library", fields, standard) for fields in (0, 5)),
    *(
        Case(f"structlog, {'printed' if prints else 'to the standard library'}, {'cached' if cached else 'lazy'}",
             fields, structured(cached, prints))
        for prints, cached, fields in itertools.product((False, True), (True, False), (0, 5))
    ),
]  # fmt: skip
