"""Pipelines that end with their test, and a PostgreSQL that comes and goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.pipelines import process
from watchglass.demo.servers import PostgreSQL
from watchglass.demo.servers import process as processes
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings

Start = Callable[..., Pipeline]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def start(recorder: Recorder) -> Iterator[Start]:
    """`start(dsn, **settings)` begins to export what `recorder` has."""
    started: list[Pipeline] = []

    def begin(dsn: str | None, **settings: object) -> Pipeline:
        pipeline = Pipeline(
            Settings(app_database_url=dsn, **settings),  # type: ignore[arg-type]
            process(),
            recorder.collect,
            retire=recorder.retire,
            overflowed=lambda: recorder.overflowed,
        )
        started.append(pipeline)
        pipeline.start()
        return pipeline

    yield begin
    for pipeline in started:
        pipeline.stop(5.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgreSQL]:
    """A PostgreSQL of its own that comes back at the same address, with its data."""
    with TemporaryDirectory() as folder:  # pytest's own are closed to the account that PostgreSQL runs as for root
        Path(folder).chmod(0o755)
        server = PostgreSQL(Path(folder))
        server.start()
        monkeypatch.setattr(processes, "free_port", lambda: server.port)
        yield server
        server.stop()
